// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"fmt"
	"strings"

	"fathom.dev/fathom/internal/chart"
	"fathom.dev/fathom/internal/evaluate"
)

// term is a metric for people.
type term struct {
	label, meaning string
	// share tells metrics that lie between 0 and 1 by nature.
	share bool
}

var terms = map[string]term{
	evaluate.ROCAUC:               {"ROC AUC", "How well the model ranks: 0.5 is a coin's toss, 1 ranks every positive row above every negative one.", true},
	evaluate.PRAUC:                {"PR AUC", "Precision averaged over all recalls; compare it with the share of positive rows, which guessing reaches.", true},
	evaluate.Brier:                {"Brier score", "Mean squared distance of the predicted probability from what happened; 0 is best.", true},
	evaluate.LogLoss:              {"Log loss", "Penalty for confident mistakes; 0 is best.", false},
	evaluate.Accuracy:             {"Accuracy", "Share of rows that are classified correctly at the threshold.", true},
	evaluate.BalancedAccuracy:     {"Balanced accuracy", "Mean of the classes' shares of correct rows, so that a rare class counts as much as a frequent one.", true},
	evaluate.Sensitivity:          {"Sensitivity", "Share of the positive rows that are found at the threshold.", true},
	evaluate.Specificity:          {"Specificity", "Share of the negative rows that are left alone at the threshold.", true},
	evaluate.F1:                   {"F1", "Harmonic mean of precision and sensitivity at the threshold.", true},
	evaluate.CalibrationSlope:     {"Calibration slope", "1 is best. Below 1 the predicted probabilities are too extreme, above 1 too timid.", false},
	evaluate.CalibrationIntercept: {"Calibration intercept", "0 is best. Below 0 risks are predicted too high on the whole, above 0 too low.", false},
	evaluate.RMSE:                 {"RMSE", "Typical size of an error in the target's unit, large errors weighing more.", false},
	evaluate.MAE:                  {"MAE", "Mean size of an error in the target's unit.", false},
	evaluate.R2:                   {"R²", "Share of the target's variation that is explained; 0 is no better than always predicting the mean.", false},
}

func labelOf(metric string) string {
	if t, ok := terms[metric]; ok {
		return t.label
	}
	return strings.ReplaceAll(metric, "_", " ")
}

// defaults are the metrics to show first.
func defaults(task evaluate.Task) []string {
	switch task {
	case evaluate.Binary:
		return []string{evaluate.ROCAUC, evaluate.Sensitivity, evaluate.Specificity}
	case evaluate.Multiclass:
		return []string{evaluate.ROCAUC, evaluate.BalancedAccuracy}
	}
	return []string{evaluate.R2, evaluate.RMSE}
}

func interval(m evaluate.Metric) string {
	if m.Low == nil || m.High == nil {
		return ""
	}
	return chart.Fixed(*m.Low) + " to " + chart.Fixed(*m.High)
}

// withInterval is "0.83 (0.76 to 0.90)".
func withInterval(m evaluate.Metric) string {
	if i := interval(m); i != "" {
		return chart.Fixed(m.Value) + " (" + i + ")"
	}
	return chart.Fixed(m.Value)
}

var methods = map[string]string{
	"delong":            "DeLong's method",
	"bootstrap-subject": "resampling whole subjects",
	"bootstrap-record":  "resampling rows",
}

// intervalSentence tells how the intervals were made.
func intervalSentence(e *evaluate.Evaluation) string {
	used, seen := []string{}, map[string]bool{}
	for _, name := range evaluate.MetricNames(e.Task) {
		if how, ok := methods[e.Metrics[name].Method]; ok && !seen[how] {
			seen[how] = true
			used = append(used, how)
		}
	}
	if len(used) == 0 {
		return "No intervals could be computed."
	}
	text := "The 95 % intervals were made by " + strings.Join(used, " and ")
	if e.Scheme.Bootstrap > 0 && strings.Contains(text, "resampling") {
		text += fmt.Sprintf(" %d times", e.Scheme.Bootstrap)
	}
	if strings.Contains(text, "subjects") {
		text += ", because rows of one subject are alike and do not count as independent"
	}
	return text + "."
}

// positive is "status = 1".
func positive(e *evaluate.Evaluation) string { return e.Target + " = " + e.Positive }

// rankingSentence says what a ROC AUC means.
func rankingSentence(e *evaluate.Evaluation) string {
	m, ok := e.Metrics[evaluate.ROCAUC]
	if !ok || e.Task != evaluate.Binary {
		return ""
	}
	return fmt.Sprintf("Of two rows, one with %s and one without, the model gives the higher score to the right one in about %.0f of 100 cases.",
		positive(e), 100*m.Value)
}

// calibrationSentence reads slope and intercept with their intervals.
func calibrationSentence(e *evaluate.Evaluation) string {
	text := "Each mark is a group of rows with similar predictions: on the dashed line as many rows are positive as was predicted; " +
		"the bars are 95 % intervals of the observed share."
	slope, ok := e.Metrics[evaluate.CalibrationSlope]
	switch {
	case !ok || slope.Low == nil || slope.High == nil:
		return text
	case *slope.High < 1:
		return text + " The slope of " + withInterval(slope) + " says that the predictions are too extreme: do not read them as probabilities."
	case *slope.Low > 1:
		return text + " The slope of " + withInterval(slope) + " says that the predictions are too timid."
	}
	return text + " The slope of " + withInterval(slope) + " does not show that the predictions are too extreme or too timid."
}

// explanations of what the audit can find.
var explanations = map[string]string{
	evaluate.LeakSubject:   "The model was tested on people that it had been trained on. It may recognise the person in place of the condition, so the numbers are too good.",
	evaluate.LeakDuplicate: "Rows that are alike stood in training and in test. The model may have learnt them by heart, so the numbers are too good.",
	evaluate.LeakTarget:    "A feature says nearly by itself what is to be predicted. Ask whether it would be known at the time of a prediction.",
	evaluate.LeakRecord:    "Single rows were held out, not whole subjects. Rows of one subject are alike, so the numbers say nothing about new people.",
}

var severities = map[evaluate.Severity]string{evaluate.Block: "blocks promotion", evaluate.Warn: "warning", evaluate.None: "no finding"}

// verdicts say in a sentence what a stage means.
var verdicts = map[string]string{
	"Production":       "This version is in production: endpoints that follow the model serve it.",
	"AwaitingApproval": "The rules hold. A person must approve before this version is served.",
	"Candidate":        "This version is not judged yet.",
	"Archived":         "This version was in production and was replaced.",
	"Refused":          "This version is not served: a rule does not hold.",
}

// tones colour a stage.
var tones = map[string]string{"Production": "good", "AwaitingApproval": "warn", "Candidate": "warn", "Refused": "bad"}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return chart.Number(float64(n)) + " " + many
}
