// SPDX-License-Identifier: Apache-2.0

package evaluate

import "fathom.dev/fathom/internal/fault"

// Task is what the target is.
type Task string

// The tasks. An empty Task is inferred from the target by [InferTask].
const (
	Binary     Task = "binary"     // two classes
	Multiclass Task = "multiclass" // three classes or more
	Regression Task = "regression" // a number
)

// By says what a fold holds out whole.
type By string

// The units of a fold.
const (
	BySubject By = "subject" // all rows of a subject are on one side (default)
	ByRecord  By = "record"  // every row for itself: leaks as soon as a subject has two rows
)

// SplitParams are the parameters of `fathom-step split`, the JSON of $FATHOM_PARAMS.
//
// It reads $FATHOM_INPUTS/<dataset>/*.parquet and writes, under $FATHOM_OUTPUT:
//
//	fold-<k>/train.parquet   rows a training run of fold k may see: subject, features, target; k = 0..folds-1
//	final/train.parquet      all rows with a target
//	assignment.parquet       row (int64, position in the dataset), subject (text), fold (int32); for `evaluate` only
//	split.json               a [Split]
//
// The held-out rows of fold k are in no file that its training run is given.
type SplitParams struct {
	// dataset is the name of the input that holds the rows. Required.
	Dataset string `json:"dataset"`
	// target is the column to predict. Required.
	Target string `json:"target"`
	// subject is the column that says whom a row is about. Empty: every row is its own subject.
	Subject string `json:"subject,omitempty"`
	// task is binary, multiclass or regression. Empty: two distinct targets are binary; text or at most 20 distinct whole
	// numbers (each in at least 2 rows) multiclass; anything else regression.
	Task Task `json:"task,omitempty"`
	// positive is the class whose probability is scored, as text. Empty: the greater of the two ("1" of 0 and 1).
	Positive string `json:"positive,omitempty"`
	// folds is the number of folds, 2 to 1000. Zero: 5, or as many as there are subjects if those are fewer.
	Folds int `json:"folds,omitempty"`
	// leaveOneOut makes one fold for each subject (by: subject) or row (by: record). folds is then ignored.
	LeaveOneOut bool `json:"leaveOneOut,omitempty"`
	// foldColumn is a column that holds the fold of each row; it is no feature. folds and leaveOneOut are then ignored.
	FoldColumn string `json:"foldColumn,omitempty"`
	// by is subject or record. Empty: subject.
	By By `json:"by,omitempty"`
	// stratify spreads the classes evenly over the folds. by record always stratifies; by subject only if true.
	Stratify bool `json:"stratify,omitempty"`
	// seed orders ties of stratified and by-record folds. Folds by subject without stratify do not depend on it.
	Seed uint64 `json:"seed,omitempty"`
	// features are the columns to train on, in this order. Empty: all columns in the dataset's order but target,
	// subject, foldColumn, drop, those that begin with "_", and those that are times, lists or structures.
	Features []string `json:"features,omitempty"`
	// drop are columns that are no features.
	Drop []string `json:"drop,omitempty"`
}

// Params are the parameters of `fathom-step evaluate`, the JSON of $FATHOM_PARAMS.
//
// It reads $FATHOM_INPUTS/<dataset>/*.parquet, $FATHOM_INPUTS/<split>/{split.json,assignment.parquet} and the trained
// models $FATHOM_INPUTS/fold-<k>/model.onnx and $FATHOM_INPUTS/final/model.onnx. It writes, under $FATHOM_OUTPUT:
//
//	evaluation.json          an [Evaluation]
//	out_of_fold.parquet      row, fold, subject, target, then "p_<class>" of each class and "predicted", or "prediction"
//	out_of_fold.csv          the same
type Params struct {
	// dataset is the name of the input that holds the rows. Required.
	Dataset string `json:"dataset"`
	// split is the name of the input that holds the output of `fathom-step split`. Empty: "split".
	Split string `json:"split,omitempty"`
	// metrics are the names to report, see [MetricNames]. Empty: all of the task.
	Metrics []string `json:"metrics,omitempty"`
	// slices are columns; every value (or quarter of a numeric column with more than 10 values) is evaluated on its own.
	Slices []string `json:"slices,omitempty"`
	// threshold is the probability from which a row counts as positive, 0 to 1. Zero: 0.5. Binary only.
	Threshold float64 `json:"threshold,omitempty"`
	// weight is a column of non-negative row weights. Empty: every row counts 1.
	Weight string `json:"weight,omitempty"`
	// bootstrap is the number of resamples behind an interval, 100 to 20000. Zero: 1000.
	Bootstrap int `json:"bootstrap,omitempty"`
	// repeats is how often each feature is permuted per fold, 1 to 100. Zero: 5. -1 leaves importances out.
	Repeats int `json:"repeats,omitempty"`
	// seed starts every random choice.
	Seed uint64 `json:"seed,omitempty"`
}

// Defaults is the parameters with zero values filled in. Errors: Invalid for values out of range, naming the field.
func (p Params) Defaults() (Params, error) {
	if p.Split == "" {
		p.Split = "split"
	}
	if p.Threshold == 0 {
		p.Threshold = 0.5
	}
	if p.Bootstrap == 0 {
		p.Bootstrap = 1000
	}
	if p.Repeats == 0 {
		p.Repeats = 5
	}
	bad := func(field, format string, args ...any) error {
		return fault.New(fault.Invalid, "evaluate", field+" "+format, args...)
	}
	switch {
	case !(p.Threshold > 0 && p.Threshold < 1):
		return p, bad("threshold", "is %v, it must be between 0 and 1", p.Threshold)
	case p.Bootstrap < 100 || p.Bootstrap > 20000:
		return p, bad("bootstrap", "is %d, it must be 100 to 20000", p.Bootstrap)
	case p.Repeats < -1 || p.Repeats > 100:
		return p, bad("repeats", "is %d, it must be 1 to 100, or -1 for none", p.Repeats)
	}
	return p, nil
}
