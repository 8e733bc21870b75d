// SPDX-License-Identifier: Apache-2.0

package evaluate

import "sort"

// calibrationBins is how many bins a calibration curve has at most.
const calibrationBins = 10

// Plot computes the curves of a binary target or a regression; nil for several classes. Weights count.
func Plot(p Predictions) *Curves {
	switch {
	case p.Task == Regression:
		return &Curves{Scatter: scatter(p)}
	case p.Task != Binary:
		return nil
	}
	c := &Curves{Calibration: calibration(p)}
	c.ROC, c.PR = ranking(p)
	return c
}

// ranking walks down the scores: one point for each distinct score, thinned evenly.
func ranking(p Predictions) (roc, pr []Point) {
	scores, truth := p.positives()
	order, last := descending(scores)
	weight := p.weights()
	var pos, neg, tp, fp float64
	for i, w := range weight {
		if truth[i] {
			pos += w
		} else {
			neg += w
		}
	}
	if pos == 0 || neg == 0 {
		return nil, nil
	}
	roc, pr = []Point{{}}, []Point{{X: 0, Y: 1}}
	for i, row := range order {
		if truth[row] {
			tp += weight[row]
		} else {
			fp += weight[row]
		}
		if !last[i] || tp+fp == 0 {
			continue
		}
		threshold := scores[row]
		roc = append(roc, Point{X: fp / neg, Y: tp / pos, Threshold: &threshold})
		pr = append(pr, Point{X: tp / pos, Y: tp / (tp + fp), Threshold: &threshold})
	}
	return thin(roc), thin(pr)
}

// thin keeps at most CurvePoints points, first and last among them.
func thin(points []Point) []Point {
	if len(points) <= CurvePoints {
		return points
	}
	out := make([]Point, CurvePoints)
	for i := range out {
		out[i] = points[i*(len(points)-1)/(CurvePoints-1)]
	}
	return out
}

// calibration bins rows by predicted probability into bins of equal numbers of rows; equal predictions stay together.
func calibration(p Predictions) []CalibrationBin {
	scores, truth := p.positives()
	order, last := descending(scores)
	weight := p.weights()
	bins := min(calibrationBins, max(1, len(order)/5))
	var out []CalibrationBin
	var bin CalibrationBin
	var sum, total float64
	for place := range order {
		at := len(order) - 1 - place // rising scores
		row := order[at]
		bin.Rows++
		total += weight[row]
		bin.Predicted += weight[row] * scores[row]
		if truth[row] {
			sum += weight[row]
		}
		endOfTie := at == 0 || last[at-1]
		if !endOfTie || (place+1)*bins < (len(out)+1)*len(order) && place+1 < len(order) {
			continue
		}
		if total > 0 {
			bin.Predicted /= total
			bin.Observed = sum / total
			bin.Low, bin.High = wilson(bin.Observed, float64(bin.Rows))
			out = append(out, bin)
		}
		bin, sum, total = CalibrationBin{}, 0, 0
	}
	return out
}

// scatter takes up to CurvePoints rows, evenly by true value.
func scatter(p Predictions) []Point {
	points := make([]Point, p.Len())
	for i, v := range p.Target {
		points[i] = Point{X: v, Y: p.Value[i]}
	}
	sort.SliceStable(points, func(a, b int) bool { return points[a].X < points[b].X })
	return thin(points)
}

// Confuse counts rows by true and predicted class; nil for a regression.
func Confuse(p Predictions, threshold float64) *Confusion {
	if p.Task == Regression {
		return nil
	}
	c := &Confusion{Classes: p.Classes}
	for range p.Classes {
		c.Counts = append(c.Counts, make([]int, len(p.Classes)))
	}
	for i, predicted := range p.predicted(threshold) {
		c.Counts[p.Class[i]][predicted]++
	}
	return c
}
