// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// world is an API without controllers, a lake and a tracker; the test plays the runs and the clock.
type world struct {
	*testing.T
	client.Client
	s       *Station
	lake    *lake.Store
	now     time.Time
	tracker *tracker
	hide    map[string]bool // versions that the cache does not show yet
}

// tracker remembers what it was told.
type tracker struct {
	began, finished, registered, promoted []string
	err                                   error
}

func (t *tracker) Begin(_ context.Context, _ ref.Name, run string, _ map[string]string) (string, error) {
	t.began = append(t.began, run)
	return "tracking-" + run, t.err
}

func (t *tracker) Finish(_ context.Context, _ ref.Name, run string, metrics map[string]float64) error {
	t.finished = append(t.finished, fmt.Sprintf("%s %d", run, len(metrics)))
	return t.err
}

func (t *tracker) Register(_ context.Context, _ ref.Name, number int64, _ string, _ ref.Digest) error {
	t.registered = append(t.registered, fmt.Sprint(number))
	return t.err
}

func (t *tracker) Promote(_ context.Context, _ ref.Name, number int64) error {
	if t.err == nil {
		t.promoted = append(t.promoted, fmt.Sprint(number))
	}
	return t.err
}

func newWorld(t *testing.T, change ...func(*v1alpha1.Model)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), tracker: &tracker{}, hide: map[string]bool{}}
	m := declared()
	for _, c := range change {
		c(m)
	}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(m).
		WithStatusSubresource(&v1alpha1.Model{}, &v1alpha1.ModelVersion{}, &v1alpha1.Dataset{}, &v1alpha1.Run{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				o.SetCreationTimestamp(metav1.NewTime(w.now))
				return c.Create(ctx, o, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				err := c.List(ctx, list, opts...)
				if versions, ok := list.(*v1alpha1.ModelVersionList); ok {
					versions.Items = slices.DeleteFunc(versions.Items, func(v v1alpha1.ModelVersion) bool { return w.hide[v.Name] })
				}
				return err
			},
		}).Build()
	store, err := lake.Open(lake.Options{Dir: filepath.Join(t.TempDir(), "lake"), Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w.lake = store
	w.restart()
	w.data(1)
	return w
}

// restart makes the station anew: what it knew in memory is gone.
func (w *world) restart() {
	w.s = New(Options{Client: w.Client, Lake: w.lake, Tracker: w.tracker, Now: func() time.Time { return w.now },
		URL: func(n ref.Name) string { return "https://fathom.test/" + n.Name }})
}

const folds = 2

func declared() *v1alpha1.Model {
	n := int32(folds)
	return &v1alpha1.Model{
		ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "parkinsons", Generation: 1},
		Spec: v1alpha1.ModelSpec{
			Data:     v1alpha1.ModelData{Dataset: "cohort", Target: "status", Subject: "patient_id"},
			Train:    v1alpha1.Train{Framework: "python", Workers: 1, Code: v1alpha1.Code{Bundle: digest("code 1"), Command: []string{"python", "train.py"}}},
			Evaluate: v1alpha1.Evaluate{Folds: &n, By: "subject", Metrics: []string{"roc_auc"}},
			Promote:  v1alpha1.Promote{When: []string{"roc_auc > 0.6", "roc_auc >= production.roc_auc - 0.02", "leakage == none"}},
			Retrain:  v1alpha1.Retrain{Triggers: []string{"data"}},
		},
	}
}

func digest(text string) string { return string(ref.DigestOf([]byte(text))) }

// data makes a version of the cohort the current one, and stores it when it is new.
func (w *world) data(number int) {
	w.Helper()
	path := filepath.Join(w.TempDir(), "data.parquet")
	text := func(name string) evaluate.Column {
		return evaluate.Column{Feature: evaluate.Feature{Name: name}, Texts: []string{"a", fmt.Sprint(number)}}
	}
	if err := table.WriteColumns(path, nil, []evaluate.Column{text("patient_id"), text("jitter"), text("sex"), text("status")}); err != nil {
		w.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	manifest, err := lake.NewManifest([]lake.File{w.blob("data.parquet", string(content))})
	if err != nil {
		w.Fatal(err)
	}
	fingerprint := strings.Repeat(fmt.Sprint(number), 64)
	v, err := w.lake.Commit(w.Context(), lake.CommitRequest{Name: ref.Name{Workspace: "neurology", Name: "cohort"}, Fingerprint: fingerprint, Files: manifest})
	if err != nil {
		w.Fatal(err)
	}
	w.dataset(v1alpha1.ReasonReady, int64(v.Number), fingerprint)
}

// dataset makes or changes the Dataset object.
func (w *world) dataset(reason string, version int64, fingerprint string) {
	w.Helper()
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "cohort"}}
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(d), d); err != nil {
		if err := w.Create(w.Context(), d); err != nil {
			w.Fatal(err)
		}
	}
	d.Status.Version, d.Status.Fingerprint = version, fingerprint
	v1alpha1.SetReady(&d.Status.Conditions, reason, "", 1, w.now)
	if err := w.Status().Update(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

func (w *world) blob(path, text string) lake.File {
	w.Helper()
	d, n, err := w.lake.PutBlob(w.Context(), strings.NewReader(text), "")
	if err != nil {
		w.Fatal(err)
	}
	return lake.File{Path: path, Digest: d, Size: n}
}

func (w *world) json(path string, v any) lake.File {
	w.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	return w.blob(path, string(b))
}

func (w *world) get() *v1alpha1.Model {
	w.Helper()
	var m v1alpha1.Model
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: "parkinsons"}, &m); err != nil {
		w.Fatal(err)
	}
	return &m
}

// want reconciles once and compares the condition's reason and message.
func (w *world) want(reason, message string) *v1alpha1.Model {
	w.Helper()
	if _, err := w.s.Reconcile(w.Context(), w.get()); err != nil {
		w.Fatal(err)
	}
	m := w.get()
	gotReason, gotMessage := v1alpha1.Ready(m.Status.Conditions)
	if gotReason != reason || !strings.Contains(gotMessage, message) {
		w.Fatalf("it is %s: %s\nwant %s: …%s…", gotReason, gotMessage, reason, message)
	}
	return m
}

func (w *world) change(change func(*v1alpha1.Model)) {
	w.Helper()
	m := w.get()
	change(m)
	m.Generation++
	if err := w.Update(w.Context(), m); err != nil {
		w.Fatal(err)
	}
}

// runs are the live runs of the model by part.
func (w *world) runs() map[string]*v1alpha1.Run {
	w.Helper()
	var list v1alpha1.RunList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	out := map[string]*v1alpha1.Run{}
	for i := range list.Items {
		if r := &list.Items[i]; !ended(r) && !r.Spec.Cancel {
			if out[r.Spec.Part] != nil {
				w.Fatalf("two live runs for part %s", r.Spec.Part)
			}
			out[r.Spec.Part] = r
		}
	}
	return out
}

// parts are the parts that are under way, sorted.
func (w *world) parts() string { return strings.Join(slices.Sorted(maps.Keys(w.runs())), " ") }

// count is the number of all runs.
func (w *world) count() int {
	w.Helper()
	var list v1alpha1.RunList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	return len(list.Items)
}

// succeed plays the run station for one part.
func (w *world) succeed(part string, files ...lake.File) {
	w.Helper()
	manifest, err := lake.NewManifest(files)
	if err != nil {
		w.Fatal(err)
	}
	output, err := w.lake.PutManifest(w.Context(), manifest)
	if err != nil {
		w.Fatal(err)
	}
	w.end(part, v1alpha1.RunStatus{Phase: v1alpha1.RunSucceeded, Output: string(output), Recorded: true, Environment: digest("environment")})
}

func (w *world) end(part string, status v1alpha1.RunStatus) {
	w.Helper()
	run := w.runs()[part]
	if run == nil {
		w.Fatalf("no run for part %s is under way: %s", part, w.parts())
	}
	run.Status = status
	if err := w.Status().Update(w.Context(), run); err != nil {
		w.Fatal(err)
	}
}

// Outputs of the parts.
func (w *world) splitOutput() []lake.File {
	s := evaluate.Split{Task: evaluate.Binary, Classes: []string{"0", "1"}, Features: []evaluate.Feature{{Name: "jitter"}}}
	for k := range folds {
		s.Folds = append(s.Folds, evaluate.SplitFold{Fold: k})
	}
	return []lake.File{w.json("split.json", s), w.blob("assignment.parquet", "rows"), w.json("subjects.json", []string{"s1", "s2"}),
		w.blob("final/train.parquet", "all"), w.blob("fold-0/train.parquet", "half")}
}

// found is an evaluation with this ROC AUC; findings block.
func (w *world) found(auc float64, findings ...string) lake.File {
	low := auc - 0.1
	high := auc + 0.1
	e := evaluate.Evaluation{Task: evaluate.Binary, Metrics: map[string]evaluate.Metric{
		"roc_auc": {Value: auc, Low: &low, High: &high}, "brier": {Value: 0.2},
	}, Leakage: evaluate.Leakage{Verdict: "none"}}
	for _, f := range findings {
		e.Leakage.Verdict = "block"
		e.Leakage.Findings = append(e.Leakage.Findings, evaluate.Finding{Kind: evaluate.LeakSubject, Message: f})
	}
	return w.json("evaluation.json", e)
}

// train plays the whole pipeline up to the evaluation's end.
func (w *world) train(auc float64, findings ...string) {
	w.Helper()
	w.want(v1alpha1.ReasonRunning, "starts a run")
	w.succeed("split", w.splitOutput()...)
	w.want(v1alpha1.ReasonRunning, "")
	for _, part := range []string{"final", "fold-0", "fold-1"} {
		w.succeed(part, w.blob("model.onnx", fmt.Sprintf("%s %v %v", part, auc, w.now)))
	}
	w.want(v1alpha1.ReasonRunning, "")
	w.succeed("evaluate", w.found(auc, findings...))
	w.want(v1alpha1.ReasonRunning, "registers version")
}

// version reads a version.
func (w *world) version(number int) *v1alpha1.ModelVersion {
	w.Helper()
	var v v1alpha1.ModelVersion
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: fmt.Sprintf("parkinsons-%d", number)}, &v); err != nil {
		w.Fatal(err)
	}
	return &v
}

// stages are the stages of all versions in order.
func (w *world) stages() string {
	w.Helper()
	var list v1alpha1.ModelVersionList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.ModelVersion) int { return int(a.Spec.Number - b.Spec.Number) })
	var out []string
	for _, v := range list.Items {
		out = append(out, v.Status.Stage)
	}
	return strings.Join(out, " ")
}

// person plays the console's door: a person's decision on a version.
func (w *world) person(number int, change func(*v1alpha1.ModelVersionStatus)) {
	w.Helper()
	v := w.version(number)
	change(&v.Status)
	if err := w.Status().Update(w.Context(), v); err != nil {
		w.Fatal(err)
	}
}
