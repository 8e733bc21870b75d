// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
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
	if st := m.Status; st.Promoted != 1 || st.Latest != 1 || st.Headline != "roc_auc 0.8000 [0.7000, 0.9000]" || st.Fingerprint != st.Wanted || st.Metrics[1].Name != "brier" || st.URL != "https://fathom.test/parkinsons" {
		t.Errorf("status %+v", st)
	}
	v := w.version(1)
	if v.Spec.Digest != digest("final") || v.Spec.DatasetVersion != 1 || v.Spec.Code != digest("code 1") || v.Spec.Environment != digest("environment") || v.Status.PromotedAt == nil {
		t.Errorf("version %+v", v)
	}
	if w.want(v1alpha1.ReasonReady, "version 1"); w.count() != 0 {
		t.Errorf("%d runs whose history is durable are left", w.count())
	}
	tree, err := w.lake.Why(t.Context(), lake.ModelArtifact(nameOf(m), 1, ""))
	if err != nil || len(tree.Inputs) != 3 {
		t.Errorf("lineage %+v, %v", tree, err)
	}
	if s, err := w.lake.Subjects(t.Context(), lake.ModelArtifact(nameOf(m), 1, "")); err != nil || !slices.Equal(s, []string{"s1", "s2"}) {
		t.Errorf("subjects %v, %v", s, err)
	}
	if !slices.Equal(w.tracker.registered, []string{"1"}) || !slices.Equal(w.tracker.promoted, []string{"1"}) || len(w.tracker.finished) != 1 {
		t.Errorf("tracker %+v", w.tracker)
	}
	if w.restart(); true {
		w.want(v1alpha1.ReasonReady, "version 1")
	}
	if w.stages() != v1alpha1.StageProduction || w.count() != 0 {
		t.Errorf("after a restart: %s, %d runs", w.stages(), w.count())
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

// TestDeclaredAgain: a declaration that goes back to an earlier recipe makes the earlier version a candidate: the rules judge
// it against what is in production, and nothing is trained.
func TestDeclaredAgain(t *testing.T) {
	code := func(text string) func(*v1alpha1.Model) {
		return func(m *v1alpha1.Model) { m.Spec.Train.Code.Bundle = digest(text) }
	}
	begin := func(t *testing.T, second float64) *world {
		w := newWorld(t)
		w.train(0.8)
		w.want(v1alpha1.ReasonReady, "version 1 is in production")
		w.change(code("code 2"))
		w.train(second)
		w.want(v1alpha1.ReasonReady, "")
		w.want(v1alpha1.ReasonReady, "")
		return w
	}
	t.Run("good enough", func(t *testing.T) {
		w := begin(t, 0.81)
		w.change(code("code 1"))
		m := w.want(v1alpha1.ReasonReady, "version 1 is in production: all rules hold")
		if m.Status.Promoted != 1 || m.Status.Latest != 2 || w.count() != 0 || w.stages() != "Production Archived" {
			t.Fatalf("status %+v, stages %s, %d runs", m.Status, w.stages(), w.count())
		}
		w.want(v1alpha1.ReasonReady, "version 1 is in production")
		// A person goes back to version 2: that stays, although version 1 is declared.
		at := metav1.NewTime(w.now.Add(time.Hour))
		w.person(2, func(st *v1alpha1.ModelVersionStatus) { st.Stage, st.PromotedAt = v1alpha1.StageProduction, &at })
		for range 2 {
			if m = w.want(v1alpha1.ReasonReady, "version 2 is in production; version 1 is archived"); m.Status.Promoted != 2 {
				t.Fatalf("status %+v", m.Status)
			}
		}
		// New data trains what is declared.
		w.data(2)
		w.train(0.9)
		w.want(v1alpha1.ReasonReady, "version 3 is in production")
		if v := w.version(3); v.Spec.Code != digest("code 1") {
			t.Errorf("version 3 is made from %s", v.Spec.Code)
		}
	})
	t.Run("worse than production", func(t *testing.T) {
		w := begin(t, 0.9)
		w.change(code("code 1"))
		for range 2 {
			if m := w.want(v1alpha1.ReasonReady, "version 2 stays in production; version 1 was refused: "); m.Status.Promoted != 2 {
				t.Fatalf("status %+v", m.Status)
			}
		}
		w.change(code("code 2"))
		w.want(v1alpha1.ReasonReady, "version 2 is in production")
		if w.stages() != "Refused Production" || w.count() != 0 {
			t.Errorf("stages %s, %d runs", w.stages(), w.count())
		}
	})
	t.Run("a person must agree again", func(t *testing.T) {
		w := begin(t, 0.81)
		w.person(1, func(st *v1alpha1.ModelVersionStatus) { st.ApprovedBy = "ada" })
		w.change(func(m *v1alpha1.Model) { m.Spec.Promote.Approval = &v1alpha1.Approval{Role: "approver"} })
		w.change(code("code 1"))
		for range 2 {
			w.want(v1alpha1.ReasonAwaitingApproval, "version 1 keeps the rules and awaits approval")
		}
		if w.stages() != "AwaitingApproval Production" {
			t.Errorf("stages %s", w.stages())
		}
	})
	t.Run("while the other one trains", func(t *testing.T) {
		w := newWorld(t)
		w.train(0.8)
		w.want(v1alpha1.ReasonReady, "version 1 is in production")
		w.change(code("code 2"))
		w.want(v1alpha1.ReasonRunning, "starts a run")
		w.change(code("code 1"))
		w.want(v1alpha1.ReasonReady, "version 1 is in production")
		if w.parts() != "" {
			t.Errorf("still under way: %s", w.parts())
		}
	})
}

// TestRetrain: new data retrains as declared.
func TestRetrain(t *testing.T) {
	t.Run("not without the trigger", func(t *testing.T) {
		w := newWorld(t, func(m *v1alpha1.Model) { m.Spec.Retrain.Triggers = []string{} })
		w.train(0.8)
		w.want(v1alpha1.ReasonReady, "version 1")
		w.data(2)
		w.want(v1alpha1.ReasonReady, "version 1 is in production: all rules hold: roc_auc > 0.6; roc_auc >= production.roc_auc - 0.02; leakage == none; the data has changed, but spec.retrain.triggers does not name data")
		w.change(func(m *v1alpha1.Model) { m.Spec.Train.Code.Bundle = digest("code 2") })
		w.want(v1alpha1.ReasonRunning, "starts a run")
	})
	t.Run("not before the cooldown ends", func(t *testing.T) {
		w := newWorld(t, func(m *v1alpha1.Model) { m.Spec.Retrain.Cooldown = &metav1.Duration{Duration: time.Hour} })
		w.train(0.8)
		w.want(v1alpha1.ReasonReady, "version 1")
		w.data(2)
		w.now = w.now.Add(40 * time.Minute)
		m := w.get()
		result, err := w.s.Reconcile(t.Context(), m)
		if _, message := v1alpha1.Ready(m.Status.Conditions); err != nil || result.RequeueAfter != 20*time.Minute || !strings.Contains(message, "spec.retrain.cooldown ends in 20m0s") {
			t.Errorf("%s, %+v, %v", message, result, err)
		}
		w.now = w.now.Add(20 * time.Minute)
		w.want(v1alpha1.ReasonRunning, "starts a run")
	})
	t.Run("new data while training", func(t *testing.T) {
		w := newWorld(t)
		w.want(v1alpha1.ReasonRunning, "starts a run")
		first := w.runs()["split"].Name
		w.data(2)
		w.want(v1alpha1.ReasonRunning, "stops run "+first+": its inputs have changed")
		w.train(0.8)
		if v := w.version(1); v.Spec.DatasetVersion != 2 {
			t.Errorf("version 1 is made from data version %d", v.Spec.DatasetVersion)
		}
	})
	t.Run("what changes no version trains nothing", func(t *testing.T) {
		w := newWorld(t)
		w.train(0.8)
		w.want(v1alpha1.ReasonReady, "version 1")
		w.change(func(m *v1alpha1.Model) {
			m.Spec.Train.Retries, m.Spec.Train.Timeout = new(int32), &metav1.Duration{Duration: time.Minute}
			m.Spec.Train.Code.Path = "./elsewhere"
		})
		w.want(v1alpha1.ReasonReady, "version 1 is in production")
	})
}

// TestRegisterTwice: the cache does not show the version yet that was just made.
func TestRegisterTwice(t *testing.T) {
	w := newWorld(t)
	w.hide["parkinsons-1"] = true
	w.train(0.8)
	if _, err := w.s.Reconcile(t.Context(), w.get()); !fault.Is(err, fault.Conflict) {
		t.Fatalf("error %v, want Conflict", err)
	}
	w.hide = nil
	m := w.want(v1alpha1.ReasonReady, "version 1 is in production")
	if m.Status.Latest != 1 || w.stages() != v1alpha1.StageProduction {
		t.Errorf("status %+v, stages %s", m.Status, w.stages())
	}
}

// TestTrackerFails: what the tracker was not told it is told later, and the version's subjects are not lost meanwhile.
func TestTrackerFails(t *testing.T) {
	w := newWorld(t)
	w.want(v1alpha1.ReasonRunning, "starts a run")
	w.succeed("split", w.splitOutput()...)
	w.want(v1alpha1.ReasonRunning, "")
	for _, part := range []string{"final", "fold-0", "fold-1"} {
		w.succeed(part, w.blob("model.onnx", part))
	}
	w.want(v1alpha1.ReasonRunning, "")
	w.succeed("evaluate", w.found(0.8))
	w.tracker.err = errors.New("disk full")
	for range 2 {
		if _, err := w.s.Reconcile(t.Context(), w.get()); err == nil {
			t.Fatal("no error")
		}
	}
	if w.stages() != "" || w.count() == 0 {
		t.Errorf("stages %q, %d runs", w.stages(), w.count())
	}
	w.dataset(v1alpha1.ReasonRunning, 1, strings.Repeat("1", 64)) // the data is not there for a while
	w.restart()
	w.tracker.err = nil
	w.want(v1alpha1.ReasonWaiting, "dataset cohort")
	w.dataset(v1alpha1.ReasonReady, 1, strings.Repeat("1", 64))
	m := w.want(v1alpha1.ReasonReady, "version 1 is in production")
	if s, err := w.lake.Subjects(t.Context(), lake.ModelArtifact(nameOf(m), 1, "")); err != nil || len(s) != 2 {
		t.Errorf("subjects %v, %v", s, err)
	}
	if !slices.Equal(w.tracker.promoted, []string{"1"}) {
		t.Errorf("tracker %+v", w.tracker)
	}
}
