// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"math"
	"math/rand/v2"
	"sort"

	"gonum.org/v1/gonum/stat"
)

// The methods of intervals.
const (
	MethodDeLong   = "delong"            // ROC AUC of independent rows
	MethodSubjects = "bootstrap-subject" // percentiles over resamples of whole subjects
	MethodRecords  = "bootstrap-record"  // the same where every subject has one row
	MethodWilson   = "wilson"            // a proportion of exactly 0 or 1, where resampling shows no spread
	MethodNewcombe = "newcombe"          // ROC AUC of exactly 0 or 1, likewise (Newcombe 2006, doi:10.1002/sim.2324)
	MethodNone     = "none"
)

// z975 is the standard normal's 97.5 % point.
const z975 = 1.959963984540054

// bootstrapWork bounds rows × resamples: beyond it there are fewer resamples, at least 100.
const bootstrapWork = 200_000_000

// Resampling says how intervals are made.
type Resampling struct {
	// Resamples of the bootstrap. Zero: 1000; negative: no intervals.
	Resamples int
	Seed      uint64
}

// MeasureWithIntervals is [Measure] with a 95 % interval for each value. Rows of one subject are resampled together; ROC AUC of
// unweighted rows that are all of different subjects gets DeLong's interval. A resample in which a metric is not defined
// is passed over; a metric that is not defined in half of them has no interval.
func MeasureWithIntervals(p Predictions, threshold float64, names []string, how Resampling) (map[string]Metric, map[string]string, error) {
	values, undefined, err := Measure(p, threshold, names)
	if err != nil {
		return nil, nil, err
	}
	unit, units := p.units()
	metrics := make(map[string]Metric, len(values))
	for name, value := range values {
		metrics[name] = Metric{Value: value, Method: MethodNone, N: p.Len(), Subjects: units}
	}
	if how.Resamples >= 0 && units > 1 {
		spread(metrics, p, threshold, how, unit, units)
	}
	return metrics, undefined, nil
}

// spread fills in the intervals.
func spread(metrics map[string]Metric, p Predictions, threshold float64, how Resampling, unit []int, units int) {
	samples := bootstrap(p, threshold, how, unit, units)
	method := MethodSubjects
	if units == p.Len() {
		method = MethodRecords
	}
	for name, metric := range metrics {
		seen := samples[name]
		if 2*len(seen) < resamples(how, p.Len()) {
			continue
		}
		sort.Float64s(seen)
		low, high := percentile(seen, 0.025), percentile(seen, 0.975)
		metric.Low, metric.High, metric.Method = &low, &high, method
		if name == ROCAUC && p.Task == Binary && units == p.Len() && p.Weight == nil {
			low, high = delong(p)
			metric.Method = MethodDeLong
		}
		if high-low <= 1e-12 {
			metric = certain(metric, name, p)
		}
		metrics[name] = metric
	}
}

func resamples(how Resampling, rows int) int {
	b := how.Resamples
	if b == 0 {
		b = 1000
	}
	if most := bootstrapWork / max(rows, 1); b > most {
		b = max(most, min(b, 100))
	}
	return b
}

// bootstrap measures resamples of whole units. A resample is a weight: how often a row's unit was drawn.
func bootstrap(p Predictions, threshold float64, how Resampling, unit []int, units int) map[string][]float64 {
	m, base := newMeter(p, threshold), p.weights()
	if b, isBinary := m.(*binaryMeter); isBinary {
		b.coarse(base)
	}
	random := rand.New(rand.NewPCG(how.Seed, 0x66617468))
	drawn, weight := make([]float64, units), make([]float64, p.Len())
	samples := map[string][]float64{}
	for range resamples(how, p.Len()) {
		clear(drawn)
		for range units {
			drawn[random.IntN(units)]++
		}
		for i, u := range unit {
			weight[i] = base[i] * drawn[u]
		}
		for name, v := range m.measure(weight) {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				samples[name] = append(samples[name], v)
			}
		}
	}
	return samples
}

// percentile of sorted values, by linear interpolation between order statistics.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 1 {
		return sorted[0]
	}
	at := p * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// certain replaces an interval of no width by one that counts subjects; a metric for which there is none keeps its own.
func certain(metric Metric, name string, p Predictions) Metric {
	var low, high float64
	pos, neg := p.subjectsByTruth()
	switch {
	case name == ROCAUC && p.Task == Binary:
		low, high = newcombe(metric.Value, float64(pos), float64(neg))
		metric.Method = MethodNewcombe
	case name == Sensitivity:
		low, high = wilson(metric.Value, float64(pos))
		metric.Method = MethodWilson
	case name == Specificity:
		low, high = wilson(metric.Value, float64(neg))
		metric.Method = MethodWilson
	case name == Accuracy:
		low, high = wilson(metric.Value, float64(metric.Subjects))
		metric.Method = MethodWilson
	default:
		return metric
	}
	metric.Low, metric.High = &low, &high
	return metric
}

// subjectsByTruth counts subjects with a positive and with a negative row.
func (p Predictions) subjectsByTruth() (pos, neg int) {
	if p.Task == Regression {
		return 0, 0
	}
	unit, _ := p.units()
	inPos, inNeg := map[int]bool{}, map[int]bool{}
	for i, class := range p.Class {
		if class == p.Positive {
			inPos[unit[i]] = true
		} else {
			inNeg[unit[i]] = true
		}
	}
	return len(inPos), len(inNeg)
}

// delong is the interval of ROC AUC for independent rows, from the placement values of DeLong et al. 1988
// (doi:10.2307/2531595), computed with mid-ranks as Sun and Xu 2014 (doi:10.1109/LSP.2014.2337313).
func delong(p Predictions) (low, high float64) {
	scores, truth := p.positives()
	all := midranks(scores)
	var pos, neg, ofPos, ofNeg []float64
	for i, s := range scores {
		if truth[i] {
			pos, ofPos = append(pos, s), append(ofPos, all[i])
		} else {
			neg, ofNeg = append(neg, s), append(ofNeg, all[i])
		}
	}
	m, n := float64(len(pos)), float64(len(neg))
	for i, r := range midranks(pos) {
		ofPos[i] = (ofPos[i] - r) / n
	}
	for i, r := range midranks(neg) {
		ofNeg[i] = 1 - (ofNeg[i]-r)/m
	}
	auc := stat.Mean(ofPos, nil)
	half := z975 * math.Sqrt(variance(ofPos)/m+variance(ofNeg)/n)
	return math.Max(0, auc-half), math.Min(1, auc+half)
}

// variance of one value is unknown; DeLong's formula then lacks that part.
func variance(x []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	return stat.Variance(x, nil)
}

// midranks are ranks from 1, the mean rank for equal values.
func midranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return x[order[a]] < x[order[b]] })
	ranks := make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			ranks[i] = float64(from+to+1) / 2
		}
		from = to
	}
	return ranks
}

// wilson is the score interval of a proportion of n.
func wilson(p, n float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	center := (p + z975*z975/2/n) / (1 + z975*z975/n)
	half := z975 / (1 + z975*z975/n) * math.Sqrt(p*(1-p)/n+z975*z975/4/n/n)
	return math.Max(0, center-half), math.Min(1, center+half)
}

// newcombe is the interval of an AUC from its value and the two sample sizes alone (method 5), by bisection.
func newcombe(auc, m, n float64) (low, high float64) {
	outside := func(theta float64) bool {
		half := (m+n)/2 - 1
		v := theta * (1 - theta) / (m * n) * (1 + half*((1-theta)/(2-theta)+theta/(1+theta)))
		return math.Abs(theta-auc) > z975*math.Sqrt(v)
	}
	edge := func(end float64) float64 {
		inside := auc
		if !outside(end) {
			return end
		}
		for range 60 {
			middle := (inside + end) / 2
			if outside(middle) {
				end = middle
			} else {
				inside = middle
			}
		}
		return inside
	}
	return edge(0), edge(1)
}
