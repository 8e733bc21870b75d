// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
)

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
		if m.Status.Promoted != 1 || m.Status.Latest != 2 || !strings.HasPrefix(m.Status.Headline, "roc_auc 0.8000") || w.count() != 0 || w.stages() != "Production Archived" {
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

// TestForgottenHalf: Fathom ended while it removed the runs of a version; whichever are left, it goes on.
func TestForgottenHalf(t *testing.T) {
	for _, gone := range [][]string{{"split", "evaluate"}, {"split", "final", "fold-0", "evaluate"}, {"final"}, {"evaluate"}} {
		t.Run(strings.Join(gone, " "), func(t *testing.T) {
			w := newWorld(t)
			w.train(0.8)
			var runs v1alpha1.RunList
			if err := w.List(t.Context(), &runs); err != nil || len(runs.Items) != 5 {
				t.Fatalf("%d runs, %v", len(runs.Items), err)
			}
			for _, r := range runs.Items {
				if slices.Contains(gone, r.Spec.Part) {
					if err := w.Delete(t.Context(), &r); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.restart()
			w.want(v1alpha1.ReasonReady, "version 1 is in production")
			if w.count() != 0 {
				t.Errorf("%d runs are left", w.count())
			}
		})
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
