// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"testing"
	"time"
)

func TestChanges(t *testing.T) {
	dawn := func(s string) string { return s + "T00:00:00Z" }
	for _, c := range []struct {
		name string
		rows []Provision
		want string // RFC 3339; "" for never
	}{
		{"no end", []Provision{given("a", "2020-01-01", "permit")}, ""},
		{"ends", []Provision{given("a", "2020-01-01", "permit", end("2024-12-31"))}, "2024-12-31T00:00:01Z"},
		{"ends with the day", []Provision{given("a", "2020-01-01", "permit", func(p *Provision) {
			p.End = day("2025-01-01").Add(-time.Microsecond)
		})}, dawn("2025-01-01")},
		{"ends this moment", []Provision{given("a", "2020-01-01", "permit", end("2024-06-01"))}, "2024-06-01T00:00:01Z"},
		{"has ended", []Provision{given("a", "2020-01-01", "permit", end("2024-05-31"))}, ""},
		{"begins", []Provision{given("a", "2020-01-01", "permit", start("2024-07-01"), end("2025-01-01"))}, dawn("2024-07-01")},
		{"is given later", []Provision{given("a", "2024-08-01", "permit")}, dawn("2024-08-01")},
		{"later deny", []Provision{given("a", "2020-01-01", "permit"), given("b", "2024-08-01", "deny")}, dawn("2024-08-01")},
		{"later permit changes nothing", []Provision{given("a", "2020-01-01", "permit"), given("b", "2024-08-01", "permit")}, ""},
		{"a deny's end is no permit", []Provision{given("a", "2020-01-01", "deny", end("2024-12-31"))}, ""},
		{"another purpose", []Provision{given("a", "2020-01-01", "permit", end("2024-12-31"), scope("treatment"))}, ""},
		{"withdrawn", []Provision{given("a", "2020-01-01", "permit", status("inactive"), end("2024-12-31"))}, ""},
		{"the older consent's end does not count", []Provision{given("a", "2020-01-01", "permit", end("2024-12-31")),
			given("b", "2021-01-01", "permit")}, ""},
		{"an exception begins", []Provision{given("a", "2020-01-01", "permit"),
			nested(given("a", "2020-01-01", "permit", start("2024-09-01")), "0", "deny", "research")}, dawn("2024-09-01")},
		{"an exception ends", []Provision{given("a", "2020-01-01", "permit"),
			nested(given("a", "2020-01-01", "permit", end("2024-09-01")), "0", "deny", "research")}, "2024-09-01T00:00:01Z"},
		{"only the reason changes", []Provision{given("a", "2020-01-01", "permit", start("2030-01-01"), status("active")),
			given("b", "2024-08-01", "deny")}, ""},
		{"the first of several", []Provision{given("a", "2020-01-01", "permit", end("2024-12-31")),
			given("b", "2024-10-01", "deny")}, dawn("2024-10-01")},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, found := Changes(c.rows, "research", asOf)["p"]
			got := ""
			if found {
				got = at.Format(time.RFC3339)
			}
			if got != c.want {
				t.Fatalf("the answer changes at %q, want %q", got, c.want)
			}
			if !found {
				return
			}
			before, then := Judge(c.rows, "research", at.Add(-time.Second)), Judge(c.rows, "research", at)
			if before["p"].Permit == then["p"].Permit {
				t.Errorf("Judge answers %+v before and %+v then", before["p"], then["p"])
			}
		})
	}
}
