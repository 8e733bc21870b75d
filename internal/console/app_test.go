// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
)

// TestApp: every page is the same document with a policy of its own; its files are known by their names for good.
func TestApp(t *testing.T) {
	w := newWorld(t)
	nonces := map[string]bool{}
	for range 2 {
		got := w.want("ada", "GET", "/ui/workspaces/neurology/datasets/voice/columns", "", 200, "<title>Fathom</title>")
		policy := got.Header.Get("Content-Security-Policy")
		found := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(policy)
		if found == nil || !strings.HasSuffix(got.text, found[1]) || nonces[found[1]] {
			t.Fatalf("policy %q does not fit %q, or was there before", policy, got.text)
		}
		nonces[found[1]] = true
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'; script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("policy %q", policy)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", got.Header)
		}
	}
	for _, c := range []struct{ encodings, encoding, text string }{
		{"br, gzip", "gzip", "packed"}, {"gzip;q=1.0", "gzip", "packed"}, {"", "", "run()"}, {"identity", "", "run()"},
	} {
		got := w.ask("", "GET", "/ui/assets/a.js", "", func(r *http.Request) { r.Header.Set("Accept-Encoding", c.encodings) })
		if got.text != c.text || got.Header.Get("Content-Encoding") != c.encoding || !strings.Contains(got.Header.Get("Content-Type"), "javascript") ||
			!strings.Contains(got.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%q: %q %v", c.encodings, got.text, got.Header)
		}
	}
	w.want("", "GET", "/ui/assets/b.js", "", 404, "reload the page")
	for _, path := range []string{"/ui/assets/..%2findex.html", "/ui/assets/%2e%2e%2findex.html"} {
		if got := w.ask("", "GET", path, ""); got.StatusCode != 400 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

// TestUnbuilt: a server without the app says how to get it.
func TestUnbuilt(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.App = fstest.MapFS{"placeholder.txt": {}}
	var err error
	if w.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	w.want("ada", "GET", "/ui/", "", 501, "make build")
}

// TestStream: a stream begins with everything, tells what changed and what is gone, and ends with its source.
func TestStream(t *testing.T) {
	w := newWorld(t)
	w.study()
	w.news = [][]ObjectName{{{Kind: "Dataset", Name: "voice"}, {Kind: "Run", Name: "gone"}}, {{Kind: "Secret", Name: "other"}}}
	got := w.want("ada", "GET", v1+"/watch", "", 200, "")
	events := strings.Split(strings.TrimSpace(got.text), "\n\n")
	if len(events) != 2 || got.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("events %q, headers %v", events, got.Header)
	}
	var all snapshot
	if err := json.Unmarshal([]byte(strings.TrimPrefix(events[0], "event: snapshot\ndata: ")), &all); err != nil || len(all.Objects) != 7 || len(all.Kinds) != len(shown) {
		t.Errorf("%v: %s", err, events[0])
	}
	var told changes
	if err := json.Unmarshal([]byte(strings.TrimPrefix(events[1], "event: changes\ndata: ")), &told); err != nil || len(told.Set) != 1 || len(told.Gone) != 1 {
		t.Errorf("%v: %s", err, events[1])
	}
	if strings.Contains(got.text, "managedFields") {
		t.Error("it tells what only the Kubernetes API needs")
	}
}

// TestStreamWithinRights: kinds that the caller may not list are missing, also when they change.
func TestStreamWithinRights(t *testing.T) {
	w := newWorld(t)
	w.study()
	w.news = [][]ObjectName{{{Kind: "Run", Name: "voice-1"}, {Kind: "Model", Name: "parkinsons"}}}
	w.may = func(_ string, a identity.Action) bool { return a.Resource == "datasets" || a.Resource == "models" }
	got := w.want("ada", "GET", v1+"/watch", "", 200, `"kinds":["Dataset","Model"]`)
	for _, kind := range []string{`"kind":"Run"`, `"kind":"Report"`, `"kind":"ModelVersion"`} {
		if strings.Contains(got.text, kind) {
			t.Errorf("%s is told: %s", kind, got.text)
		}
	}
	w.want("ada", "GET", v1+"/me", "", 404, "")
	w.may = func(_ string, a identity.Action) bool { return a.Resource == "workspaces" }
	w.want("ada", "GET", "/api/v1/me", "", 200, `"member":false`)
}

// TestProfile: the answers to both questions come together, and rows of identified data are for stewards, for versions of
// former times too.
func TestProfile(t *testing.T) {
	w := newWorld(t)
	w.dataset("consents", 1, true)
	w.version("voice", lake.CommitRequest{Fingerprint: "a", Summary: json.RawMessage(`{"report":{}}`)},
		map[string][]float64{`a "b"; drop`: {0, 1, 1, 10, math.NaN(), math.Inf(1)}, "many": {1, 2, 3, 4, 5, 6}})
	w.version("voice", lake.CommitRequest{Fingerprint: "b", Summary: json.RawMessage(`{"report":{"identified":true}}`)}, map[string][]float64{"x": {1}})
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "voice"}}
	d.Status.Version = 1
	w.create(d)
	w.may = func(user string, a identity.Action) bool { return a.Subresource != "identified" || user == "steward" }
	got := w.want("ada", "GET", v1+"/datasets/voice/profile", "", 200, "")
	var p Profile
	if err := json.Unmarshal([]byte(got.text), &p); err != nil || len(p.Columns) != 2 || p.Rows != 6 {
		t.Fatalf("%v: %s", err, got.text)
	}
	c := p.Columns[0]
	if c.Name != `a "b"; drop` || *c.Least != 0 || *c.Greatest != 10 || *c.Mean != 3 || len(c.Quantiles) != 5 || len(c.Bars) != bins ||
		c.Bars[0] != 1 || c.Bars[2] != 2 || c.Bars[bins-1] != 1 || c.Top[0] != (TopValue{"1.0", 2}) {
		t.Errorf("%s", got.text)
	}
	asked := len(w.asked)
	if w.want("ada", "GET", v1+"/datasets/voice/profile?version=1", "", 200, got.text); len(w.asked) != asked {
		t.Error("a version that does not change was counted twice")
	}
	for _, path := range []string{"/datasets/consents/profile", "/datasets/consents/sample", "/datasets/voice/sample?version=2"} {
		w.want("ada", "GET", v1+path, "", 403, "ada may not get datasets/identified")
		w.want("steward", "GET", v1+path, "", 200, "")
	}
	w.want("ada", "GET", v1+"/datasets/voice/profile?version=9", "", 404, "")
}

// TestStatements: what is asked of the SQL engine survives strange names of columns.
func TestStatements(t *testing.T) {
	least, greatest := 0.0, 10.0
	columns := []ColumnProfile{
		{Name: `a "b"; drop`, Type: "number", Distinct: 50, Least: &least, Greatest: &greatest}, {Name: "when", Type: "time"}, {Name: "word", Type: "text", Distinct: 3},
	}
	moments, counts := momentsOf(columns, 9), countsOf(columns)
	for _, part := range []string{`CAST("a ""b""; drop" AS DOUBLE)`, `epoch("when")`, `FROM (SELECT "word" AS x FROM t)`} {
		if !strings.Contains(moments, part) {
			t.Errorf("%s is not in %s", part, moments)
		}
	}
	if exact, estimated := strings.Count(moments, "count(DISTINCT"), strings.Count(momentsOf(columns, 2*exactRows), "approx_count_distinct("); exact != 3 || estimated != 3 {
		t.Errorf("distinct values: %d exact, %d estimated", exact, estimated)
	}
	if !strings.Contains(counts, "floor((x - (0::DOUBLE)) / 0.5::DOUBLE)") || strings.Contains(counts, `"when"`) || !strings.Contains(counts, `GROUP BY value`) {
		t.Error(counts)
	}
	for typ, want := range map[string]string{"long": "number", "decimal(9, 2)": "number", "timestamptz": "time", "boolean": "text", "list<string>": "other"} {
		if got := sortOf(typ); got != want {
			t.Errorf("%s is described as %s, want %s", typ, got, want)
		}
	}
}

// TestRetry writes the note that stations read.
func TestRetry(t *testing.T) {
	w := newWorld(t)
	w.dataset("voice", 3, false)
	w.want("ada", "POST", v1+"/datasets/voice/retry", "", 204, "")
	got := w.want("ada", "GET", v1+"/objects", "", 200, v1alpha1.AnnotationRetry)
	if !strings.Contains(got.text, "20260301") {
		t.Error(got.text)
	}
	w.want("ada", "POST", v1+"/datasets/nobody/retry", "", 404, "there is no nobody")
}
