// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"fmt"
	"time"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
)

// Plan decides what Reconcile would do with the model as it is given. Nothing is done.
func (s *Station) Plan(ctx context.Context, m *v1alpha1.Model) (plan.Decision, error) {
	versions, err := s.versions(ctx, m)
	if err != nil {
		return plan.Decision{}, err
	}
	w, err := s.observe(ctx, m, versions)
	if err != nil {
		return plan.Decision{}, err
	}
	return plan.Decide(w.Observation), nil
}

// Replayed is a version's evaluation and that of the same pipeline run again.
type Replayed struct {
	Kept, Again evaluate.Evaluation
}

// Replay trains and evaluates a version again, from its own data, under other run names. It returns when the new
// evaluation is there. A version whose recipe is no longer the declared one is a Conflict: its code may be gone.
func (s *Station) Replay(ctx context.Context, m *v1alpha1.Model, v *v1alpha1.ModelVersion) (Replayed, error) {
	var out Replayed
	recipe := recipeOf(m)
	if recipe.Fingerprint() != v.Spec.Recipe {
		return out, fault.New(fault.Conflict, "model "+m.Name, "the declaration has changed since version %d", v.Spec.Number).
			WithHint("apply the declaration of that version first")
	}
	if err := s.readJSON(ctx, ref.Digest(v.Spec.Evaluation), &out.Kept); err != nil {
		return out, err
	}
	again := m.DeepCopy()
	if again.Annotations == nil {
		again.Annotations = map[string]string{}
	}
	again.Annotations[v1alpha1.AnnotationRetry] = "replay-" + s.Now().UTC().Format(time.RFC3339Nano)
	data := &v1alpha1.Dataset{}
	data.Name, data.Namespace, data.Status.Version = v.Spec.Dataset, v.Namespace, v.Spec.DatasetVersion
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		w := &work{data: data, replay: true}
		w.Wanted = v.Spec.Fingerprint
		if err := s.observeRuns(ctx, again, w); err != nil {
			return out, err
		}
		if err := s.advance(ctx, again, w); err != nil {
			return out, err
		}
		switch state := w.Run; {
		case state == nil:
		case state.Phase == v1alpha1.RunSucceeded:
			if err := s.readOutput(ctx, w.pipeline.runs[partEvaluate], "evaluation.json", &out.Again); err != nil {
				return out, err
			}
			return out, s.forget(ctx, w)
		case state.Phase == v1alpha1.RunFailed, state.Phase == v1alpha1.RunCancelled:
			return out, fault.New(fault.Conflict, "replay of "+v.Name, "%s", state.Message)
		}
		select {
		case <-ctx.Done():
			return out, fault.Wrap(fault.Unavailable, fmt.Sprintf("replay of %s", v.Name), ctx.Err())
		case <-tick.C:
		}
	}
}
