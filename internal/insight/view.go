// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/chart"
	"fathom.dev/fathom/internal/evaluate"
)

// view is a Model as the template wants it: texts and figures.
type view struct {
	Model
	E                      *evaluate.Evaluation
	Tone, Verdict          string
	Headlines              []metricRow
	Ranking, Intervals     string
	Population             string
	Groups                 []groupRow
	LeftOut                []Exclusion
	Metrics                []metricRow
	Undefined              []pair
	Forest, ROC, PR        template.HTML
	Calibration, Agreement template.HTML
	CalibrationText        string
	Confusion              *confusionTable
	SubjectLevel           []metricRow
	Importances            template.HTML
	ImportanceText         string
	SliceMetric            string
	SliceForest            template.HTML
	Slices                 []sliceRow
	SliceColumns           []string
	Folds                  foldTable
	Findings               []findingRow
	LeakTone               string // of the worst finding
	Facts                  []pair
}

type pair struct{ Name, Text string }

type metricRow struct{ Name, Label, Value, Interval, Meaning, Counted string }

type groupRow struct {
	Name           string
	Rows, Subjects int
}

type confusionTable struct {
	Classes []string
	Rows    []confusionRow
}

type confusionRow struct {
	Class string
	Cells []confusionCell
}

type confusionCell struct {
	Count int
	Share string
	Right bool
}

type sliceRow struct {
	Column, Value  string
	Rows, Subjects int
	Small          bool
	Metrics        []string
}

type foldTable struct {
	Metrics []string
	Rows    []foldRow
}

type foldRow struct {
	Name                      string
	Rows, Subjects, TrainRows int
	Metrics                   []string
}

type findingRow struct{ Kind, Severity, Tone, Message, Explanation string }

// newView computes everything that the page says.
func newView(m Model) view {
	e := m.Evaluation
	first := shown(m)
	v := view{
		Model: m, E: e, Tone: tones[m.Stage], Verdict: verdicts[m.Stage], Ranking: rankingSentence(e), Intervals: intervalSentence(e),
		Forest: forest(e), ROC: roc(e), PR: precisionRecall(e), Calibration: calibration(e), Agreement: agreement(e),
		CalibrationText: calibrationSentence(e), Confusion: confusion(e), Importances: importances(e),
	}
	v.Headlines = metricRows(e.Metrics, first)
	v.Headlines = v.Headlines[:min(3, len(v.Headlines))]
	v.Metrics = metricRows(e.Metrics, inOrder(e.Task, first))
	for _, name := range slices.Sorted(maps.Keys(e.Undefined)) {
		v.Undefined = append(v.Undefined, pair{labelOf(name), e.Undefined[name]})
	}
	if e.Subjects != nil {
		v.SubjectLevel = metricRows(e.Subjects.Metrics, inOrder(e.Task, first))
	}
	v.population(m)
	v.slices(e, first)
	v.folds(e, first)
	v.leakage(e)
	v.importanceText(e)
	v.facts(m)
	return v
}

// shown are the metrics to show first: those asked for that the task has, or its most telling ones.
func shown(m Model) []string {
	var first []string
	for _, name := range m.Metrics {
		if slices.Contains(evaluate.MetricNames(m.Evaluation.Task), name) {
			first = append(first, name)
		}
	}
	if len(first) == 0 {
		return defaults(m.Evaluation.Task)
	}
	return first
}

// inOrder puts the metrics to show first before the others.
func inOrder(task evaluate.Task, first []string) []string {
	out := slices.Clone(first)
	for _, name := range evaluate.MetricNames(task) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func metricRows(metrics map[string]evaluate.Metric, names []string) []metricRow {
	var out []metricRow
	for _, name := range names {
		m, ok := metrics[name]
		if !ok {
			continue
		}
		out = append(out, metricRow{
			Name: name, Label: labelOf(name), Value: chart.Fixed(m.Value), Interval: interval(m), Meaning: terms[name].meaning,
			Counted: fmt.Sprintf("%s, %s", count(m.N, "row", "rows"), count(m.Subjects, "subject", "subjects")),
		})
	}
	return out
}

func (v *view) population(m Model) {
	p := v.E.Population
	v.Population = fmt.Sprintf("The model was judged on %s of %s", count(p.Rows, "row", "rows"), count(p.Subjects, "subject", "subjects"))
	if m.Dataset != "" {
		v.Population += fmt.Sprintf(" in version %d of the dataset %s", m.DatasetVersion, m.Dataset)
	}
	v.Population += "."
	if p.Mean != nil && p.SD != nil {
		v.Population += fmt.Sprintf(" The mean of %s is %s, its standard deviation %s.", v.E.Target, chart.Number(*p.Mean), chart.Number(*p.SD))
	}
	for _, class := range v.E.Classes {
		name := v.E.Target + " = " + class
		if class == v.E.Positive && v.E.Task == evaluate.Binary {
			name += " (positive)"
		}
		v.Groups = append(v.Groups, groupRow{name, p.Classes[class], p.ClassSubjects[class]})
	}
	v.LeftOut = slices.Clone(m.Exclusions)
	for _, reason := range slices.Sorted(maps.Keys(p.Excluded)) {
		v.LeftOut = append(v.LeftOut, Exclusion{Dataset: "evaluation", Reason: reason, Rows: int64(p.Excluded[reason])})
	}
}

func confusion(e *evaluate.Evaluation) *confusionTable {
	if e.Confusion == nil || len(e.Confusion.Classes) > 20 {
		return nil
	}
	t := &confusionTable{Classes: e.Confusion.Classes}
	for i, counts := range e.Confusion.Counts {
		total := 0
		for _, n := range counts {
			total += n
		}
		row := confusionRow{Class: e.Confusion.Classes[i]}
		for j, n := range counts {
			cell := confusionCell{Count: n, Right: i == j}
			if total > 0 {
				cell.Share = fmt.Sprintf("%.0f %%", 100*float64(n)/float64(total))
			}
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (v *view) slices(e *evaluate.Evaluation, first []string) {
	if len(e.Slices) == 0 {
		return
	}
	for _, name := range first {
		if _, ok := e.Metrics[name]; ok && v.SliceMetric == "" {
			v.SliceMetric = labelOf(name)
			v.SliceForest = sliceForest(e, name)
		}
	}
	columns := first[:min(2, len(first))] // more do not fit beside their intervals
	for _, name := range columns {
		v.SliceColumns = append(v.SliceColumns, labelOf(name))
	}
	for _, s := range e.Slices {
		row := sliceRow{Column: s.Column, Value: sliceValue(s), Rows: s.Rows, Subjects: s.Subjects, Small: s.Small}
		for _, name := range columns {
			text := "–"
			if m, ok := s.Metrics[name]; ok {
				text = withInterval(m)
			}
			row.Metrics = append(row.Metrics, text)
		}
		v.Slices = append(v.Slices, row)
	}
}

func (v *view) folds(e *evaluate.Evaluation, first []string) {
	columns := first[:min(3, len(first))]
	for _, name := range columns {
		v.Folds.Metrics = append(v.Folds.Metrics, labelOf(name))
	}
	for _, f := range e.Folds {
		row := foldRow{Name: f.Name, Rows: f.Rows, Subjects: f.Subjects, TrainRows: f.TrainRows}
		for _, name := range columns {
			text := "–"
			if m, ok := f.Metrics[name]; ok {
				text = chart.Fixed(m)
			}
			row.Metrics = append(row.Metrics, text)
		}
		v.Folds.Rows = append(v.Folds.Rows, row)
	}
}

func (v *view) leakage(e *evaluate.Evaluation) {
	for _, f := range e.Leakage.Findings {
		tone := "warn"
		if f.Severity == evaluate.Block {
			tone = "bad"
		}
		if v.LeakTone != "bad" {
			v.LeakTone = tone
		}
		v.Findings = append(v.Findings, findingRow{
			Kind: spaced(f.Kind), Severity: severities[f.Severity], Tone: tone, Message: f.Message, Explanation: explanations[f.Kind],
		})
	}
}

// spaced turns SubjectOnBothSides into "Subject on both sides".
func spaced(kind string) string {
	var b strings.Builder
	for i, r := range kind {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (v *view) importanceText(e *evaluate.Evaluation) {
	if e.Importances == nil {
		return
	}
	v.ImportanceText = fmt.Sprintf("How much the %s of held-out rows gets worse when one feature's values are shuffled (mean of %s; the whiskers "+
		"are one standard deviation). Near zero the model does not need the feature; features that tell the same share their importance.",
		labelOf(e.Importances.Metric), count(e.Importances.Repeats, "repeat", "repeats"))
	if n := len(e.Importances.Features); n > maxImportances {
		v.ImportanceText += fmt.Sprintf(" The %d largest of %d are drawn.", maxImportances, n)
	}
}

func (v *view) facts(m Model) {
	var features []string
	for _, f := range m.Evaluation.Signature.Features {
		features = append(features, f.Name)
	}
	for _, p := range []pair{
		{"Features", strings.Join(features, ", ")}, {"Parameters", m.Parameters}, {"Model file", m.Digest}, {"Training code", m.Code},
		{"Environment", m.Environment}, {"Tracking run", m.TrackingRun}, {"Fingerprint", m.Fingerprint},
	} {
		if p.Text != "" {
			v.Facts = append(v.Facts, p)
		}
	}
	if m.Evaluation.Scheme.Seed != 0 {
		v.Facts = append(v.Facts, pair{"Seed", strconv.FormatUint(m.Evaluation.Scheme.Seed, 10)})
	}
}
