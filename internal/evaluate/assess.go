// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// Assessed is everything [Assess] needs: the held-out rows in any order, all slices by row.
type Assessed struct {
	Split       Split
	Params      Params
	Predictions Predictions
	Fold        []int
	Features    []Column
	// Slices are the columns of Params.Slices.
	Slices []Column
	// Score scores rows again, for importances; nil leaves them out.
	Score Score
}

// Assess computes an [Evaluation] but for its Signature and Examples, which need the final model. Errors: Invalid for metrics
// or parameters that are none; those of Score.
func Assess(ctx context.Context, in Assessed) (*Evaluation, error) {
	params, err := in.Params.Defaults()
	if err != nil {
		return nil, err
	}
	p, split := in.Predictions, in.Split
	how := Resampling{Resamples: params.Bootstrap, Seed: params.Seed}
	e := &Evaluation{
		Schema: Schema, Task: split.Task, Target: split.Params.Target, Classes: split.Classes, Positive: split.Positive,
		Scheme: split.Scheme, Population: split.Population, Leakage: split.Leakage, Curves: Plot(p),
		Confusion: Confuse(p, params.Threshold),
	}
	if split.Task == Binary {
		e.Threshold = params.Threshold
	}
	e.Scheme.Bootstrap = resamples(how, p.Len())
	if e.Metrics, e.Undefined, err = MeasureWithIntervals(p, params.Threshold, params.Metrics, how); err != nil {
		return nil, err
	}
	if e.Folds, err = in.folds(params); err != nil {
		return nil, err
	}
	if e.Subjects, err = subjectLevel(p, params, how); err != nil {
		return nil, err
	}
	for _, column := range in.Slices {
		slices, err := SliceBy(p, column, params.Threshold, params.Metrics, how)
		if err != nil {
			return nil, err
		}
		e.Slices = append(e.Slices, slices...)
	}
	if in.Score != nil && params.Repeats > 0 {
		permuted := Permuted{
			Predictions: p, Fold: in.Fold, Folds: len(split.Folds), Features: in.Features, Repeats: params.Repeats, Seed: params.Seed,
		}
		if e.Importances, err = Permute(ctx, permuted, in.Score); err != nil {
			return nil, err
		}
	}
	e.Warnings = append(append(e.Warnings, split.Warnings...), in.warnings(e)...)
	return e, nil
}

// folds measures each fold alone.
func (in Assessed) folds(params Params) ([]FoldResult, error) {
	rows := make([][]int, len(in.Split.Folds))
	for i, f := range in.Fold {
		rows[f] = append(rows[f], i)
	}
	out := make([]FoldResult, len(rows))
	for f, s := range in.Split.Folds {
		part := in.Predictions.Pick(rows[f])
		_, subjects := part.units()
		out[f] = FoldResult{Fold: f, Name: s.Name, Rows: part.Len(), Subjects: subjects, TrainRows: s.TrainRows, Classes: part.classCounts()}
		if part.Len() == 0 {
			continue
		}
		var err error
		if out[f].Metrics, out[f].Undefined, err = Measure(part, params.Threshold, params.Metrics); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// subjectLevel is nil when rows are subjects already, or most subjects have rows of several classes.
func subjectLevel(p Predictions, params Params, how Resampling) (*SubjectLevel, error) {
	_, units := p.units()
	if units == p.Len() {
		return nil, nil
	}
	rows, mixed := SubjectMeans(p)
	if rows.Len() == 0 || mixed > rows.Len() {
		return nil, nil
	}
	metrics, undefined, err := MeasureWithIntervals(rows, params.Threshold, params.Metrics, how)
	if err != nil {
		return nil, err
	}
	return &SubjectLevel{Rows: rows.Len(), Metrics: metrics, Undefined: undefined}, nil
}

// fewSubjects is below which an evaluation says that it is one of few.
const fewSubjects = 30

func (in Assessed) warnings(e *Evaluation) []Warning {
	var out []Warning
	warn := func(code, format string, args ...any) {
		out = append(out, Warning{Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if e.Population.Subjects < fewSubjects {
		warn("FewSubjects", "there are only %d subjects: the intervals are wide, and differences between versions mostly noise", e.Population.Subjects)
	}
	if flat := in.constantFolds(); len(flat) > 0 {
		warn("ConstantPredictions", "the models of folds %s give every held-out row the same answer; check that they learned from the features", firstOf(flat, 5))
	}
	if slope, known := e.Metrics[CalibrationSlope]; known && (slope.Value < 0.5 || slope.Value > 2) {
		warn("Uncalibrated", "the calibration slope is %.2f: probabilities are %s; calibrate the model before reading them as risks",
			slope.Value, map[bool]string{true: "too extreme", false: "too timid"}[slope.Value < 1])
	}
	return out
}

// constantFolds names folds of two rows or more whose predictions do not differ.
func (in Assessed) constantFolds() []string {
	k := max(len(in.Predictions.Classes), 1)
	values := in.Predictions.Probabilities
	if in.Predictions.Task == Regression {
		values = in.Predictions.Value
	}
	folds := make([]rangeOf, len(in.Split.Folds))
	for i, f := range in.Fold {
		folds[f].add(values[i*k])
	}
	var flat []string
	for f, r := range folds {
		if r.n > 1 && r.high-r.low < 1e-9 {
			flat = append(flat, in.Split.Folds[f].Name)
		}
	}
	return flat
}

// Describe says who the rows are.
func Describe(p Predictions, excluded map[string]int) Population {
	unit, units := p.units()
	out := Population{Rows: p.Len(), Subjects: units, Classes: p.classCounts(), Excluded: excluded}
	if p.Task == Regression {
		mean, sd := stat.MeanStdDev(p.Target, nil)
		if math.IsNaN(sd) {
			sd = 0
		}
		out.Mean, out.SD = &mean, &sd
		return out
	}
	seen := map[[2]int]bool{}
	out.ClassSubjects = map[string]int{}
	for i, class := range p.Class {
		if key := [2]int{unit[i], class}; !seen[key] {
			seen[key] = true
			out.ClassSubjects[p.Classes[class]]++
		}
	}
	return out
}
