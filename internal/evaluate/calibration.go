// SPDX-License-Identifier: Apache-2.0

package evaluate

import "math"

// recalibrate fits logit P(y) = a + slope·x and logit P(y) = intercept + x by maximum likelihood (Newton's method, that is
// iteratively reweighted least squares). Each is NaN where the likelihood has no maximum: one class only, constant x, or
// x that separates the classes (slope).
func recalibrate(truth []bool, x, weight []float64) (slope, intercept float64) {
	var pos, neg rangeOf
	for i, w := range weight {
		if w > 0 && truth[i] {
			pos.add(x[i])
		} else if w > 0 {
			neg.add(x[i])
		}
	}
	if pos.empty() || neg.empty() {
		return math.NaN(), math.NaN()
	}
	intercept = newton(truth, x, weight, false)
	if pos.low >= neg.high || neg.low >= pos.high {
		return math.NaN(), intercept
	}
	return newton(truth, x, weight, true), intercept
}

// rangeOf numbers seen.
type rangeOf struct {
	low, high float64
	n         int
}

func (r *rangeOf) add(v float64) {
	if r.n == 0 || v < r.low {
		r.low = v
	}
	if r.n == 0 || v > r.high {
		r.high = v
	}
	r.n++
}

func (r *rangeOf) empty() bool { return r.n == 0 }

// newton returns the slope of the two-parameter fit, or the intercept of the fit with slope 1.
func newton(truth []bool, x, weight []float64, free bool) float64 {
	a, b := 0.0, 1.0
	if free {
		b = 0.5 // a flatter start keeps the first step small when predictions are overconfident
	}
	likelihood := logLikelihood(truth, x, weight, a, b)
	for range 100 {
		da, db := newtonStep(truth, x, weight, a, b, free)
		size := 1.0
		for ; size > 1e-10; size /= 2 {
			next := logLikelihood(truth, x, weight, a+size*da, b+size*db)
			if next >= likelihood-1e-12*math.Abs(likelihood) {
				likelihood = next
				break
			}
		}
		a, b = a+size*da, b+size*db
		if math.Abs(da) <= 1e-13*(1+math.Abs(a)) && math.Abs(db) <= 1e-13*(1+math.Abs(b)) {
			break
		}
		if math.IsNaN(a) || math.Abs(b) > 1e6 {
			return math.NaN()
		}
	}
	if free {
		return b
	}
	return a
}

// newtonStep solves the normal equations of the weighted least-squares step.
func newtonStep(truth []bool, x, weight []float64, a, b float64, free bool) (da, db float64) {
	var ga, gb, haa, hab, hbb float64
	for i, w := range weight {
		if w == 0 {
			continue
		}
		mu := 1 / (1 + math.Exp(-(a + b*x[i])))
		r := -mu
		if truth[i] {
			r = 1 - mu
		}
		v := w * mu * (1 - mu)
		ga += w * r
		gb += w * r * x[i]
		haa += v
		hab += v * x[i]
		hbb += v * x[i] * x[i]
	}
	if !free {
		return ga / haa, 0
	}
	det := haa*hbb - hab*hab
	return (hbb*ga - hab*gb) / det, (haa*gb - hab*ga) / det
}

func logLikelihood(truth []bool, x, weight []float64, a, b float64) float64 {
	sum := 0.0
	for i, w := range weight {
		if w == 0 {
			continue
		}
		eta := a + b*x[i]
		if truth[i] {
			eta = -eta
		}
		// log(1 + e^eta) without overflow
		sum -= w * (math.Max(eta, 0) + math.Log1p(math.Exp(-math.Abs(eta))))
	}
	return sum
}
