// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/ref"
)

func failing(d *v1alpha1.Dataset) {
	v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonFailed, "", 1, time.Time{})
}

func consenting(d *v1alpha1.Dataset) {
	d.Spec.Privacy = &v1alpha1.Privacy{Subject: "patient_id", Pseudonymise: []string{"patient_id"},
		Consent: &v1alpha1.Consent{Dataset: "consents", Purpose: "research"}}
}

// TestWhatIsToldToTheAuthor: nothing runs until the declaration and its inputs are right, and the message says what to do.
func TestWhatIsToldToTheAuthor(t *testing.T) {
	code := func(c v1alpha1.DatasetCode) v1alpha1.Source { return v1alpha1.Source{Code: &c} }
	uploaded := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		name    string
		d       *v1alpha1.Dataset
		others  []*v1alpha1.Dataset
		reason  string
		message string
	}{
		{"no files yet", fromFiles("x", "inbox/*.csv"), nil, v1alpha1.ReasonWaiting, "files inbox/*.csv in bucket neurology: none are there; put them with `fathom put`"},
		{"no pattern", fromFiles("x", "inbox/[.csv"), nil, v1alpha1.ReasonInvalid, "spec.from.files.url: files: \"inbox/[.csv\" is not a pattern"},
		{"consents are not there", fromFiles("x", "inbox/*.csv", consenting), nil, v1alpha1.ReasonWaiting, "dataset consents: there is none"},
		{"consents failed", fromFiles("x", "inbox/*.csv", consenting), []*v1alpha1.Dataset{ready("consents", 1, func(d *v1alpha1.Dataset) {}), ready("y", 1)},
			v1alpha1.ReasonWaiting, "none are there"},
		{"no table, one is near", queried("x", "select * from vioce"), []*v1alpha1.Dataset{ready("voice", 1)}, v1alpha1.ReasonWaiting, "dataset vioce: there is none (did you mean voice?)"},
		{"no table", queried("x", "select * from elsewhere"), []*v1alpha1.Dataset{ready("voice", 1)}, v1alpha1.ReasonWaiting, "dataset elsewhere: there is none"},
		{"two inputs", queried("x", "select * from voice join scan_features"), []*v1alpha1.Dataset{ready("voice", 0), failed(ready("scan-features", 1))},
			v1alpha1.ReasonWaiting, "waits for dataset voice: Ready, dataset scan-features: Failed"},
		{"input was not looked at", queried("x", "select * from voice"), []*v1alpha1.Dataset{fromFiles("voice", "v/*.csv")}, v1alpha1.ReasonWaiting, "dataset voice: not looked at yet"},
		{"reads itself", queried("x", "select * from x"), nil, v1alpha1.ReasonInvalid, "it depends on itself: x → x; remove one of these references"},
		{"cycle", queried("x", "select * from y"), []*v1alpha1.Dataset{queried("y", "select * from z"), queried("z", "select * from x")},
			v1alpha1.ReasonInvalid, "it depends on itself: x → y → z → x"},
		{"cycle through consents", fromFiles("x", "inbox/*.csv", consenting), []*v1alpha1.Dataset{queried("consents", "select * from x")},
			v1alpha1.ReasonInvalid, "x → consents → x"},
		{"SQL error", queried("x", "selec * from voice"), nil, v1alpha1.ReasonInvalid, "spec.from.query.sql: line 1, column 1: syntax error"},
		{"another's SQL error", queried("x", "select * from voice"), []*v1alpha1.Dataset{ready("voice", 1), queried("y", "selec")}, v1alpha1.ReasonRunning, "starts a run"},
		{"SQL in a file, not applied by fathom", from("x", v1alpha1.Source{Query: &v1alpha1.Query{File: "x.sql"}}), nil,
			v1alpha1.ReasonInvalid, "spec.from.query.sql: it is empty; apply with `fathom apply`"},
		{"code is not uploaded", from("x", code(v1alpha1.DatasetCode{Code: v1alpha1.Code{Path: "./x"}})), nil,
			v1alpha1.ReasonInvalid, "spec.from.code.bundle: the code is not uploaded; apply with `fathom apply`"},
		{"requirements are not uploaded", from("x", code(v1alpha1.DatasetCode{Code: v1alpha1.Code{Bundle: uploaded, Environment: v1alpha1.Environment{Python: "r.txt"}}})), nil,
			v1alpha1.ReasonInvalid, "spec.from.code.environment.requirements: r.txt is not uploaded"},
		{"input of code", from("x", code(v1alpha1.DatasetCode{Code: v1alpha1.Code{Bundle: uploaded}, Inputs: []string{"scans"}})), nil,
			v1alpha1.ReasonWaiting, "dataset scans: there is none"},
		{"nothing captured", from("x", v1alpha1.Source{Capture: &v1alpha1.CaptureSource{Endpoint: "e"}}), nil,
			v1alpha1.ReasonWaiting, "endpoint e: no request has been captured yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.d)
			for _, d := range c.others {
				if err := w.Create(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			w.want("x", c.reason, c.message)
			if n := len(w.runs("x")); (n > 0) != (c.reason == v1alpha1.ReasonRunning) {
				t.Errorf("%d runs were started", n)
			}
		})
	}
}

func failed(d *v1alpha1.Dataset) *v1alpha1.Dataset {
	failing(d)
	return d
}

// TestWrongColumn: a column is held against the inputs' columns before anything runs.
func TestWrongColumn(t *testing.T) {
	w := newWorld(t, fromFiles("voice", "inbox/*.csv"), queried("x", "select jiter from voice"))
	w.put("inbox/a.csv", "a")
	w.want("x", v1alpha1.ReasonWaiting, "dataset voice")
	w.made("voice", w.parquet("p1"))
	w.want("x", v1alpha1.ReasonInvalid, "spec.from.query.sql: line 1, column 8: column jiter not found; did you mean jitter?")
	w.change("x", func(d *v1alpha1.Dataset) { d.Spec.From.Query.SQL = "select jitter from voice" })
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	checks := w.checks
	w.want("x", v1alpha1.ReasonRunning, "pending")
	if w.checks != checks {
		t.Error("an unchanged statement was parsed again")
	}
}

// TestFromFilesToAVersion follows a dataset through its life: start, watch, commit, keep, change, adopt.
func TestFromFilesToAVersion(t *testing.T) {
	cpu := resource.MustParse("2")
	w := newWorld(t, fromFiles("voice", "inbox/*.csv", func(d *v1alpha1.Dataset) {
		d.Spec.Checks = []v1alpha1.Check{{Column: "jitter", Between: []float64{0, 1}}}
		d.Spec.Resources.CPU = &cpu
	}))
	w.put("inbox/a.csv", "a")
	d := w.want("voice", v1alpha1.ReasonRunning, "starts a run")
	run := w.live("voice")
	w.wantIngest(d, run, cpu)

	w.end(run, v1alpha1.RunStatus{Phase: v1alpha1.RunRunning, Progress: "0.42 reading files"})
	w.want("voice", v1alpha1.ReasonRunning, "run "+run.Name+": running, 0.42 reading files")
	if len(w.runs("voice")) != 1 {
		t.Fatal("a second look started something")
	}
	w.succeed(run, w.parquet("p1", "p2"), w.report(map[string]any{"rowsIn": 5, "rowsOut": 2, "subjects": []string{"p1", "p2"},
		"excluded": []map[string]any{{"reason": "denied", "rows": 3, "subjects": 1}}, "checks": []map[string]any{{"check": "x", "passed": true}}}))
	d = w.want("voice", v1alpha1.ReasonReady, "version 1 is up to date")
	st := d.Status
	if st.Version != 1 || st.Rows != 2 || st.Subjects != 2 || st.ExcludedRows != 3 || st.ChecksPassed != 1 || st.Run != "" || st.Fingerprint != st.Wanted ||
		!st.Identified || st.UpdatedAt == nil || st.ObservedGeneration != 1 {
		t.Errorf("status %+v", st)
	}
	if w.want("voice", v1alpha1.ReasonReady, "version 1"); len(w.runs("voice")) != 0 {
		t.Error("a run whose history is durable was not removed")
	}
	tree, err := w.lake.Why(t.Context(), lake.DatasetArtifact(nameOf(d), 1, ""))
	if err != nil || len(tree.Inputs) == 0 || !contains(tree, lake.KindFile, "inbox/a.csv") {
		t.Errorf("lineage %+v, %v", tree, err)
	}

	// Another file makes another version; without it, the first is used again and nothing runs.
	w.put("inbox/b.csv", "b")
	w.want("voice", v1alpha1.ReasonRunning, "starts a run; version 1 stays in use")
	w.succeed(w.live("voice"), w.parquet("p1", "p2", "p3"))
	w.want("voice", v1alpha1.ReasonReady, "version 2")
	w.want("voice", v1alpha1.ReasonReady, "version 2")
	w.remove("inbox/b.csv")
	d = w.want("voice", v1alpha1.ReasonReady, "version 1 has the same fingerprint and is used again")
	if d.Status.Version != 1 || d.Status.Subjects != 2 || len(w.runs("voice")) != 0 {
		t.Errorf("status %+v", d.Status)
	}
	w.want("voice", v1alpha1.ReasonReady, "version 1 is up to date")

	// What does not change the result changes no version.
	w.change("voice", func(d *v1alpha1.Dataset) { d.Spec.Resources = v1alpha1.Resources{} })
	w.want("voice", v1alpha1.ReasonReady, "version 1 is up to date")
	if got := w.versions("voice"); got != 2 {
		t.Errorf("%d versions are stored, want 2", got)
	}
}

// wantIngest checks what a dataset of one file asks its run for.
func (w *world) wantIngest(d *v1alpha1.Dataset, run *v1alpha1.Run, cpu resource.Quantity) {
	w.Helper()
	if d.Status.Run != run.Name || d.Status.Wanted != run.Spec.Fingerprint || run.Spec.Step != v1alpha1.StepIngest || run.OwnerReferences[0].Name != "voice" ||
		!run.Spec.Resources.CPU.Equal(cpu) || run.Spec.Secret != "" {
		w.Errorf("status %+v, run %+v", d.Status, run.Spec)
	}
	var p privacy.IngestParams
	w.read(ref.Digest(run.Spec.Parameters), &p)
	if p.Format != "csv" || len(p.Files) != 1 || p.Files[0].Path != "inbox/a.csv" || len(p.Checks) != 1 || p.Checks[0].Between[1] != 1.0 || !p.AsOf.IsZero() {
		w.Errorf("parameters %+v", p)
	}
	manifest, err := w.lake.GetManifest(w.Context(), ref.Digest(run.Spec.Inputs[0].Manifest))
	if err != nil || manifest.Files[0].Digest != ref.DigestOf([]byte("a")) {
		w.Errorf("source %+v, %v", manifest, err)
	}
}

func (w *world) read(d ref.Digest, into any) {
	w.Helper()
	f, _, err := w.lake.OpenBlob(w.Context(), d)
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	b, _ := io.ReadAll(f)
	if err := json.Unmarshal(b, into); err != nil {
		w.Fatal(err)
	}
}

func contains(t lake.Tree, kind, name string) bool {
	for _, in := range t.Inputs {
		if in.Kind == kind && in.Name == name || contains(in, kind, name) {
			return true
		}
	}
	return false
}

// TestArrivingFiles: a copy under way is read once.
func TestArrivingFiles(t *testing.T) {
	w := newWorld(t, fromFiles("voice", "inbox/*.csv"))
	w.put("inbox/a.csv", "a")
	w.touch("inbox/a.csv", w.now.Add(-Quiet/2))
	d := w.get("voice")
	result, err := w.s.Reconcile(t.Context(), d)
	if reason, message := v1alpha1.Ready(d.Status.Conditions); err != nil || reason != v1alpha1.ReasonWaiting || message != "files are still arriving" || result.RequeueAfter != Quiet {
		t.Errorf("%s: %s, %+v, %v", reason, message, result, err)
	}
	w.now = w.now.Add(Quiet)
	w.want("voice", v1alpha1.ReasonRunning, "starts a run")

	w = newWorld(t, fromFiles("voice", "inbox/*.csv"))
	w.put("inbox/a.csv", "a")
	w.touch("inbox/a.csv", w.now.AddDate(1, 0, 0)) // written where the clock is wrong
	w.want("voice", v1alpha1.ReasonRunning, "starts a run")
}

// TestReplacedRun: what nobody wants any more is cancelled, and its output is never committed.
func TestReplacedRun(t *testing.T) {
	w := newWorld(t, ready("voice", 1), queried("x", "select * from voice"))
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	first := w.live("x")
	w.change("x", func(d *v1alpha1.Dataset) { d.Spec.From.Query.SQL = "select * from voice where true" })
	w.want("x", v1alpha1.ReasonRunning, "stops run "+first.Name+": its inputs have changed")
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	second := w.live("x")
	if second.Name == first.Name {
		t.Fatal("the first run goes on")
	}
	w.succeed(first, w.parquet("p1")) // it ended before it could be cancelled
	w.want("x", v1alpha1.ReasonRunning, second.Name)
	w.succeed(second, w.parquet("p1", "p2"))
	if d := w.want("x", v1alpha1.ReasonReady, "version 1"); d.Status.Rows != 2 || w.versions("x") != 1 {
		t.Errorf("%d rows, %d versions", d.Status.Rows, w.versions("x"))
	}
	// Back again while another one runs: that one is of no use.
	w.change("x", func(d *v1alpha1.Dataset) { d.Spec.From.Query.SQL = "select * from voice limit 1" })
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	third := w.live("x")
	w.change("x", func(d *v1alpha1.Dataset) { d.Spec.From.Query.SQL = "select * from voice where true" })
	w.want("x", v1alpha1.ReasonReady, "version 1 is up to date")
	for _, r := range w.runs("x") {
		if r.Name == third.Name && !r.Spec.Cancel {
			t.Error("a run that nobody wants goes on")
		}
	}
}

// TestFailedRun: a failure is told with its reason and tried again only when asked.
func TestFailedRun(t *testing.T) {
	w := newWorld(t, ready("voice", 1), queried("x", "select * from voice"))
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	run := w.live("x")
	w.end(run, v1alpha1.RunStatus{Phase: v1alpha1.RunFailed, Message: "spec.checks: 1 of 1 checks failed"})
	for range 2 {
		w.want("x", v1alpha1.ReasonFailed, "spec.checks: 1 of 1 checks failed (run "+run.Name+"; see `fathom logs "+run.Name+"`")
	}
	if len(w.runs("x")) != 1 {
		t.Fatal("it was tried again by itself")
	}
	w.change("x", func(d *v1alpha1.Dataset) { d.Annotations = map[string]string{v1alpha1.AnnotationRetry: "again"} })
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	w.succeed(w.live("x"), w.parquet("p1"))
	w.want("x", v1alpha1.ReasonReady, "version 1")
}

// TestOutputThatCannotBeStored: the run has succeeded, but what it left is no dataset.
func TestOutputThatCannotBeStored(t *testing.T) {
	for _, c := range []struct {
		name    string
		output  func(*world) []lake.File
		message string
	}{
		{"nothing", func(*world) []lake.File { return nil }, "no *.parquet"},
		{"text", func(w *world) []lake.File { return []lake.File{w.blob("data.parquet", "a,b")} }, "data.parquet"},
		{"a report that is none", func(w *world) []lake.File { return []lake.File{w.parquet("p"), w.blob("report.json", "no")} }, "report.json: it is not as expected"},
		{"lost bytes", func(w *world) []lake.File {
			return []lake.File{{Path: "data.parquet", Digest: ref.DigestOf([]byte("lost")), Size: 4}}
		}, "cannot be stored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, ready("voice", 1), queried("x", "select * from voice"))
			w.want("x", v1alpha1.ReasonRunning, "starts a run")
			w.succeed(w.live("x"), c.output(w)...)
			w.want("x", v1alpha1.ReasonFailed, "the output of run")
			w.want("x", v1alpha1.ReasonFailed, c.message)
		})
	}
}

// TestStorageQuota: a version that would pass the workspace's quota is not stored, until there is room.
func TestStorageQuota(t *testing.T) {
	tiny := resource.MustParse("100")
	workspace := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "neurology"}, Spec: v1alpha1.WorkspaceSpec{Quota: v1alpha1.Quota{Storage: &tiny}}}
	w := newWorld(t, workspace, ready("voice", 1), queried("x", "select * from voice"))
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	w.succeed(w.live("x"), w.parquet("p1"))
	d := w.want("x", v1alpha1.ReasonFailed, "spec.quota.storage of workspace neurology: it allows 100, versions hold 0 bytes, and this one would add")
	if w.versions("x") != 0 || len(w.runs("x")) != 1 {
		t.Errorf("%d versions, %d runs", w.versions("x"), len(w.runs("x")))
	}
	if result, err := w.s.Reconcile(t.Context(), d); err != nil || result.RequeueAfter != w.s.Rescan {
		t.Errorf("it looks again after %s, %v", result.RequeueAfter, err)
	}
	roomy := resource.MustParse("1Gi")
	workspace.Spec.Quota.Storage = &roomy
	if err := w.Update(t.Context(), workspace); err != nil {
		t.Fatal(err)
	}
	w.want("x", v1alpha1.ReasonReady, "version 1 is up to date")
}
