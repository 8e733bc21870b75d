// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

const ws = "/api/workspaces/neurology"

// exchanges are one request for every route, what it asks for, and what a caller who may is answered.
var exchanges = []struct {
	route, path, body string
	action            string // as the audit log tells it
	status            int
	answer            string
}{
	{"POST " + base + "/bundles", ws + "/bundles", "code", "create workspaces/bundles in neurology", 200, `"size":4`},
	{"PUT " + base + "/objects/{key...}", ws + "/objects/inbox/voice/a.csv", "a,b", "create workspaces/objects in neurology", 204, ""},
	{"POST " + base + "/sql", ws + "/sql", `{"sql":"select x from voice"}`, "get datasets/data in neurology", 200, "voice: 3 rows"},
	{"POST " + base + "/plan", ws + "/plan", `{"objects":[1]}`, "get datasets in neurology", 200, `["neurology","[1]"]`},
	{"GET " + base + "/datasets/{name}/versions", ws + "/datasets/voice/versions", "", "get datasets voice in neurology", 200, `"rows":3`},
	{"GET " + base + "/datasets/{name}/why", ws + "/datasets/voice/why", "", "get datasets voice in neurology", 200, `"name":"voice"`},
	{"GET " + base + "/datasets/{name}/diff", ws + "/datasets/voice/diff?from=1&to=1", "", "get datasets voice in neurology", 200, `"from":{"version":1`},
	{"POST " + base + "/datasets/{name}/replay", ws + "/datasets/voice/replay?version=1", "", "update datasets voice in neurology", 200, `"kind":"dataset"`},
	{"GET " + base + "/models/{name}/why", ws + "/models/parkinsons/why", "", "get models parkinsons in neurology", 404, "NotFound"},
	{"GET " + base + "/models/{name}/evaluation", ws + "/models/parkinsons/evaluation", "", "get models parkinsons in neurology", 200, `{"version":2}`},
	{"GET " + base + "/models/{name}/outoffold", ws + "/models/parkinsons/outoffold", "", "get models parkinsons in neurology", 404, "not in the history"},
	{"POST " + base + "/models/{name}/replay", ws + "/models/parkinsons/replay", "", "update models parkinsons in neurology", 200, `"kind":"model"`},
	{"POST " + base + "/models/{name}/promotion", ws + "/models/parkinsons/promotion", `{"action":"rollback"}`, "update models/promotion parkinsons in neurology", 200, `"version":1`},
	{"GET " + base + "/modelversions/{name}/files/{file}", ws + "/modelversions/parkinsons-1/files/model.onnx", "", "get modelversions/files parkinsons-1 in neurology", 200, "onnx 1"},
	{"GET " + base + "/runs", ws + "/runs?limit=5", "", "list runs in neurology", 200, `"runs":`},
	{"GET " + base + "/runs/{name}/log", ws + "/runs/voice-1/log?follow=true", "", "get runs/log voice-1 in neurology", 200, "log of neurology/voice-1, follow true"},
	{"POST " + base + "/runs/{name}/cancel", ws + "/runs/voice-1/cancel", "", "create runs/cancel voice-1 in neurology", 204, ""},
	{"GET " + base + "/subjects/{name}", ws + "/subjects/s1", "", "get datasets/identified s1 in neurology", 200, `"name":"voice"`},
	{"POST /api/sessions", "/api/sessions", "", "list workspaces", 200, "/ui/login?code="},
	{"GET /ui/workspaces/{workspace}/reports/{name}", "/ui/workspaces/neurology/reports/findings", "", "list workspaces", 200, "<title>Fathom</title>"},
	{"GET /ui/workspaces/{workspace}/reports/{name}/{file...}", "/ui/workspaces/neurology/reports/findings/index.html", "", "get reports findings in neurology", 200, "<h1>Findings</h1>"},
	{"GET /ui/{path...}", "/ui/workspaces/neurology/graph", "", "list workspaces", 200, "<title>Fathom</title>"},
	{"GET /api/v1/me", "/api/v1/me", "", "list workspaces", 200, `"name":"neurology"`},
	{"GET " + v1base + "/rights", v1 + "/rights", "", "list datasets in neurology", 200, `"decide":true`},
	{"GET " + v1base + "/objects", v1 + "/objects", "", "list datasets in neurology", 200, `"kind":"ModelVersion"`},
	{"GET " + v1base + "/watch", v1 + "/watch", "", "list datasets in neurology", 200, "event: snapshot"},
	{"GET " + v1base + "/timeline", v1 + "/timeline", "", "list datasets in neurology", 200, `"kind":"Model","name":"parkinsons","version":2`},
	{"GET " + v1base + "/datasets/{name}/profile", v1 + "/datasets/voice/profile", "", "get datasets/data voice in neurology", 200, `"rows":3`},
	{"GET " + v1base + "/datasets/{name}/sample", v1 + "/datasets/voice/sample", "", "get datasets/data voice in neurology", 200, `{"x":0}`},
	{"GET " + v1base + "/runs/{name}", v1 + "/runs/voice-1", "", "get runs voice-1 in neurology", 200, `"pods":[]`},
	{"POST " + v1base + "/datasets/{name}/retry", v1 + "/datasets/voice/retry", "", "update datasets voice in neurology", 204, ""},
	{"POST " + v1base + "/models/{name}/retry", v1 + "/models/parkinsons/retry", "", "update models parkinsons in neurology", 204, ""},
	{"GET " + v1base + "/models/{name}/about", v1 + "/models/parkinsons/about", "", "get models parkinsons in neurology", 200, `"text":"leakage == none"`},
	{"GET " + v1base + "/models/{name}/training", v1 + "/models/parkinsons/training?version=1", "", "get models/tracking parkinsons in neurology", 200, `"name":"parkinsons-1"`},
	{"GET " + v1base + "/models/{name}/page", v1 + "/models/parkinsons/page", "", "get models parkinsons in neurology", 200, "<h1>neurology/parkinsons 2</h1>"},
	{"GET " + v1base + "/endpoints/{name}/traffic", v1 + "/endpoints/tremor/traffic?minutes=5", "", "get endpoints tremor in neurology", 200, `"neurology/tremor 5m0s"`},
	{"GET " + v1base + "/endpoints/{name}/replicas", v1 + "/endpoints/tremor/replicas", "", "get endpoints tremor in neurology", 200, `"replicas":[]`},
	{"GET " + v1base + "/endpoints/{name}/signature", v1 + "/endpoints/tremor/signature", "", "get endpoints/predict tremor in neurology", 200, "GET /endpoints/neurology/tremor/v2/models/parkinsons of ada"},
	{"POST " + v1base + "/endpoints/{name}/predict", v1 + "/endpoints/tremor/predict", "{}", "create endpoints/predict tremor in neurology", 200, "POST /endpoints/neurology/tremor/v2/models/parkinsons/infer of ada"},
	{"GET " + v1base + "/reports/{name}/versions", v1 + "/reports/findings/versions", "", "get reports findings in neurology", 200, `"versions":[]`},
	{"GET " + v1base + "/about", v1 + "/about", "", "list datasets in neurology", 200, `"isolation":"sandbox"`},
	{"GET " + v1base + "/audit", v1 + "/audit?decision=refused", "", "get workspaces/audit in neurology", 200, `{"Workspace":"neurology","User":"","Action":"","Decision":"refused"`},
	{"GET " + v1base + "/audit/mine", v1 + "/audit/mine?user=eve", "", "list datasets in neurology", 200, `{"Workspace":"neurology","User":"ada"`},
	{"POST " + v1base + "/reports/{name}/retry", v1 + "/reports/findings/retry", "", "update reports findings in neurology", 204, ""},
}

const (
	base   = "/api/workspaces/{workspace}"
	v1base = "/api/v1/workspaces/{workspace}"
	v1     = "/api/v1/workspaces/neurology"
)

// study makes everything that the exchanges are about.
func (w *world) study() {
	w.Helper()
	w.dataset("voice", 3, false)
	w.model(nil, v1alpha1.StageArchived, v1alpha1.StageProduction)
	manifest, err := lake.NewManifest([]lake.File{w.blob("index.html", "<h1>Findings</h1>"), w.blob("scan.png", "png")})
	if err != nil {
		w.Fatal(err)
	}
	output, err := w.lake.PutManifest(w.Context(), manifest)
	if err != nil {
		w.Fatal(err)
	}
	report := &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "findings"}}
	report.Status.Output, report.Status.Version = string(output), 1
	w.create(report)
	w.create(&v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "voice-1"}})
	w.create(&v1alpha1.Endpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "tremor"}, Spec: v1alpha1.EndpointSpec{Model: "parkinsons"}})
	w.create(&v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "neurology"}})
}

// TestEveryRoute: a caller who may is answered, one who may not is refused before anything is looked up, nobody is asked who
// they are; every decision on data is recorded, once, before the answer.
func TestEveryRoute(t *testing.T) {
	covered := map[string]bool{"GET /ui/login": true, "GET /ui/assets/{file}": true, "GET /healthz": true}
	for _, x := range exchanges {
		covered[x.route] = true
		t.Run(x.route, func(t *testing.T) {
			method, _, _ := strings.Cut(x.route, " ")
			w := newWorld(t)
			w.study()
			var asked []string
			w.may = func(_ string, a identity.Action) bool {
				asked = append(asked, a.String())
				return true
			}
			w.want("ada", method, x.path, x.body, x.status, x.answer)
			if len(asked) == 0 || asked[0] != x.action {
				t.Errorf("it asks for %q, want %q", asked, x.action)
			}
			recorded := len(w.recorded)
			w.may = func(string, identity.Action) bool { return false }
			w.want("eve", method, x.path, x.body, 403, "eve may not "+x.action)
			if (recorded > 0) != (len(w.recorded) > recorded) || len(w.recorded) > recorded && !strings.HasSuffix(w.recorded[recorded], "false") {
				t.Errorf("recorded %q", w.recorded)
			}
			w.want("", method, x.path, x.body, 401, "")
			w.want("!forged", method, x.path, x.body, 401, "")
			if recorded > 0 {
				w.audit = errors.New("disk full")
				w.may = func(string, identity.Action) bool { return true }
				if got := w.ask("ada", method, x.path, x.body); got.StatusCode < 500 {
					t.Errorf("answered %d although the decision cannot be recorded", got.StatusCode)
				}
			}
		})
	}
	w := newWorld(t)
	s := &server{Options: w.options()}
	for _, r := range s.routes() {
		if !covered[r.Pattern] {
			t.Errorf("no exchange for %s", r.Pattern)
		}
	}
	w.want("", "GET", "/healthz", "", 200, "ok")
	w.want("ada", "GET", "/api/nowhere", "", 404, "there is no GET /api/nowhere")
	w.want("ada", "DELETE", ws+"/bundles", "", 405, "there is no DELETE")
}

func TestSQL(t *testing.T) {
	w := newWorld(t)
	w.dataset("voice", 3, false)
	w.dataset("scan-features", 2, false)
	w.dataset("consents", 1, true)
	w.dataset("cohort", 0, false)
	w.may = func(user string, a identity.Action) bool {
		return a.Subresource != "identified" || user == "steward"
	}
	got := w.want("ada", "POST", ws+"/sql", `{"sql":"select x from voice, scan_features","format":"csv","limit":7}`, 200, "voice: 3 rows\nscan_features: 2 rows\n")
	if got.Header.Get("Content-Type") != "text/csv; charset=utf-8" || w.asked[0].Limit != 7 || w.asked[0].Workspace != "neurology" || len(w.asked[0].Tables[0].Files) != 1 {
		t.Errorf("asked %+v, %v", w.asked[0], got.Header)
	}
	if want := "ada get datasets/data voice in neurology true"; !slices.Contains(w.recorded, want) {
		t.Errorf("recorded %q, want %q", w.recorded, want)
	}
	w.want("ada", "POST", ws+"/sql", `{"sql":"select x from voice, consents"}`, 403, "ada may not get datasets/identified consents in neurology")
	if want := "ada get datasets/identified consents in neurology false"; !slices.Contains(w.recorded, want) {
		t.Errorf("recorded %q, want %q", w.recorded, want)
	}
	w.want("steward", "POST", ws+"/sql", `{"sql":"select x from consents"}`, 200, "consents: 1 rows")
	w.want("ada", "POST", ws+"/sql", `{"sql":"select x from elsewhere"}`, 404, "there is no table elsewhere; tables are cohort, consents, scan_features, voice")
	w.want("ada", "POST", ws+"/sql", `{"sql":"select x from cohort"}`, 409, "dataset cohort has no version yet")
	w.want("ada", "POST", ws+"/sql", `{"sql":"select"}`, 400, "line 1, column 3: syntax error")
	w.want("ada", "POST", ws+"/sql", `{"sql":1}`, 400, "it is not the expected JSON")
	w.want("ada", "POST", ws+"/sql", `{"statement":"select x from voice"}`, 400, "unknown field")
	w.want("ada", "POST", "/api/workspaces/other/sql", `{"sql":"select x from voice"}`, 404, "there is no table voice")
	if got := w.ask("ada", "POST", ws+"/sql", `{"sql":"select boom from voice"}`); !strings.Contains(got.text, "3 rows") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}

func TestPromotion(t *testing.T) {
	for _, c := range []struct {
		name   string
		stages []string
		body   string
		status int
		answer string
		stays  bool
	}{
		{"approve what awaits", []string{v1alpha1.StageProduction, v1alpha1.StageAwaiting}, `{"action":"approve"}`, 200, `"version":2`, false},
		{"approve by number", []string{v1alpha1.StageAwaiting, v1alpha1.StageAwaiting}, `{"action":"approve","version":1}`, 200, `"version":1`, false},
		{"approve what was refused", []string{v1alpha1.StageRefused}, `{"action":"approve","version":1}`, 409, "it is Refused, not AwaitingApproval: because", true},
		{"approve nothing", []string{v1alpha1.StageProduction}, `{"action":"approve"}`, 404, "none awaits approval", true},
		{"back", []string{v1alpha1.StageArchived, v1alpha1.StageArchived, v1alpha1.StageProduction}, `{"action":"rollback"}`, 200, `"version":2`, false},
		{"back over a refused one", []string{v1alpha1.StageArchived, v1alpha1.StageRefused, v1alpha1.StageProduction}, `{"action":"rollback"}`, 200, `"version":1`, false},
		{"back by number", []string{v1alpha1.StageArchived, v1alpha1.StageArchived, v1alpha1.StageProduction}, `{"action":"rollback","version":1}`, 200, `"version":1`, false},
		{"forward by number", []string{v1alpha1.StageProduction, v1alpha1.StageArchived}, `{"action":"rollback","version":2}`, 200, `"version":2`, false},
		{"back from the first", []string{v1alpha1.StageProduction, v1alpha1.StageArchived}, `{"action":"rollback"}`, 404, "none before version 1 was in production; name one with --version", true},
		{"back to what is in production", []string{v1alpha1.StageProduction}, `{"action":"rollback","version":1}`, 409, "it is Production, not Archived", true},
		{"back to what was never promoted", []string{v1alpha1.StageRefused, v1alpha1.StageProduction}, `{"action":"rollback","version":1}`, 409, "it is Refused", true},
		{"no such version", []string{v1alpha1.StageProduction}, `{"action":"rollback","version":9}`, 404, "there is no version 9", true},
		{"something else", []string{v1alpha1.StageProduction}, `{"action":"delete"}`, 400, `delete\" is neither approve nor rollback`, true},
		{"no JSON", []string{v1alpha1.StageProduction}, `rollback`, 400, "not the expected JSON", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.model(nil, c.stages...)
			before := w.statuses()
			w.want("ada", "POST", ws+"/models/parkinsons/promotion", c.body, c.status, c.answer)
			if same := before == w.statuses(); same != c.stays {
				t.Errorf("versions were\n%s\nand are\n%s", before, w.statuses())
			}
		})
	}
}

func (w *world) statuses() string {
	w.Helper()
	var list v1alpha1.ModelVersionList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	var all []v1alpha1.ModelVersionStatus
	for _, v := range list.Items {
		all = append(all, v.Status)
	}
	b, err := json.Marshal(all)
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// TestRollbackIsLast: what was put back counts as promoted last, also within the second of another promotion.
func TestRollbackIsLast(t *testing.T) {
	w := newWorld(t)
	w.now = w.now.Add(-time.Hour + 2*time.Minute) // version 2 was promoted this second

	w.model(nil, v1alpha1.StageArchived, v1alpha1.StageProduction)
	var first, second v1alpha1.ModelVersion
	w.read("parkinsons-2", &second)
	w.now = second.Status.PromotedAt.Time.Add(300 * time.Millisecond)
	w.want("ada", "POST", ws+"/models/parkinsons/promotion", `{"action":"rollback"}`, 200, "")
	w.read("parkinsons-1", &first)
	if !second.Status.PromotedAt.Before(first.Status.PromotedAt) || first.Status.Why != "rolled back to by ada" || first.Status.Stage != v1alpha1.StageProduction {
		t.Errorf("%+v is not after %+v", first.Status, second.Status)
	}
}

func (w *world) read(name string, v *v1alpha1.ModelVersion) {
	w.Helper()
	if err := w.Get(w.Context(), types.NamespacedName{Namespace: "neurology", Name: name}, v); err != nil {
		w.Fatal(err)
	}
}

// TestWhoMayApprove: where the model asks for an admin, an approver may not.
func TestWhoMayApprove(t *testing.T) {
	w := newWorld(t)
	w.model(func(m *v1alpha1.Model) { m.Spec.Promote.Approval = &v1alpha1.Approval{Role: "admin"} }, v1alpha1.StageAwaiting)
	w.may = func(user string, a identity.Action) bool { return user == "admin" || a.Verb != "delete" }
	w.want("approver", "POST", ws+"/models/parkinsons/promotion", `{"action":"approve"}`, 403, "approver may not delete models/promotion")
	w.want("admin", "POST", ws+"/models/parkinsons/promotion", `{"action":"approve"}`, 200, `"by":"admin"`)
	w.want("ada", "POST", ws+"/models/other/promotion", `{"action":"approve"}`, 404, "")
}

// TestObjectKeys: what is put stays inside the bucket.
func TestObjectKeys(t *testing.T) {
	w := newWorld(t)
	for key, want := range map[string]string{
		"inbox/a.csv": "neurology/inbox/a.csv", "inbox/a%20b.csv": "neurology/inbox/a b.csv", "100%25.csv": "neurology/100%.csv", "d%C3%A4.csv": "neurology/dä.csv",
	} {
		if got := w.ask("ada", "PUT", ws+"/objects/"+key, "text"); got.StatusCode != 204 || w.objects[want] != "text" {
			t.Errorf("%s: %d %s, stored %v", key, got.StatusCode, got.text, w.objects)
		}
	}
	stored := len(w.objects)
	for _, key := range []string{
		"../other/a.csv", "inbox/../../a", "..%2Fother%2Fa.csv", "%2e%2e/other/a.csv", "%252e%252e%252fother", "inbox/%2e%2e/%2e%2e/a", "/etc/passwd", "%2Fetc%2Fpasswd",
		"inbox//a.csv", "inbox/./a.csv", `inbox\..\a`, "inbox%5c..%5ca", "a%00b", "a%0ab", ".fathom/x", ".%2Fx", "",
	} {
		got := w.ask("ada", "PUT", ws+"/objects/"+key, "text")
		if got.StatusCode < 400 || got.StatusCode >= 500 || len(w.objects) != stored {
			t.Errorf("%q: %d %s, stored %v", key, got.StatusCode, got.text, w.objects)
		}
	}
	for _, path := range []string{"/api/workspaces/Neurology/bundles", "/api/workspaces/neuro%20logy/bundles", "/api/workspaces/a.b/bundles"} {
		w.want("ada", "POST", path, "x", 400, "is not a workspace")
	}
}

func TestVersionsAndPages(t *testing.T) {
	w := newWorld(t)
	w.study()
	w.dataset("empty", 0, false)
	for _, c := range []struct {
		path, accept string
		status       int
		part         string
	}{
		{ws + "/datasets/voice/why?version=7", "", 404, ""},
		{ws + "/datasets/voice/why?version=x", "", 400, `x\" is not a version number`},
		{ws + "/datasets/voice/why?version=-1", "", 400, "is not a version number"},
		{ws + "/datasets/empty/why", "", 404, "has no version yet; see `fathom status`"},
		{ws + "/datasets/nobody/why", "", 404, "there is no nobody"},
		{ws + "/models/parkinsons/evaluation?version=1", "", 200, `{"version":1}`},
		{ws + "/models/parkinsons/evaluation?version=9", "", 404, "it has no version 9"},
		{ws + "/models/nobody/evaluation", "", 404, "there is no nobody"},
		{ws + "/modelversions/parkinsons-2/files/evaluation.json", "", 200, `{"version":2}`},
		{ws + "/modelversions/parkinsons-2/files/train.parquet", "", 404, "it has model.onnx and evaluation.json"},
		{ws + "/modelversions/parkinsons-9/files/model.onnx", "", 404, "there is no parkinsons-9"},
		{ws + "/models/parkinsons/outoffold?format=xls", "", 400, "use csv or parquet"},
		{ws + "/runs/gone/log", "", 404, "there is no log"},
		{"/ui/workspaces/neurology/reports/findings/scan.png", "", 200, "png"},
		{"/ui/workspaces/neurology/reports/findings/other.html", "", 404, "it has no file"},
		{"/ui/workspaces/neurology/reports/nobody/index.html", "", 404, ""},
	} {
		got := w.want("ada", "GET", c.path, "", c.status, c.part)
		if strings.HasPrefix(c.path, "/ui/") && c.status == 200 {
			if policy := got.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script") {
				t.Errorf("%s: policy %q", c.path, policy)
			}
		}
	}
	got := w.ask("", "GET", "/ui/", "", func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	if got.StatusCode != 401 || !strings.Contains(got.text, "fathom open") {
		t.Errorf("a browser without a session is told %d %s", got.StatusCode, got.text)
	}
}

func TestNothingIsOptional(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Authenticator = nil
	if _, err := New(o); err == nil {
		t.Error("a door without an authenticator was built")
	}
}

// TestErrorsBeforeAndAfterTheFirstByte: an error before it has a status; after it the answer is cut.
func TestErrorsBeforeAndAfterTheFirstByte(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Log = func(_ context.Context, _ ref.Name, _ bool, out io.Writer) error {
		if _, err := io.WriteString(out, "first line\n"); err != nil {
			return err
		}
		return fault.New(fault.Internal, "log", "the rest is lost")
	}
	var err error
	if w.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	got := w.want("ada", "GET", ws+"/runs/x/log", "", 200, "first line")
	if strings.Contains(got.text, "the rest") || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v %s", got.Header, got.text)
	}
}
