// SPDX-License-Identifier: Apache-2.0

package evaluate

import "math"

// line is a calibration fit to start from: the first fit of the same rows, so that those of resamples take fewer steps.
type line struct{ intercept, a, b float64 }

// recalibrate fits logit P(y) = a + b·x and logit P(y) = intercept + x by maximum likelihood (Newton's method, that is
// iteratively reweighted least squares), from a start to a relative precision. A value is NaN where the likelihood has no
// maximum: one class only, constant x, or x that separates the classes (slope).
func recalibrate(truth []bool, x, weight []float64, from line, precision float64) (fit line) {
	none := line{math.NaN(), math.NaN(), math.NaN()}
	var pos, neg rangeOf
	for i, w := range weight {
		if w > 0 && truth[i] {
			pos.add(x[i])
		} else if w > 0 {
			neg.add(x[i])
		}
	}
	if pos.empty() || neg.empty() {
		return none
	}
	fit = none
	fit.intercept, _ = newton(truth, x, weight, from.intercept, 1, false, precision)
	if pos.low < neg.high && neg.low < pos.high {
		fit.a, fit.b = newton(truth, x, weight, from.a, from.b, true, precision)
	}
	return fit
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

// newton maximises the likelihood from (a, b): over both if free, else over a. NaN if it finds no maximum.
func newton(truth []bool, x, weight []float64, a, b float64, free bool, precision float64) (float64, float64) {
	for range 100 {
		da, db := newtonStep(truth, x, weight, a, b, free)
		if math.Abs(da)+math.Abs(db) > 0.5 { // far from the maximum a whole step may overshoot
			size := stepSize(truth, x, weight, a, b, da, db)
			if size == 0 {
				break
			}
			da, db = size*da, size*db
		}
		a, b = a+da, b+db
		if math.Abs(da) <= precision*(1+math.Abs(a)) && math.Abs(db) <= precision*(1+math.Abs(b)) {
			return a, b
		}
		if math.IsNaN(a) || math.Abs(b) > 1e6 {
			break
		}
	}
	return math.NaN(), math.NaN()
}

// stepSize halves a step until the likelihood does not fall.
func stepSize(truth []bool, x, weight []float64, a, b, da, db float64) float64 {
	now := logLikelihood(truth, x, weight, a, b)
	for size := 1.0; size > 1e-10; size /= 2 {
		if logLikelihood(truth, x, weight, a+size*da, b+size*db) >= now {
			return size
		}
	}
	return 0
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
