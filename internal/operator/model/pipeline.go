// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"sort"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/plan"
)

// Parts of the pipeline: one split, one training a fold and a final one, one evaluation.
const (
	partSplit    = "split"
	partFinal    = "final"
	partEvaluate = "evaluate"
)

func partFold(k int) string { return fmt.Sprintf("fold-%d", k) }

// pipeline is the runs that make one version, by part, and how many folds the split made.
type pipeline struct {
	runs  map[string]*v1alpha1.Run
	folds int // known once the split has succeeded
}

func ended(r *v1alpha1.Run) bool {
	switch r.Status.Phase {
	case v1alpha1.RunSucceeded, v1alpha1.RunFailed, v1alpha1.RunCancelled:
		return true
	}
	return false
}

func succeeded(r *v1alpha1.Run) bool { return r != nil && r.Status.Phase == v1alpha1.RunSucceeded }

// trainings are the parts that train: the final one first, because it takes longest.
func (p pipeline) trainings() []string {
	parts := []string{partFinal}
	for k := range p.folds {
		parts = append(parts, partFold(k))
	}
	return parts
}

// due lists the parts to start now.
func (p pipeline) due() []string {
	if p.runs[partSplit] == nil {
		return []string{partSplit}
	}
	if !succeeded(p.runs[partSplit]) || p.folds == 0 {
		return nil
	}
	var missing []string
	done := true
	for _, part := range p.trainings() {
		if p.runs[part] == nil {
			missing = append(missing, part)
		}
		done = done && succeeded(p.runs[part])
	}
	if done && p.runs[partEvaluate] == nil {
		return []string{partEvaluate}
	}
	return missing
}

// progress is one short text, for example "train 3/6".
func (p pipeline) progress() string {
	switch {
	case len(p.runs) == 0:
		return ""
	case !succeeded(p.runs[partSplit]):
		return "split"
	case p.runs[partEvaluate] != nil:
		return "evaluate"
	}
	n := 0
	for _, part := range p.trainings() {
		if succeeded(p.runs[part]) {
			n++
		}
	}
	return fmt.Sprintf("train %d/%d", n, len(p.trainings()))
}

// state sums the pipeline up as one run: failed as soon as a part has failed, succeeded when the evaluation has.
func (p pipeline) state(fingerprint string) *plan.RunState {
	if len(p.runs) == 0 {
		return nil
	}
	parts := make([]string, 0, len(p.runs))
	for part := range p.runs {
		parts = append(parts, part)
	}
	sort.Strings(parts)
	for _, phase := range []string{v1alpha1.RunFailed, v1alpha1.RunCancelled} { // one that failed tells why the rest was cancelled
		for _, part := range parts {
			if r := p.runs[part]; r.Status.Phase == phase {
				return runState(r, fingerprint, part+": "+r.Status.Message, "")
			}
		}
	}
	if r := p.runs[partEvaluate]; r != nil {
		return runState(r, fingerprint, r.Status.Message, "evaluate")
	}
	split := p.runs[partSplit]
	if split == nil { // what was being forgotten when Fathom ended
		return nil
	}
	running := runState(split, fingerprint, "", p.progress())
	running.Phase = v1alpha1.RunRunning
	for _, part := range parts { // tell of a part that is under way
		if r := p.runs[part]; !ended(r) {
			running.Name, running.Message = r.Name, r.Status.Message
		}
	}
	return running
}

func runState(r *v1alpha1.Run, fingerprint, message, progress string) *plan.RunState {
	return &plan.RunState{
		Name: r.Name, Fingerprint: fingerprint, Phase: r.Status.Phase, Reason: r.Status.Reason,
		Message: message, Progress: progress,
	}
}
