// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/source"
)

// world is an API without controllers, a bucket and a lake; the test plays the runs and the clock.
type world struct {
	*testing.T
	client.Client
	s        *Station
	lake     *lake.Store
	bucket   string
	now      time.Time
	checks   int
	captured []lake.File
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.Dataset{}, &v1alpha1.Run{}).Build()
	buckets := t.TempDir()
	w.bucket = filepath.Join(buckets, "neurology")
	store, err := lake.Open(lake.Options{Dir: filepath.Join(t.TempDir(), "lake"), Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w.lake = store
	w.restart(buckets)
	return w
}

// restart makes the station anew: what it knew in memory is gone.
func (w *world) restart(buckets string) {
	w.s = New(Options{
		Client: w.Client, Lake: w.lake, Sources: source.New(buckets), Check: w.check, Now: func() time.Time { return w.now },
		Captured: func(context.Context, string, string) ([]lake.File, error) { return w.captured, nil },
	})
}

var (
	tableWord = regexp.MustCompile(`(?i)\b(?:from|join)\s+([a-z_]+)`)
	firstWord = regexp.MustCompile(`(?i)^select\s+([a-z_]+)`)
)

// check finds the words behind from and join; where the columns are known, the first selected one must be among them.
func (w *world) check(_ context.Context, p query.CheckParams) (query.Checked, error) {
	w.checks++
	var out query.Checked
	if !strings.HasPrefix(p.SQL, "select ") {
		out.Error = &query.Problem{Message: "syntax error at or near \"selec\"", Line: 1, Column: 1}
		return out, nil
	}
	for _, found := range tableWord.FindAllStringSubmatch(p.SQL, -1) {
		out.Tables = append(out.Tables, found[1])
	}
	if column := firstWord.FindStringSubmatch(p.SQL); column != nil && len(p.Tables) > 0 {
		known := slices.ContainsFunc(p.Tables, func(t query.Table) bool {
			return slices.ContainsFunc(t.Columns, func(c query.Column) bool { return c.Name == column[1] })
		})
		if !known {
			out.Error = &query.Problem{Message: "column " + column[1] + " not found", Line: 1, Column: 8, Hint: "did you mean jitter?"}
		}
	}
	return out, nil
}

// put writes a file into the bucket an hour ago, so that nothing is still arriving.
func (w *world) put(key, text string) {
	w.Helper()
	path := filepath.Join(w.bucket, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	w.touch(key, w.now.Add(-time.Hour))
}

func (w *world) remove(key string) {
	w.Helper()
	if err := os.Remove(filepath.Join(w.bucket, key)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) touch(key string, at time.Time) {
	w.Helper()
	if err := os.Chtimes(filepath.Join(w.bucket, key), at, at); err != nil {
		w.Fatal(err)
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "neurology", Name: name, Generation: 1}
}

// from declares a dataset.
func from(name string, source v1alpha1.Source, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: meta(name), Spec: v1alpha1.DatasetSpec{From: source}}
	for _, c := range change {
		c(d)
	}
	return d
}

func fromFiles(name, url string, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	return from(name, v1alpha1.Source{Files: &v1alpha1.Files{URL: url, Format: "csv"}}, change...)
}

func queried(name, sql string, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	return from(name, v1alpha1.Source{Query: &v1alpha1.Query{SQL: sql}}, change...)
}

// ready is a dataset that is kept true elsewhere.
func ready(name string, version int64, change ...func(*v1alpha1.Dataset)) *v1alpha1.Dataset {
	d := fromFiles(name, name+"/*.csv", change...)
	d.Status.Version, d.Status.Fingerprint = version, strings.Repeat(string(rune('0'+version)), 64)
	v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonReady, "", 1, time.Time{})
	return d
}

func (w *world) get(name string) *v1alpha1.Dataset {
	w.Helper()
	var d v1alpha1.Dataset
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: name}, &d); err != nil {
		w.Fatal(err)
	}
	return &d
}

// look reconciles once and returns the dataset with the reason and message of its condition.
func (w *world) look(name string) (*v1alpha1.Dataset, string, string) {
	w.Helper()
	if _, err := w.s.Reconcile(w.Context(), w.get(name)); err != nil {
		w.Fatal(err)
	}
	d := w.get(name)
	reason, message := v1alpha1.Ready(d.Status.Conditions)
	return d, reason, message
}

// want reconciles once and compares reason and message.
func (w *world) want(name, reason, message string) *v1alpha1.Dataset {
	w.Helper()
	d, gotReason, gotMessage := w.look(name)
	if gotReason != reason || !strings.Contains(gotMessage, message) {
		w.Fatalf("%s is %s: %s\nwant %s: …%s…", name, gotReason, gotMessage, reason, message)
	}
	return d
}

// runs lists the runs for a dataset, by creation as far as their names tell.
func (w *world) runs(name string) []v1alpha1.Run {
	w.Helper()
	var list v1alpha1.RunList
	if err := w.List(w.Context(), &list, client.MatchingLabels{v1alpha1.LabelFor: "dataset." + name}); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// live is the one run for the dataset that has not ended and is not cancelled.
func (w *world) live(name string) *v1alpha1.Run {
	w.Helper()
	var found []*v1alpha1.Run
	runs := w.runs(name)
	for i := range runs {
		if !finished(&runs[i]) && !runs[i].Spec.Cancel {
			found = append(found, &runs[i])
		}
	}
	if len(found) != 1 {
		w.Fatalf("%s has %d live runs, want 1", name, len(found))
	}
	return found[0]
}

// blob stores bytes in the lake.
func (w *world) blob(path, text string) lake.File {
	w.Helper()
	digest, n, err := w.lake.PutBlob(w.Context(), strings.NewReader(text), "")
	if err != nil {
		w.Fatal(err)
	}
	return lake.File{Path: path, Digest: digest, Size: n}
}

// parquet is a table with the columns patient_id and jitter, a row a patient.
func (w *world) parquet(patients ...string) lake.File {
	w.Helper()
	path := filepath.Join(w.TempDir(), "data.parquet")
	id := evaluate.Column{Feature: evaluate.Feature{Name: "patient_id"}, Texts: patients}
	jitter := evaluate.Column{Feature: evaluate.Feature{Name: "jitter"}, Numbers: make([]float64, len(patients))}
	if err := table.WriteColumns(path, nil, []evaluate.Column{id, jitter}); err != nil {
		w.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	return w.blob("data.parquet", string(content))
}

func (w *world) report(r map[string]any) lake.File {
	w.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		w.Fatal(err)
	}
	return w.blob("report.json", string(b))
}

// succeed plays the run station: the run has ended and left these files.
func (w *world) succeed(run *v1alpha1.Run, files ...lake.File) {
	w.Helper()
	manifest, err := lake.NewManifest(files)
	if err != nil {
		w.Fatal(err)
	}
	output, err := w.lake.PutManifest(w.Context(), manifest)
	if err != nil {
		w.Fatal(err)
	}
	at := metav1.NewTime(w.now)
	w.end(run, v1alpha1.RunStatus{Phase: v1alpha1.RunSucceeded, Output: string(output), Recorded: true, FinishedAt: &at})
}

func (w *world) end(run *v1alpha1.Run, status v1alpha1.RunStatus) {
	w.Helper()
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(run), run); err != nil {
		w.Fatal(err)
	}
	run.Status = status
	if err := w.Status().Update(w.Context(), run); err != nil {
		w.Fatal(err)
	}
}

// made brings a dataset from nothing to a version.
func (w *world) made(name string, output ...lake.File) *v1alpha1.Dataset {
	w.Helper()
	w.want(name, v1alpha1.ReasonRunning, "starts a run")
	w.succeed(w.live(name), output...)
	return w.want(name, v1alpha1.ReasonReady, "is up to date")
}

// change updates the declaration.
func (w *world) change(name string, change func(*v1alpha1.Dataset)) {
	w.Helper()
	d := w.get(name)
	change(d)
	d.Generation++
	if err := w.Update(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

func (w *world) versions(name string) int {
	w.Helper()
	list, _, err := w.lake.Versions(w.Context(), ref.Name{Workspace: "neurology", Name: name}, lake.Page{Limit: 100})
	if err != nil {
		w.Fatal(err)
	}
	return len(list)
}
