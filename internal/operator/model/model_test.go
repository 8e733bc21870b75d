// SPDX-License-Identifier: Apache-2.0

package model

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// TestWhatIsToldToTheAuthor: nothing runs until the declaration and its data are right.
func TestWhatIsToldToTheAuthor(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*v1alpha1.Model)
		reason  string
		message string
	}{
		{"no dataset", func(m *v1alpha1.Model) { m.Spec.Data.Dataset = "nowhere" }, v1alpha1.ReasonWaiting, "waits for dataset nowhere: there is none"},
		{"target", func(m *v1alpha1.Model) { m.Spec.Data.Target = "stats" }, v1alpha1.ReasonInvalid,
			`spec.data.target: dataset cohort has no column "stats"; its columns are patient_id, jitter, sex, status`},
		{"subject", func(m *v1alpha1.Model) { m.Spec.Data.Subject = "patient" }, v1alpha1.ReasonInvalid, `spec.data.subject: dataset cohort has no column "patient"`},
		{"feature", func(m *v1alpha1.Model) { m.Spec.Data.Features = []string{"jitter", "shimer"} }, v1alpha1.ReasonInvalid, `spec.data.features[1]: dataset cohort has no column "shimer"`},
		{"ignore", func(m *v1alpha1.Model) { m.Spec.Data.Ignore = []string{"x"} }, v1alpha1.ReasonInvalid, "spec.data.ignore[0]"},
		{"slice", func(m *v1alpha1.Model) { m.Spec.Evaluate.Slices = []string{"sex", "site"} }, v1alpha1.ReasonInvalid, `spec.evaluate.slices[1]: dataset cohort has no column "site"`},
		{"fold column", func(m *v1alpha1.Model) { m.Spec.Evaluate.Column = "fold" }, v1alpha1.ReasonInvalid, "spec.evaluate.column"},
		{"metric", func(m *v1alpha1.Model) { m.Spec.Evaluate.Metrics = []string{"auc"} }, v1alpha1.ReasonInvalid, `spec.evaluate.metrics[0]: there is no metric "auc"; use one of`},
		{"rule names nothing", func(m *v1alpha1.Model) { m.Spec.Promote.When = []string{"roc_auc > 0.5", "auc > 0.5"} }, v1alpha1.ReasonInvalid, `spec.promote.when[1]: "auc > 0.5"`},
		{"rule is no rule", func(m *v1alpha1.Model) { m.Spec.Promote.When = []string{"roc_auc"} }, v1alpha1.ReasonInvalid, "a rule must be true or false"},
		{"code", func(m *v1alpha1.Model) { m.Spec.Train.Code.Bundle = "" }, v1alpha1.ReasonInvalid, "spec.train.code.bundle: the code is not uploaded; apply with `fathom apply`"},
		{"requirements", func(m *v1alpha1.Model) { m.Spec.Train.Code.Environment.Python = "r.txt" }, v1alpha1.ReasonInvalid, "spec.train.code.environment.requirements: r.txt is not uploaded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.want(c.reason, c.message)
			if w.count() != 0 {
				t.Error("a run was started")
			}
		})
	}
	t.Run("dataset is not ready", func(t *testing.T) {
		w := newWorld(t)
		w.dataset(v1alpha1.ReasonFailed, 1, "x")
		w.want(v1alpha1.ReasonWaiting, "waits for dataset cohort: Failed")
		w.dataset(v1alpha1.ReasonReady, 0, "")
		w.want(v1alpha1.ReasonWaiting, "waits for dataset cohort: Ready")
	})
}

// TestPipeline: split, then all trainings at once, then the evaluation; each run sees what it may and no more.
func TestPipeline(t *testing.T) {
	w := newWorld(t)
	w.want(v1alpha1.ReasonRunning, "starts a run")
	split := w.runs()["split"]
	if w.parts() != "split" || split.Spec.Step != v1alpha1.StepSplit || split.Spec.Inputs[0].Dataset != "cohort" || split.Spec.Inputs[0].Version != 1 {
		t.Fatalf("%s, %+v", w.parts(), split.Spec)
	}
	if m := w.want(v1alpha1.ReasonRunning, split.Name); m.Status.Progress != "split" {
		t.Errorf("progress %q", m.Status.Progress)
	}
	w.succeed("split", w.splitOutput()...)
	output := w.output(split.Name)
	w.want(v1alpha1.ReasonRunning, "")
	if w.parts() != "final fold-0 fold-1" {
		t.Fatalf("under way: %s", w.parts())
	}
	for part, r := range w.runs() {
		in := r.Spec.Inputs
		if len(in) != 1 || in[0].Dataset != "" || in[0].Manifest != output || in[0].Path != part || r.Spec.TrackingRun != "tracking-"+r.Name || r.Spec.Retries != 1 {
			t.Errorf("%s sees %+v, tracking run %q", part, in, r.Spec.TrackingRun)
		}
	}
	w.succeed("fold-0", w.blob("model.onnx", "0"))
	if m := w.want(v1alpha1.ReasonRunning, ""); m.Status.Progress != "train 1/3" || w.parts() != "final fold-1" {
		t.Errorf("progress %q, under way: %s", m.Status.Progress, w.parts())
	}
	w.succeed("final", w.blob("model.onnx", "final"))
	w.succeed("fold-1", w.blob("model.onnx", "1"))
	w.want(v1alpha1.ReasonRunning, "")
	evaluation := w.runs()["evaluate"]
	if w.parts() != "evaluate" || len(evaluation.Spec.Inputs) != 2 || evaluation.Spec.Inputs[0].Version != 1 {
		t.Fatalf("under way: %s", w.parts())
	}
	manifest, err := w.lake.GetManifest(t.Context(), ref.Digest(evaluation.Spec.Inputs[1].Manifest))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range manifest.Files {
		paths = append(paths, f.Path)
	}
	if want := "final/model.onnx fold-0/model.onnx fold-1/model.onnx split/assignment.parquet split/split.json"; strings.Join(paths, " ") != want {
		t.Errorf("the evaluation sees %s", paths)
	}
	w.succeed("evaluate", w.found(0.8))
	w.want(v1alpha1.ReasonRunning, "registers version 1")
	m := w.want(v1alpha1.ReasonReady, "version 1 is in production: all rules hold")
	w.wantRegistered(m)
}

// wantRegistered checks everything that is known of a first version, also after a restart.
func (w *world) wantRegistered(m *v1alpha1.Model) {
	w.Helper()
	if st := m.Status; st.Promoted != 1 || st.Latest != 1 || st.Headline != "roc_auc 0.8000 [0.7000, 0.9000]" || st.Fingerprint != st.Wanted || st.Metrics[1].Name != "brier" || st.URL != "https://fathom.test/parkinsons" {
		w.Errorf("status %+v", st)
	}
	v := w.version(1)
	if v.Spec.Digest != digest("final") || v.Spec.DatasetVersion != 1 || v.Spec.Code != digest("code 1") || v.Spec.Environment != digest("environment") || v.Status.PromotedAt == nil {
		w.Errorf("version %+v", v)
	}
	if w.want(v1alpha1.ReasonReady, "version 1"); w.count() != 0 {
		w.Errorf("%d runs whose history is durable are left", w.count())
	}
	tree, err := w.lake.Why(w.Context(), lake.ModelArtifact(nameOf(m), 1, ""))
	if err != nil || len(tree.Inputs) != 3 {
		w.Errorf("lineage %+v, %v", tree, err)
	}
	if s, err := w.lake.Subjects(w.Context(), lake.ModelArtifact(nameOf(m), 1, "")); err != nil || !slices.Equal(s, []string{"s1", "s2"}) {
		w.Errorf("subjects %v, %v", s, err)
	}
	if !slices.Equal(w.tracker.registered, []string{"1"}) || !slices.Equal(w.tracker.promoted, []string{"1"}) || len(w.tracker.finished) != 1 {
		w.Errorf("tracker %+v", w.tracker)
	}
	if w.restart(); true {
		w.want(v1alpha1.ReasonReady, "version 1")
	}
	if w.stages() != v1alpha1.StageProduction || w.count() != 0 {
		w.Errorf("after a restart: %s, %d runs", w.stages(), w.count())
	}
}

// output is what a run left.
func (w *world) output(run string) string {
	w.Helper()
	var r v1alpha1.Run
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: run}, &r); err != nil {
		w.Fatal(err)
	}
	return r.Status.Output
}

// TestTrainingFails: the rest of the pipeline stops, and the part that failed is named.
func TestTrainingFails(t *testing.T) {
	w := newWorld(t)
	w.want(v1alpha1.ReasonRunning, "starts a run")
	w.succeed("split", w.splitOutput()...)
	w.want(v1alpha1.ReasonRunning, "")
	w.end("fold-1", v1alpha1.RunStatus{Phase: v1alpha1.RunFailed, Message: "train.py: line 7: no column"})
	w.want(v1alpha1.ReasonFailed, "fold-1: train.py: line 7: no column")
	if w.parts() != "" {
		t.Errorf("still under way: %s", w.parts())
	}
	var list v1alpha1.RunList
	if err := w.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if r := &list.Items[i]; r.Spec.Cancel {
			r.Status.Phase, r.Status.Message = v1alpha1.RunCancelled, "cancelled"
			if err := w.Status().Update(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.want(v1alpha1.ReasonFailed, "fold-1: train.py: line 7: no column")
	w.change(func(m *v1alpha1.Model) { m.Annotations = map[string]string{v1alpha1.AnnotationRetry: "again"} })
	w.train(0.8)
	w.want(v1alpha1.ReasonReady, "version 1 is in production")
}

// TestTrainingLeavesNoModel: the run has succeeded, but there is nothing to evaluate.
func TestTrainingLeavesNoModel(t *testing.T) {
	w := newWorld(t)
	w.want(v1alpha1.ReasonRunning, "starts a run")
	w.succeed("split", w.splitOutput()...)
	w.want(v1alpha1.ReasonRunning, "")
	for _, part := range []string{"final", "fold-0", "fold-1"} {
		w.succeed(part, w.blob("model.pkl", "x"))
	}
	w.want(v1alpha1.ReasonFailed, "$FATHOM_OUTPUT/model.onnx")
}

// TestPromotion: what the rules and the audit say about versions, and what stays in production.
func TestPromotion(t *testing.T) {
	w := newWorld(t)
	w.train(0.55)
	w.want(v1alpha1.ReasonRefused, `version 1 was refused: "roc_auc > 0.6" does not hold (roc_auc = 0.55)`)
	w.data(2)
	w.train(0.8)
	w.want(v1alpha1.ReasonReady, "version 2 is in production")
	w.data(3)
	w.train(0.75)
	m := w.want(v1alpha1.ReasonReady, "version 2 stays in production; version 3 was refused: ")
	if _, message := v1alpha1.Ready(m.Status.Conditions); !strings.Contains(message, "production.roc_auc = 0.8") || m.Status.Promoted != 2 || m.Status.Latest != 3 {
		t.Errorf("%s, status %+v", message, m.Status)
	}
	w.data(4)
	w.train(0.9, "subject S01 is on both sides of fold 2")
	w.want(v1alpha1.ReasonReady, "version 4 was refused: the leakage audit blocks promotion: subject S01 is on both sides of fold 2")
	if v := w.version(4); v.Status.Leakage != "block SubjectOnBothSides" {
		t.Errorf("leakage %q", v.Status.Leakage)
	}
	w.data(5)
	w.train(0.79)
	w.want(v1alpha1.ReasonReady, "version 5 is in production")
	w.want(v1alpha1.ReasonReady, "version 5 is in production")
	if w.stages() != "Refused Archived Refused Refused Production" || w.version(2).Status.Why != "replaced by version 5" {
		t.Errorf("stages %s", w.stages())
	}
	if !slices.Equal(w.tracker.promoted, []string{"2", "5"}) {
		t.Errorf("the tracker was told %v", w.tracker.promoted)
	}
}

// TestRulesChange: the version that a rule refused is judged anew when the rules change, without training.
func TestRulesChange(t *testing.T) {
	w := newWorld(t, func(m *v1alpha1.Model) { m.Spec.Promote.When = []string{"roc_auc > 0.9"} })
	w.train(0.8)
	w.want(v1alpha1.ReasonRefused, "version 1 was refused")
	w.change(func(m *v1alpha1.Model) { m.Spec.Promote.When = []string{"roc_auc > 0.85"} })
	w.want(v1alpha1.ReasonRefused, `"roc_auc > 0.85" does not hold`)
	w.change(func(m *v1alpha1.Model) {
		m.Spec.Promote = v1alpha1.Promote{When: []string{"roc_auc > 0.7"}, Approval: &v1alpha1.Approval{Role: "approver"}}
	})
	w.want(v1alpha1.ReasonAwaitingApproval, "version 1 keeps the rules and awaits approval")
	w.change(func(m *v1alpha1.Model) { m.Spec.Promote.Approval = nil })
	w.want(v1alpha1.ReasonReady, "version 1 is in production")
	w.change(func(m *v1alpha1.Model) { m.Spec.Promote.When = []string{"roc_auc > 0.99"} })
	w.want(v1alpha1.ReasonReady, "version 1 is in production")
	if w.count() != 0 {
		t.Error("something was trained")
	}
}

// TestApproval: rules hold, a person agrees.
func TestApproval(t *testing.T) {
	w := newWorld(t, func(m *v1alpha1.Model) { m.Spec.Promote.Approval = &v1alpha1.Approval{Role: "approver"} })
	w.train(0.8)
	w.want(v1alpha1.ReasonAwaitingApproval, "version 1 keeps the rules and awaits approval: `fathom promote parkinsons --version 1`")
	w.want(v1alpha1.ReasonAwaitingApproval, "")
	w.person(1, func(st *v1alpha1.ModelVersionStatus) { st.ApprovedBy = "ada" })
	if m := w.want(v1alpha1.ReasonReady, "approved by ada"); m.Status.Promoted != 1 {
		t.Errorf("status %+v", m.Status)
	}
}

// TestRollback: what a person put back stays, until there is a new version.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	w.train(0.8)
	w.want(v1alpha1.ReasonReady, "version 1")
	w.now = w.now.Add(time.Hour)
	w.data(2)
	w.train(0.85)
	w.want(v1alpha1.ReasonReady, "version 2 is in production")
	w.want(v1alpha1.ReasonReady, "version 2 is in production")
	w.now = w.now.Add(time.Hour)
	at := metav1.NewTime(w.now)
	w.person(1, func(st *v1alpha1.ModelVersionStatus) {
		st.Stage, st.PromotedAt, st.Why = v1alpha1.StageProduction, &at, "rolled back to by ada"
	})
	for range 3 {
		w.now = w.now.Add(time.Hour)
		if m := w.want(v1alpha1.ReasonReady, "version 1 is in production; version 2 is archived"); m.Status.Promoted != 1 {
			t.Fatalf("status %+v", m.Status)
		}
	}
	w.restart()
	w.want(v1alpha1.ReasonReady, "version 1 is in production")
	if w.stages() != "Production Archived" || w.count() != 0 || w.tracker.promoted[len(w.tracker.promoted)-1] != "1" {
		t.Errorf("stages %s, %d runs, tracker %v", w.stages(), w.count(), w.tracker.promoted)
	}
	w.data(3)
	w.train(0.9)
	w.want(v1alpha1.ReasonReady, "version 3 is in production")
}
