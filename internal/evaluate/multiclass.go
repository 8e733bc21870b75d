// SPDX-License-Identifier: Apache-2.0

package evaluate

import "math"

// classMeter measures probabilities of several classes.
type classMeter struct {
	class     []int
	predicted []int
	loss      []float64
	each      []oneAgainstRest
}

// oneAgainstRest is a class's ranking.
type oneAgainstRest struct {
	truth []bool
	order []int
	last  []bool
}

func newClassMeter(p Predictions) *classMeter {
	k := len(p.Classes)
	m := &classMeter{class: p.Class, predicted: p.predicted(0)}
	for i, class := range p.Class {
		m.loss = append(m.loss, -math.Log(clamp(p.Probabilities[i*k+class], machineEpsilon)))
	}
	for j := range k {
		scores, truth := make([]float64, len(p.Class)), make([]bool, len(p.Class))
		for i, class := range p.Class {
			scores[i], truth[i] = p.Probabilities[i*k+j], class == j
		}
		one := oneAgainstRest{truth: truth}
		one.order, one.last = descending(scores)
		m.each = append(m.each, one)
	}
	return m
}

func (m *classMeter) measure(weight []float64) map[string]float64 {
	total, right := 0.0, 0.0
	of, rightOf := make([]float64, len(m.each)), make([]float64, len(m.each))
	for i, w := range weight {
		total += w
		of[m.class[i]] += w
		if m.predicted[i] == m.class[i] {
			right += w
			rightOf[m.class[i]] += w
		}
	}
	auc := 0.0
	for j, one := range m.each {
		area, _ := rank(one.truth, one.order, one.last, weight, of[j], total-of[j])
		auc += area
		rightOf[j] /= of[j]
	}
	return map[string]float64{
		ROCAUC: auc / float64(len(m.each)), LogLoss: dot(m.loss, weight) / total, Accuracy: right / total,
		BalancedAccuracy: meanDefined(rightOf...),
	}
}
