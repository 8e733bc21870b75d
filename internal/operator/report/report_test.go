// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/page"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

const markdown = "# Findings\n\n```sql\nselect * from voice\n```\n\ntext\n\n```sql {chart=bar}\nselect a, b from scan_features join voice using (c)\n```\n"

// world is an API without controllers; the test plays the runs.
type world struct {
	*testing.T
	client.Client
	s      *Station
	lake   *lake.Store
	now    time.Time
	checks int
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.Report{}, &v1alpha1.Dataset{}, &v1alpha1.Run{}).Build()
	store, err := lake.Open(lake.Options{Dir: filepath.Join(t.TempDir(), "lake")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w.lake = store
	w.s = New(Options{Client: w.Client, Lake: store, Now: func() time.Time { return w.now }, Check: w.check,
		URL: func(n ref.Name) string {
			return "https://fathom.test/ui/workspaces/" + n.Workspace + "/reports/" + n.Name + "/index.html"
		}})
	return w
}

// check reads the words behind from and join.
func (w *world) check(_ context.Context, p query.CheckParams) (query.Checked, error) {
	w.checks++
	var out query.Checked
	words := strings.Fields(p.SQL)
	for i, word := range words[:len(words)-1] {
		if word == "fro" {
			out.Error = &query.Problem{Message: "syntax error", Line: 1, Column: 10}
		}
		if word == "from" || word == "join" {
			out.Tables = append(out.Tables, words[i+1])
		}
	}
	return out, nil
}

// pack puts a page into the lake as `fathom apply` does.
func (w *world) pack(markdown string) string {
	w.Helper()
	dir := w.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.md"), []byte(markdown), 0o600); err != nil {
		w.Fatal(err)
	}
	var tar bytes.Buffer
	if err := bundle.Pack(&tar, dir); err != nil {
		w.Fatal(err)
	}
	digest, _, err := w.lake.PutBlob(w.Context(), &tar, "")
	if err != nil {
		w.Fatal(err)
	}
	return string(digest)
}

func (w *world) report(bundle string) {
	w.Helper()
	r := &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "findings"},
		Spec: v1alpha1.ReportSpec{Page: "./report/findings.md", Bundle: bundle}}
	if err := w.Create(w.Context(), r); err != nil {
		w.Fatal(err)
	}
}

func dataset(name string, version int64, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: name}}
	d.Status = v1alpha1.DatasetStatus{Version: version, Fingerprint: strings.Repeat(string(rune('0'+version)), 64), Rows: 10}
	v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonReady, "", 1, time.Time{})
	for _, c := range change {
		c(d)
	}
	return d
}

func identified(d *v1alpha1.Dataset) { d.Status.Identified = true }

func failed(d *v1alpha1.Dataset) {
	v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonFailed, "", 1, time.Time{})
}

// look reconciles once and returns the report with reason and message.
func (w *world) look() (*v1alpha1.Report, string, string) {
	w.Helper()
	var r v1alpha1.Report
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: "findings"}, &r); err != nil {
		w.Fatal(err)
	}
	if _, err := w.s.Reconcile(w.Context(), &r); err != nil {
		w.Fatal(err)
	}
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(&r), &r); err != nil {
		w.Fatal(err)
	}
	reason, message := v1alpha1.Ready(r.Status.Conditions)
	return &r, reason, message
}

func (w *world) runs() []v1alpha1.Run {
	w.Helper()
	var list v1alpha1.RunList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// finish plays the run station: the run has left these files.
func (w *world) finish(run *v1alpha1.Run, files ...string) ref.Digest {
	w.Helper()
	var list []lake.File
	for _, f := range files {
		digest, n, err := w.lake.PutBlob(w.Context(), strings.NewReader("<html>"+f), "")
		if err != nil {
			w.Fatal(err)
		}
		list = append(list, lake.File{Path: f, Digest: digest, Size: n})
	}
	manifest, err := lake.NewManifest(list)
	if err != nil {
		w.Fatal(err)
	}
	output, err := w.lake.PutManifest(w.Context(), manifest)
	if err != nil {
		w.Fatal(err)
	}
	run.Status = v1alpha1.RunStatus{Phase: v1alpha1.RunSucceeded, Output: string(output), Recorded: true}
	if err := w.Status().Update(w.Context(), run); err != nil {
		w.Fatal(err)
	}
	return output
}

func TestPageIsKeptTrue(t *testing.T) {
	w := newWorld(t, dataset("voice", 3), dataset("scan-features", 1))
	w.report(w.pack(markdown))
	r, reason, _ := w.look()
	runs := w.runs()
	if reason != v1alpha1.ReasonRunning || len(runs) != 1 || r.Status.Run != runs[0].Name {
		t.Fatalf("reason %s, runs %v, status %+v", reason, runs, r.Status)
	}
	run := &runs[0]
	if run.Spec.Step != v1alpha1.StepRender || run.Spec.Code != r.Spec.Bundle || len(run.Spec.Inputs) != 2 || run.Spec.Inputs[1].Version != 3 {
		t.Errorf("run %+v", run.Spec)
	}
	var params page.Params
	w.blob(ref.Digest(run.Spec.Parameters), &params)
	if len(params.Tables) != 2 || params.Tables[0].Name != "scan_features" || params.Tables[0].Files[0] != "scan-features/*.parquet" ||
		params.File != "./report/findings.md" || params.Fingerprint != run.Spec.Fingerprint {
		t.Errorf("parameters %+v", params)
	}
	if _, reason, _ = w.look(); reason != v1alpha1.ReasonRunning || len(w.runs()) != 1 {
		t.Error("a second look started something")
	}
	output := w.finish(run, "index.html", "scan.png")
	r, reason, _ = w.look()
	if reason != v1alpha1.ReasonReady || r.Status.Version != 1 || r.Status.Output != string(output) || !strings.HasSuffix(r.Status.URL, "/reports/findings/index.html") ||
		!slices.Equal(r.Status.Inputs, []string{"scan-features", "voice"}) || r.Status.UpdatedAt == nil {
		t.Fatalf("reason %s, status %+v", reason, r.Status)
	}
	tree, err := w.lake.Why(t.Context(), lake.Artifact{Kind: lake.KindReport, Workspace: "neurology", Name: "findings", Version: "1"})
	if err != nil || len(tree.Inputs) != 3 {
		t.Errorf("lineage %+v, %v", tree, err)
	}
	checks := w.checks
	if _, _, message := w.look(); message != "version 1 is up to date" || len(w.runs()) != 0 {
		t.Errorf("message %q, runs %v", message, w.runs())
	}
	if w.checks != checks {
		t.Error("an unchanged page was parsed again")
	}
}

func (w *world) blob(d ref.Digest, into any) {
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

func TestNewDataMakesANewPage(t *testing.T) {
	voice := dataset("voice", 3)
	w := newWorld(t, voice, dataset("scan-features", 1))
	w.report(w.pack(markdown))
	w.look()
	first := w.runs()[0]
	voice.Status.Fingerprint, voice.Status.Version = strings.Repeat("4", 64), 4
	if err := w.Status().Update(t.Context(), voice); err != nil {
		t.Fatal(err)
	}
	if _, _, message := w.look(); !strings.Contains(message, "stops run "+first.Name) || !w.runs()[0].Spec.Cancel {
		t.Fatalf("message %q", message)
	}
	w.look()
	runs := w.runs()
	if len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
	for i := range runs {
		if runs[i].Name != first.Name {
			w.finish(&runs[i], "index.html")
		}
	}
	r, reason, _ := w.look()
	if reason != v1alpha1.ReasonReady || r.Status.Version != 1 {
		t.Fatalf("reason %s, status %+v", reason, r.Status)
	}
	failed(voice)
	if err := w.Status().Update(t.Context(), voice); err != nil {
		t.Fatal(err)
	}
	if _, reason, message := w.look(); reason != v1alpha1.ReasonWaiting || !strings.Contains(message, "version 1 stays on show") {
		t.Errorf("%s: %s", reason, message)
	}
}

func TestWhatIsToldToTheAuthor(t *testing.T) {
	for _, c := range []struct {
		name, markdown string
		bundle         string
		datasets       []client.Object
		want           string
		message        string
	}{
		{name: "not uploaded", bundle: "-", want: v1alpha1.ReasonInvalid, message: "spec.bundle: the page is not uploaded; apply with `fathom apply`"},
		{name: "bundle is gone", bundle: "sha256:" + strings.Repeat("a", 64), want: v1alpha1.ReasonInvalid, message: "the lake has no bundle"},
		{name: "bad attribute", markdown: "a\n\n```sql {chart=pie}\nselect 1\n```\n", want: v1alpha1.ReasonInvalid, message: `findings.md: line 3: there is no chart "pie"`},
		{name: "bad SQL", markdown: "a\n\n```sql\nselect * fro voice\n```\n", want: v1alpha1.ReasonInvalid, message: "findings.md: line 4, column 10: syntax error"},
		{name: "no dataset", markdown: markdown, datasets: []client.Object{dataset("voice", 1)}, want: v1alpha1.ReasonWaiting, message: "dataset scan-features: there is none (findings.md, line 10)"},
		{name: "failed dataset", markdown: markdown, datasets: []client.Object{dataset("voice", 1, failed), dataset("scan-features", 1)}, want: v1alpha1.ReasonWaiting, message: "waits for dataset voice: Failed"},
		{name: "no version yet", markdown: markdown, datasets: []client.Object{dataset("voice", 0), dataset("scan-features", 1)}, want: v1alpha1.ReasonWaiting, message: "dataset voice"},
		{name: "identified", markdown: markdown, datasets: []client.Object{dataset("voice", 1, identified), dataset("scan-features", 1)}, want: v1alpha1.ReasonInvalid, message: "findings.md: line 4: dataset voice holds rows that may be traced to persons"},
		{name: "words only", markdown: "# Nothing but words\n", want: v1alpha1.ReasonRunning, message: "starts a run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.datasets...)
			switch c.bundle {
			case "":
				w.report(w.pack(c.markdown))
			case "-":
				w.report("")
			default:
				w.report(c.bundle)
			}
			_, reason, message := w.look()
			if reason != c.want || !strings.Contains(message, c.message) {
				t.Errorf("%s: %s", reason, message)
			}
		})
	}
}

func TestRunThatFailed(t *testing.T) {
	w := newWorld(t, dataset("voice", 1), dataset("scan-features", 1))
	w.report(w.pack(markdown))
	w.look()
	run := &w.runs()[0]
	w.finish(run, "other.html")
	if _, reason, message := w.look(); reason != v1alpha1.ReasonFailed || !strings.Contains(message, "it left no index.html") {
		t.Errorf("%s: %s", reason, message)
	}
	run.Status = v1alpha1.RunStatus{Phase: v1alpha1.RunFailed, Message: "findings.md: line 4: no"}
	if err := w.Status().Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	r, reason, message := w.look()
	if reason != v1alpha1.ReasonFailed || !strings.Contains(message, "findings.md: line 4: no") {
		t.Errorf("%s: %s", reason, message)
	}
	r.Annotations = map[string]string{v1alpha1.AnnotationRetry: "again"}
	if err := w.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, reason, _ := w.look(); reason != v1alpha1.ReasonRunning || len(w.runs()) != 2 {
		t.Errorf("a retry did not start: %s", reason)
	}
}

func TestReaders(t *testing.T) {
	w := newWorld(t)
	w.report(w.pack("x"))
	if got := w.s.readers(t.Context(), dataset("voice", 1)); len(got) != 1 {
		t.Errorf("a report that was not read yet is asked about %d times", len(got))
	}
	var r v1alpha1.Report
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "neurology", Name: "findings"}, &r); err != nil {
		t.Fatal(err)
	}
	r.Status.Inputs = []string{"other"}
	if err := w.Status().Update(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if got := w.s.readers(t.Context(), dataset("voice", 1)); len(got) != 0 {
		t.Error("a report is asked about a dataset that it does not read")
	}
}

func TestPlan(t *testing.T) {
	w := newWorld(t, dataset("voice", 1), dataset("scan-features", 1))
	for bundle, want := range map[string]string{w.pack(markdown): "starts a run", "sha256:" + strings.Repeat("b", 64): "the page has changed"} {
		decision, err := w.s.Plan(t.Context(), &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "findings"},
			Spec: v1alpha1.ReportSpec{Page: "p.md", Bundle: bundle}})
		if err != nil || decision.Message != want {
			t.Errorf("%+v, %v, want %q", decision, err, want)
		}
	}
	if len(w.runs()) != 0 {
		t.Error("planning started a run")
	}
}
