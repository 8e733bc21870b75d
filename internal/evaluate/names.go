// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// The metrics' names, as used in promotion rules.
const (
	ROCAUC               = "roc_auc"
	PRAUC                = "pr_auc"
	Brier                = "brier"
	LogLoss              = "log_loss"
	Accuracy             = "accuracy"
	BalancedAccuracy     = "balanced_accuracy"
	Sensitivity          = "sensitivity"
	Specificity          = "specificity"
	F1                   = "f1"
	CalibrationSlope     = "calibration_slope"
	CalibrationIntercept = "calibration_intercept"
	RMSE                 = "rmse"
	MAE                  = "mae"
	R2                   = "r2"
)

// MetricNames lists the metrics of a task in the order to show them. roc_auc of several classes is the unweighted mean of
// one class against the rest.
func MetricNames(task Task) []string {
	switch task {
	case Binary:
		return []string{
			ROCAUC, PRAUC, Brier, LogLoss, Accuracy, BalancedAccuracy, Sensitivity, Specificity, F1,
			CalibrationSlope, CalibrationIntercept,
		}
	case Multiclass:
		return []string{ROCAUC, LogLoss, Accuracy, BalancedAccuracy}
	case Regression:
		return []string{RMSE, MAE, R2}
	}
	return nil
}

// GreaterIsBetter reports the direction of a metric. The two calibration metrics have none (best is 1 and 0): they count
// as greater is better and belong into a rule with two bounds.
func GreaterIsBetter(metric string) bool {
	switch metric {
	case Brier, LogLoss, RMSE, MAE:
		return false
	}
	return true
}

// chooseMetrics checks names against the task; none are all.
func chooseMetrics(task Task, names []string) ([]string, error) {
	all := MetricNames(task)
	if all == nil {
		return nil, fault.New(fault.Invalid, "evaluate", "%q is no task; tasks are binary, multiclass and regression", task)
	}
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fault.New(fault.Invalid, "evaluate", "%q is no metric of a %s target; those are %s",
				name, task, strings.Join(all, ", "))
		}
	}
	return names, nil
}
