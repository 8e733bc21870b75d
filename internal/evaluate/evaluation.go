// SPDX-License-Identifier: Apache-2.0

package evaluate

// Schema is the value of [Evaluation.Schema]; it changes when a reader of the old document would misread the new one.
const Schema = "fathom.dev/evaluation/v1"

// Evaluation is the content of evaluation.json: everything known about how good one version of a model is. Maps of metrics
// hold only what could be computed; the reasons for the rest are in the Undefined map beside them. No value is NaN.
type Evaluation struct {
	// schema is "fathom.dev/evaluation/v1".
	Schema string `json:"schema"`
	// task is binary, multiclass or regression.
	Task Task `json:"task"`
	// target is the predicted column.
	Target string `json:"target"`
	// classes are the target's values as text, in the order of the columns of probabilities. Empty for regression.
	Classes []string `json:"classes,omitempty"`
	// positive is the class whose probability the binary metrics score.
	Positive string `json:"positive,omitempty"`
	// threshold is the probability from which a row counts as positive.
	Threshold float64 `json:"threshold,omitempty"`
	// scheme says how rows were held out.
	Scheme Scheme `json:"scheme"`
	// population says which rows were evaluated.
	Population Population `json:"population"`
	// metrics are computed once over all out-of-fold predictions, by name (see [MetricNames]).
	Metrics map[string]Metric `json:"metrics"`
	// undefined says of a metric why it has no value, by name.
	Undefined map[string]string `json:"undefined,omitempty"`
	// folds are the metrics of each fold alone.
	Folds []FoldResult `json:"folds"`
	// subjects is the result with one row a subject: the mean of a subject's predictions.
	Subjects *SubjectLevel `json:"subjects,omitempty"`
	// slices are the results of parts of the population.
	Slices []Slice `json:"slices,omitempty"`
	// importances are by falling drop.
	Importances *Importances `json:"importances,omitempty"`
	// leakage is the audit of the split and of the features.
	Leakage Leakage `json:"leakage"`
	// curves are for plots; at most [CurvePoints] points each.
	Curves *Curves `json:"curves,omitempty"`
	// confusion counts rows by true and predicted class.
	Confusion *Confusion `json:"confusion,omitempty"`
	// signature says how the final model is called.
	Signature Signature `json:"signature"`
	// examples are made-up typical rows with the final model's answers, to check a server against.
	Examples []Example `json:"examples,omitempty"`
	// warnings do not stop a promotion but belong beside the numbers.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Scheme says how rows were held out.
type Scheme struct {
	By          By     `json:"by"`
	Folds       int    `json:"folds"`
	Method      string `json:"method"` // group-k-fold, stratified-group-k-fold, stratified-k-fold, k-fold, leave-one-out or column
	Seed        uint64 `json:"seed,omitempty"`
	Bootstrap   int    `json:"bootstrap,omitempty"` // resamples behind an interval
	Description string `json:"description"`         // one sentence for people
}

// Population says which rows were evaluated.
type Population struct {
	Rows     int `json:"rows"`
	Subjects int `json:"subjects"`
	// classes counts rows by class; classSubjects subjects with at least one such row.
	Classes       map[string]int `json:"classes,omitempty"`
	ClassSubjects map[string]int `json:"classSubjects,omitempty"`
	// mean and sd of a regression's target.
	Mean *float64 `json:"mean,omitempty"`
	SD   *float64 `json:"sd,omitempty"`
	// excluded counts rows that were left out, by reason, for example "target is missing".
	Excluded map[string]int `json:"excluded,omitempty"`
}

// Metric is one number and how sure it is.
type Metric struct {
	Value float64 `json:"value"`
	// low and high bound the 95 % interval; nil where there is none (one subject, say).
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// method of the interval: delong, bootstrap-subject, bootstrap-record, wilson, newcombe or none (see [MethodDeLong]…).
	Method string `json:"method"`
	// n is the number of rows, subjects of distinct subjects behind the number.
	N        int `json:"n"`
	Subjects int `json:"subjects"`
}

// FoldResult is one fold alone. Its metrics have no intervals: folds are small.
type FoldResult struct {
	Fold      int                `json:"fold"`
	Name      string             `json:"name"` // of a supplied fold column's value, or the fold's number
	Rows      int                `json:"rows"`
	Subjects  int                `json:"subjects"`
	TrainRows int                `json:"trainRows"`
	Classes   map[string]int     `json:"classes,omitempty"` // held-out rows by class
	Metrics   map[string]float64 `json:"metrics"`
	Undefined map[string]string  `json:"undefined,omitempty"`
}

// SubjectLevel is the result with one row a subject.
type SubjectLevel struct {
	Rows      int               `json:"rows"`
	Metrics   map[string]Metric `json:"metrics"`
	Undefined map[string]string `json:"undefined,omitempty"`
}

// Slice is the result of the rows where Column has Value.
type Slice struct {
	Column   string         `json:"column"`
	Value    string         `json:"value"` // text of the value, or a range such as "[40, 55)"; "" is a missing value
	Rows     int            `json:"rows"`
	Subjects int            `json:"subjects"`
	Classes  map[string]int `json:"classes,omitempty"`
	// small marks fewer than [SmallSliceSubjects] subjects or [SmallSliceRows] rows: read nothing into it.
	Small     bool              `json:"small,omitempty"`
	Metrics   map[string]Metric `json:"metrics"`
	Undefined map[string]string `json:"undefined,omitempty"`
}

// Importances say how much worse the held-out predictions get when one feature's values are shuffled.
type Importances struct {
	Metric   string       `json:"metric"` // roc_auc, log_loss (multiclass) or r2
	Repeats  int          `json:"repeats"`
	Features []Importance `json:"features"`
}

// Importance is one feature's.
type Importance struct {
	Feature string `json:"feature"`
	// drop is the mean loss of the metric, positive when the feature helps; sd over folds and repeats.
	Drop float64 `json:"drop"`
	SD   float64 `json:"sd"`
	// folds are the mean drops of each fold.
	Folds []float64 `json:"folds,omitempty"`
}

// Severity of a leakage finding.
type Severity string

// The severities, and the verdict of an audit without a finding.
const (
	None  Severity = "none"
	Warn  Severity = "warn"  // told beside the numbers
	Block Severity = "block" // no promotion
)

// Leakage is the audit's result.
type Leakage struct {
	// verdict is the worst severity of the findings: none, warn or block.
	Verdict  Severity  `json:"verdict"`
	Findings []Finding `json:"findings,omitempty"`
}

// The kinds of finding.
const (
	LeakSubject   = "SubjectOnBothSides"
	LeakDuplicate = "DuplicateRows"
	LeakTarget    = "FeatureGivesTargetAway"
	LeakRecord    = "SplitByRecord"
)

// Finding is one way in which held-out rows were not new to the training.
type Finding struct {
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	// message says what was found, naming it, and what to do.
	Message string `json:"message"`
	// subjects, rows (positions in the dataset, from 0) and columns concerned; the first [FindingExamples] of each.
	Subjects []string `json:"subjects,omitempty"`
	Rows     []int64  `json:"rows,omitempty"`
	Columns  []string `json:"columns,omitempty"`
	// count is how many subjects (SubjectOnBothSides, SplitByRecord), rows (DuplicateRows) or columns it concerns.
	Count int `json:"count"`
}

// Curves are for plots.
type Curves struct {
	// roc: x false positive rate, y true positive rate. pr: x recall, y precision. Binary only.
	ROC []Point `json:"roc,omitempty"`
	PR  []Point `json:"pr,omitempty"`
	// calibration: bins of equal numbers of rows. Binary only.
	Calibration []CalibrationBin `json:"calibration,omitempty"`
	// scatter: x true value, y prediction of up to [CurvePoints] rows. Regression only.
	Scatter []Point `json:"scatter,omitempty"`
}

// Point of a curve. Threshold is the score from which rows count as positive; nil at the curve's origin.
type Point struct {
	X         float64  `json:"x"`
	Y         float64  `json:"y"`
	Threshold *float64 `json:"threshold,omitempty"`
}

// CalibrationBin compares predicted and observed frequency; Low and High are Wilson's 95 % interval of Observed.
type CalibrationBin struct {
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	Rows      int     `json:"rows"`
}

// Confusion counts rows: Counts[i][j] have class i and were predicted to have class j.
type Confusion struct {
	Classes []string `json:"classes"`
	Counts  [][]int  `json:"counts"`
}

// Signature says how a model is called.
type Signature struct {
	// features in the order the model was trained on, with their type in the training file.
	Features []Feature `json:"features"`
	// convention is matrix (one float tensor [N, features]) or columns (one tensor a column).
	Convention string   `json:"convention"`
	Inputs     []Tensor `json:"inputs"`
	Outputs    []Tensor `json:"outputs"`
	// label and scores name the outputs that were read: classes, and probabilities or the regression's value.
	Label  string `json:"label,omitempty"`
	Scores string `json:"scores"`
	// digest of the model file, "sha256:…".
	Digest string `json:"digest,omitempty"`
}

// Feature is a column a model was trained on.
type Feature struct {
	Name string `json:"name"`
	// type is number, integer, boolean, text or time.
	Type string `json:"type"`
}

// Tensor describes an input or output.
type Tensor struct {
	Name string `json:"name"`
	// type is an Open Inference Protocol datatype: FP32, INT64, BYTES…; "MAP" for scikit-learn's sequence of maps.
	Type string `json:"type"`
	// shape has -1 where the size is free.
	Shape []int64 `json:"shape"`
}

// Example is a made-up typical row (quartiles of numbers, most frequent texts) and the final model's answer.
type Example struct {
	Inputs map[string]any `json:"inputs"`
	// outputs are the probabilities by class order, or the one predicted number.
	Outputs []float64 `json:"outputs"`
}

// Warning belongs beside the numbers.
type Warning struct {
	// code is stable: ConstantPredictions, FewSubjects, ClassMissingInFold, Uncalibrated, NoFinalModel…
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Split is the content of split.json.
type Split struct {
	Params     SplitParams `json:"params"` // with defaults filled in
	Task       Task        `json:"task"`
	Classes    []string    `json:"classes,omitempty"`
	Positive   string      `json:"positive,omitempty"`
	Scheme     Scheme      `json:"scheme"`
	Population Population  `json:"population"`
	Features   []Feature   `json:"features"`
	// nonNumeric names the features that are no numbers: training code must encode them.
	NonNumeric []string    `json:"nonNumeric,omitempty"`
	Folds      []SplitFold `json:"folds"`
	Leakage    Leakage     `json:"leakage"`
	Warnings   []Warning   `json:"warnings,omitempty"`
}

// SplitFold counts one fold's sides.
type SplitFold struct {
	Fold          int            `json:"fold"`
	Name          string         `json:"name"`
	TrainRows     int            `json:"trainRows"`
	TrainSubjects int            `json:"trainSubjects"`
	TestRows      int            `json:"testRows"`
	TestSubjects  int            `json:"testSubjects"`
	TrainClasses  map[string]int `json:"trainClasses,omitempty"`
	TestClasses   map[string]int `json:"testClasses,omitempty"`
}

// Bounds of the document.
const (
	CurvePoints        = 200 // points of a curve at most
	FindingExamples    = 20  // names listed in a finding at most
	SmallSliceSubjects = 10  // fewer make a slice small
	SmallSliceRows     = 20  // fewer make a slice small
	MaxSliceValues     = 20  // values of a slice column at most; the rest is one slice "other"
)
