// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"html/template"
	"math"

	"fathom.dev/fathom/internal/chart"
	"fathom.dev/fathom/internal/evaluate"
)

func svg(s chart.SVG) template.HTML { return template.HTML(s) } // chart escapes all text

// forest draws the metrics that lie between 0 and 1.
func forest(e *evaluate.Evaluation) template.HTML {
	var rows []chart.Interval
	for _, name := range evaluate.MetricNames(e.Task) {
		if m, ok := e.Metrics[name]; ok && terms[name].share {
			rows = append(rows, chart.Interval{Name: labelOf(name), Value: m.Value, Low: m.Low, High: m.High})
		}
	}
	if len(rows) < 2 {
		return ""
	}
	return svg(chart.Forest(chart.Labels{Title: "Metrics with 95 % intervals"}, rows, 0, 1, nil))
}

// operatingPoint is the point of the ROC curve at the threshold in use.
func operatingPoint(e *evaluate.Evaluation) *chart.Point {
	sensitivity, ok1 := e.Metrics[evaluate.Sensitivity]
	specificity, ok2 := e.Metrics[evaluate.Specificity]
	if !ok1 || !ok2 {
		return nil
	}
	return &chart.Point{X: 1 - specificity.Value, Y: sensitivity.Value, Label: "threshold " + chart.Fixed(e.Threshold)}
}

func roc(e *evaluate.Evaluation) template.HTML {
	if e.Curves == nil || len(e.Curves.ROC) < 2 {
		return ""
	}
	note := ""
	if m, ok := e.Metrics[evaluate.ROCAUC]; ok {
		note = "AUC " + withInterval(m)
	}
	return svg(chart.ROC(chart.Labels{Title: "ROC curve"}, points(e.Curves.ROC), operatingPoint(e), note))
}

func precisionRecall(e *evaluate.Evaluation) template.HTML {
	if e.Curves == nil || len(e.Curves.PR) < 2 {
		return ""
	}
	note := ""
	if m, ok := e.Metrics[evaluate.PRAUC]; ok {
		note = "AUC " + withInterval(m)
	}
	return svg(chart.PrecisionRecall(chart.Labels{Title: "Precision-recall curve"}, points(e.Curves.PR), prevalence(e), precisionPoint(e), note))
}

// prevalence is the share of positive rows; NaN when they were not counted.
func prevalence(e *evaluate.Evaluation) float64 {
	total := 0
	for _, n := range e.Population.Classes {
		total += n
	}
	if total == 0 {
		return math.NaN()
	}
	return float64(e.Population.Classes[e.Positive]) / float64(total)
}

// precisionPoint is the point of the precision-recall curve at the threshold in use.
func precisionPoint(e *evaluate.Evaluation) *chart.Point {
	c := e.Confusion
	if c == nil || len(c.Classes) != 2 || len(c.Counts) != 2 {
		return nil
	}
	at := 1
	if c.Classes[0] == e.Positive {
		at = 0
	}
	hit, missed, alarm := c.Counts[at][at], c.Counts[at][1-at], c.Counts[1-at][at]
	if hit+missed == 0 || hit+alarm == 0 {
		return nil
	}
	return &chart.Point{X: float64(hit) / float64(hit+missed), Y: float64(hit) / float64(hit+alarm), Label: "threshold " + chart.Fixed(e.Threshold)}
}

func calibration(e *evaluate.Evaluation) template.HTML {
	if e.Curves == nil || len(e.Curves.Calibration) == 0 {
		return ""
	}
	var bins []chart.Bin
	for _, b := range e.Curves.Calibration {
		bins = append(bins, chart.Bin{Predicted: b.Predicted, Observed: b.Observed, Low: b.Low, High: b.High, Rows: b.Rows})
	}
	note := ""
	if m, ok := e.Metrics[evaluate.CalibrationSlope]; ok {
		note = "slope " + chart.Fixed(m.Value)
	}
	return svg(chart.Calibration(chart.Labels{Title: "Calibration"}, bins, note))
}

func agreement(e *evaluate.Evaluation) template.HTML {
	if e.Curves == nil || len(e.Curves.Scatter) == 0 {
		return ""
	}
	return svg(chart.Agreement(chart.Labels{Title: "Predicted against true values", X: "true " + e.Target, Y: "predicted " + e.Target}, points(e.Curves.Scatter)))
}

func points(list []evaluate.Point) []chart.Point {
	out := make([]chart.Point, len(list))
	for i, p := range list {
		out[i] = chart.Point{X: p.X, Y: p.Y}
	}
	return out
}

const maxImportances = 25 // features drawn

func importances(e *evaluate.Evaluation) template.HTML {
	if e.Importances == nil || len(e.Importances.Features) == 0 {
		return ""
	}
	var bars []chart.Importance
	for _, f := range e.Importances.Features[:min(len(e.Importances.Features), maxImportances)] {
		bars = append(bars, chart.Importance{Name: f.Feature, Drop: f.Drop, SD: f.SD})
	}
	return svg(chart.Importances(chart.Labels{Title: "Importance of the features", X: "loss of " + labelOf(e.Importances.Metric)}, bars))
}

// sliceForest draws one metric of every slice beside the whole.
func sliceForest(e *evaluate.Evaluation, metric string) template.HTML {
	whole, ok := e.Metrics[metric]
	if !ok {
		return ""
	}
	var rows []chart.Interval
	for _, s := range e.Slices {
		row := chart.Interval{Name: s.Column + ": " + sliceValue(s), Value: math.NaN(), Faint: s.Small}
		if m, ok := s.Metrics[metric]; ok {
			row.Value, row.Low, row.High = m.Value, m.Low, m.High
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return ""
	}
	from, to := 0.0, 0.0
	if terms[metric].share {
		to = 1
	}
	return svg(chart.Forest(chart.Labels{Title: labelOf(metric) + " by part of the population", X: labelOf(metric)}, rows, from, to, &whole.Value))
}

func sliceValue(s evaluate.Slice) string {
	if s.Value == "" {
		return "missing"
	}
	return s.Value
}
