// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"fmt"
	"testing"
	"time"
)

var asOf = day("2024-06-01")

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// given is a consent of patient p about research; change it in the cases.
func given(id, date, typ string, change ...func(*Provision)) Provision {
	p := Provision{Consent: id, Patient: "p", Status: "active", Scope: []string{"research"}, Given: day(date), Type: typ}
	for _, c := range change {
		c(&p)
	}
	return p
}

func nested(of Provision, path, typ string, codes ...string) Provision {
	of.Path, of.Type, of.Code, of.Purpose = path, typ, codes, nil
	return of
}

func status(s string) func(*Provision)      { return func(p *Provision) { p.Status = s } }
func start(s string) func(*Provision)       { return func(p *Provision) { p.Start = day(s) } }
func end(s string) func(*Provision)         { return func(p *Provision) { p.End = day(s) } }
func scope(s string) func(*Provision)       { return func(p *Provision) { p.Scope = []string{s} } }
func purpose(s ...string) func(*Provision)  { return func(p *Provision) { p.Purpose = s } }
func updated(s string) func(*Provision)     { return func(p *Provision) { p.Updated = day(s) } }
func category(s ...string) func(*Provision) { return func(p *Provision) { p.Category = s } }

func TestJudge(t *testing.T) {
	base := given("a", "2020-01-01", "deny")
	const mii = "2.16.840.1.113883.3.1937.777.24.5.3.8"
	for _, c := range []struct {
		name string
		rows []Provision
		want string // reason; "" is a permit; "-" is unknown
	}{
		{"permit", []Provision{given("a", "2020-01-01", "permit")}, ""},
		{"deny", []Provision{given("a", "2020-01-01", "deny")}, Denied},
		{"nobody asked", nil, "-"},
		{"no type is no permit", []Provision{given("a", "2020-01-01", "")}, Denied},
		{"expired", []Provision{given("a", "2020-01-01", "permit", end("2024-05-31"))}, Expired},
		{"last day", []Provision{given("a", "2020-01-01", "permit", end("2024-06-01"))}, ""},
		{"not yet", []Provision{given("a", "2020-01-01", "permit", start("2024-06-02"))}, NotYetValid},
		{"withdrawn", []Provision{given("a", "2020-01-01", "permit", status("inactive"))}, Withdrawn},
		{"withdrawn later", []Provision{given("a", "2020-01-01", "permit"), given("b", "2021-01-01", "permit", status("inactive"))}, Withdrawn},
		{"given again", []Provision{given("a", "2020-01-01", "permit", status("inactive")), given("b", "2021-01-01", "permit")}, ""},
		{"later deny", []Provision{given("b", "2021-01-01", "deny"), given("a", "2020-01-01", "permit")}, Denied},
		{"later deny, not yet given", []Provision{given("a", "2020-01-01", "permit"), given("b", "2024-07-01", "deny")}, ""},
		{"same day, the stricter", []Provision{given("a", "2020-01-01", "permit"), given("b", "2020-01-01", "deny")}, Denied},
		{"same day, later change", []Provision{given("a", "2020-01-01", "permit", updated("2020-02-01")), given("b", "2020-01-01", "deny", updated("2020-01-02"))}, ""},
		{"draft", []Provision{given("a", "2020-01-01", "permit", status("draft"))}, "-"},
		{"entered in error", []Provision{given("a", "2020-01-01", "permit"), given("b", "2021-01-01", "deny", status("entered-in-error"))}, ""},
		{"unknown status", []Provision{given("a", "2020-01-01", "permit", status("maybe"))}, "-"},
		{"rejected", []Provision{given("a", "2020-01-01", "permit", status("rejected"))}, Denied},
		{"about treatment", []Provision{given("a", "2020-01-01", "permit", scope("treatment"))}, "-"},
		{"treatment does not hide research", []Provision{given("a", "2020-01-01", "permit"), given("b", "2021-01-01", "deny", scope("treatment"))}, ""},
		{"scope research, purpose marketing only", []Provision{given("a", "2020-01-01", "permit", purpose("HMARKT"))}, Denied},
		{"synonym", []Provision{given("a", "2020-01-01", "permit", scope("patient-privacy"), purpose("HRESCH"))}, ""},
		{"by category", []Provision{given("a", "2020-01-01", "permit", scope("x"), category("RESEARCH"))}, ""},
		{"broad consent", []Provision{base, nested(base, "0", "permit", "other"), nested(base, "1", "permit", mii)}, ""},
		{"broad consent without research", []Provision{base, nested(base, "0", "permit", "other")}, Denied},
		{"exception from a permit", []Provision{given("a", "2020-01-01", "permit"), nested(given("a", "2020-01-01", "permit"), "0", "deny", "research")}, Denied},
		{"general exception is unclear", []Provision{given("a", "2020-01-01", "permit"), nested(given("a", "2020-01-01", "permit"), "0", "deny")}, Denied},
		{"exception expired", []Provision{given("a", "2020-01-01", "permit"), nested(given("a", "2020-01-01", "permit", end("2021-01-01")), "0", "deny", "research")}, ""},
		{"nested permit expired", []Provision{base, nested(given("a", "2020-01-01", "deny", end("2021-01-01")), "0", "permit", mii)}, Expired},
		{"rows in any order", []Provision{nested(base, "0", "permit", mii), base}, ""},
		{"no patient", []Provision{given("a", "2020-01-01", "permit", func(p *Provision) { p.Patient = " " })}, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, known := Judge(c.rows, "research", asOf)["p"]
			got := v.Reason
			if !known {
				got = "-"
			}
			if got != c.want || v.Permit != (c.want == "") {
				t.Errorf("got %+v known=%v, want %q", v, known, c.want)
			}
		})
	}
}

func TestPseudonyms(t *testing.T) {
	key := func(b byte) Key {
		secret := make([]byte, 32)
		secret[0] = b
		k, err := NewKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, b := key(1), key(2)
	if p := a.Pseudonym("PAT-1"); len(p) != 22 || p != a.Pseudonym(" PAT-1 ") || p == b.Pseudonym("PAT-1") || p == a.Pseudonym("PAT-2") {
		t.Errorf("pseudonym %q", p)
	}
	seen := map[string]bool{}
	for i := range 1000 {
		u := a.UID(fmt.Sprint(i))
		if len(u) > 44 || u[:5] != "2.25." || u[5] == '0' || seen[u] {
			t.Fatalf("UID %q", u)
		}
		seen[u] = true
		if d := a.Days(fmt.Sprint(i)); d > -1 || d < -3650 {
			t.Fatalf("days %d", d)
		}
	}
	if _, err := NewKey(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
	if a.Name("PAT-1") == a.Pseudonym("PAT-1") {
		t.Error("uses of the key are not apart")
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"patientid": "patient_id", "JITTER": "jitter", "x": "jitter"} {
		if got := Nearest(name, []string{"patient_id", "jitter", "birth_date"}); got != want {
			t.Errorf("nearest of %q is %q, want %q", name, got, want)
		}
	}
	if Nearest("x", nil) != "" {
		t.Error("nearest of nothing")
	}
}
