// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"math"

	"fathom.dev/fathom/internal/fault"
)

// Predictions are held-out rows with a model's answers, in any order.
type Predictions struct {
	Task Task
	// Classes in the order of Probabilities; Positive is the index of the class that binary metrics score.
	Classes  []string
	Positive int
	// Class is each row's true class; Probabilities are [rows × classes].
	Class         []int
	Probabilities []float64
	// Target and Value are the true and predicted numbers of a regression.
	Target []float64
	Value  []float64
	// Weight of each row; nil counts every row 1.
	Weight []float64
	// Subject of each row; nil makes every row its own.
	Subject []string
}

// Len is the number of rows.
func (p Predictions) Len() int {
	if p.Task == Regression {
		return len(p.Target)
	}
	return len(p.Class)
}

// check reports slices of different lengths and numbers that cannot be, as Invalid.
func (p Predictions) check() error {
	n, k := p.Len(), len(p.Classes)
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "evaluate", format, args...)
	}
	switch {
	case n == 0:
		return bad("there are no rows to evaluate")
	case p.Task == Binary && k != 2, p.Task == Multiclass && k < 2:
		return bad("%d classes do not fit a %s target", k, p.Task)
	case p.Task != Regression && len(p.Probabilities) != n*k, p.Task == Regression && len(p.Value) != n:
		return bad("predictions do not fit %d rows", n)
	case p.Weight != nil && len(p.Weight) != n, p.Subject != nil && len(p.Subject) != n:
		return bad("weights or subjects do not fit %d rows", n)
	}
	for i, w := range p.Weight {
		if !(w >= 0) || math.IsInf(w, 0) {
			return bad("row %d has the weight %v; weights are finite and not negative", i, w)
		}
	}
	return nil
}

// Pick returns the rows at the given positions.
func (p Predictions) Pick(rows []int) Predictions {
	q := p
	k := len(p.Classes)
	q.Class, q.Target, q.Value = pick(p.Class, rows), pick(p.Target, rows), pick(p.Value, rows)
	q.Weight, q.Subject = pick(p.Weight, rows), pick(p.Subject, rows)
	if p.Probabilities != nil {
		q.Probabilities = make([]float64, 0, len(rows)*k)
		for _, i := range rows {
			q.Probabilities = append(q.Probabilities, p.Probabilities[i*k:(i+1)*k]...)
		}
	}
	return q
}

func pick[T any](all []T, rows []int) []T {
	if all == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, row := range rows {
		out[i] = all[row]
	}
	return out
}

// positives are the positive class's probabilities and whether each row is positive.
func (p Predictions) positives() (scores []float64, truth []bool) {
	scores, truth = make([]float64, len(p.Class)), make([]bool, len(p.Class))
	for i, class := range p.Class {
		scores[i], truth[i] = p.Probabilities[i*2+p.Positive], class == p.Positive
	}
	return scores, truth
}

// predicted are the classes the model chose: the positive one from the threshold on, else the most probable.
func (p Predictions) predicted(threshold float64) []int {
	k, out := len(p.Classes), make([]int, len(p.Class))
	for i := range out {
		row := p.Probabilities[i*k : (i+1)*k]
		if p.Task == Binary {
			out[i] = 1 - p.Positive
			if row[p.Positive] >= threshold {
				out[i] = p.Positive
			}
			continue
		}
		for j, v := range row {
			if v > row[out[i]] {
				out[i] = j
			}
		}
	}
	return out
}

// PredictedClasses are the classes the model chose for each row: the positive one from the threshold on (binary), else the
// most probable.
func (p Predictions) PredictedClasses(threshold float64) []string {
	return pick(p.Classes, p.predicted(threshold))
}

// weights are Weight, or ones.
func (p Predictions) weights() []float64 {
	if p.Weight != nil {
		return p.Weight
	}
	w := make([]float64, p.Len())
	for i := range w {
		w[i] = 1
	}
	return w
}

// units numbers the subjects in order of appearance: unit of each row, and how many there are.
func (p Predictions) units() ([]int, int) {
	unit := make([]int, p.Len())
	if p.Subject == nil {
		for i := range unit {
			unit[i] = i
		}
		return unit, len(unit)
	}
	seen := map[string]int{}
	for i, subject := range p.Subject {
		at, known := seen[subject]
		if !known {
			at = len(seen)
			seen[subject] = at
		}
		unit[i] = at
	}
	return unit, len(seen)
}

// classCounts counts rows by class, classes without rows included.
func (p Predictions) classCounts() map[string]int {
	if p.Task == Regression {
		return nil
	}
	counts := make(map[string]int, len(p.Classes))
	for _, class := range p.Classes {
		counts[class] = 0
	}
	for _, class := range p.Class {
		counts[p.Classes[class]]++
	}
	return counts
}
