// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"math"
	"sort"
)

// machineEpsilon is where scikit-learn clips probabilities of float64 in its log loss.
const machineEpsilon = 0x1p-52

// binaryMeter measures probabilities of a positive class.
type binaryMeter struct {
	truth    []bool
	order    []int  // rows by falling score
	last     []bool // of a run of equal scores, by place in order
	positive []bool // score ≥ threshold
	square   []float64
	loss     []float64
	logit    []float64

	fit       line    // of calibration, where the next one starts
	precision float64 // of calibration, relative
}

func newBinaryMeter(p Predictions, threshold float64) *binaryMeter {
	scores, truth := p.positives()
	// A start with slope below 1 keeps the first step small when predictions are overconfident.
	m := &binaryMeter{truth: truth, positive: make([]bool, len(scores)), fit: line{b: 0.5}, precision: 1e-13}
	m.order, m.last = descending(scores)
	for i, s := range scores {
		y := 0.0
		if truth[i] {
			y = 1
		}
		m.positive[i] = s >= threshold
		m.square = append(m.square, (y-s)*(y-s))
		m.loss = append(m.loss, -math.Log(clamp(1-math.Abs(y-s), machineEpsilon)))
		m.logit = append(m.logit, logit(clamp(s, 1e-6)))
	}
	return m
}

// coarse prepares for resamples: their calibration starts at that of all rows and ends at six digits.
func (m *binaryMeter) coarse(weight []float64) {
	if fit := recalibrate(m.truth, m.logit, weight, m.fit, m.precision); !math.IsNaN(fit.b) {
		m.fit, m.precision = fit, 1e-6
	}
}

// descending sorts positions by falling score and marks the last of each run of equal ones.
func descending(scores []float64) (order []int, last []bool) {
	order = make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	last = make([]bool, len(scores))
	for i := range order {
		last[i] = i+1 == len(order) || scores[order[i+1]] != scores[order[i]]
	}
	return order, last
}

func clamp(p, margin float64) float64 { return math.Min(math.Max(p, margin), 1-margin) }

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// confusion sums weights of true and false positives and negatives.
type confusion struct{ tp, fp, tn, fn float64 }

func (m *binaryMeter) measure(weight []float64) map[string]float64 {
	c := m.count(weight)
	pos, neg := c.tp+c.fn, c.fp+c.tn
	total := pos + neg
	auc, precision := rank(m.truth, m.order, m.last, weight, pos, neg)
	sensitivity, specificity := c.tp/pos, c.tn/neg
	fit := recalibrate(m.truth, m.logit, weight, m.fit, m.precision)
	return map[string]float64{
		ROCAUC: auc, PRAUC: precision,
		Brier: dot(m.square, weight) / total, LogLoss: dot(m.loss, weight) / total,
		Accuracy: (c.tp + c.tn) / total, BalancedAccuracy: meanDefined(sensitivity, specificity),
		Sensitivity: sensitivity, Specificity: specificity, F1: 2 * c.tp / (2*c.tp + c.fp + c.fn),
		CalibrationSlope: fit.b, CalibrationIntercept: fit.intercept,
	}
}

func (m *binaryMeter) count(weight []float64) confusion {
	var c confusion
	for i, w := range weight {
		switch {
		case m.truth[i] && m.positive[i]:
			c.tp += w
		case m.truth[i]:
			c.fn += w
		case m.positive[i]:
			c.fp += w
		default:
			c.tn += w
		}
	}
	return c
}

// rank walks the rows by falling score: area under the ROC curve by trapezoids and average precision by steps.
func rank(truth []bool, order []int, last []bool, weight []float64, pos, neg float64) (auc, precision float64) {
	var tp, fp, tpBefore, fpBefore float64
	for i, row := range order {
		if truth[row] {
			tp += weight[row]
		} else {
			fp += weight[row]
		}
		if !last[i] {
			continue
		}
		auc += (fp - fpBefore) * (tp + tpBefore) / 2
		if tp > tpBefore {
			precision += (tp - tpBefore) * tp / (tp + fp)
		}
		tpBefore, fpBefore = tp, fp
	}
	if !(pos > 0) || !(neg > 0) {
		return math.NaN(), math.NaN()
	}
	return auc / pos / neg, precision / pos
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// meanDefined is the mean of the values that are no NaN.
func meanDefined(values ...float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	return sum / n
}
