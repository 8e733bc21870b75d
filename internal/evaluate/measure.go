// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
)

// meter computes metrics of one set of rows under any weights: what costs is done once, so that an interval may weigh the
// same rows a thousand times. A value that is not defined is NaN.
type meter interface {
	measure(weight []float64) map[string]float64
}

// Measure computes the metrics of a task by name (all of them if names is empty) and, for those without a value, says why.
// threshold is the probability from which a row counts as positive. Definitions are scikit-learn's:
//
//	roc_auc                 area under the ROC curve, ties counting half; several classes: mean of one against the rest
//	pr_auc                  average precision
//	brier, log_loss         mean squared error and mean negative log-likelihood (clipped at 2.2e-16) of probabilities
//	accuracy                balanced_accuracy is the mean recall of the classes that occur
//	sensitivity             recall of the positive class; specificity of the other; f1 of the positive class
//	calibration_slope       b of logit P(y) = a + b·logit(p), by maximum likelihood; 1 is right, below 1 overconfident
//	calibration_intercept   a of logit P(y) = a + logit(p); 0 is right, above 0 predictions are too low on the whole
//	                        (p clipped at 1e-6; Van Calster et al. 2016, doi:10.1016/j.jclinepi.2015.12.005)
//	rmse, mae, r2           of a regression
//
// Errors: Invalid for rows that cannot be evaluated or an unknown name.
func Measure(p Predictions, threshold float64, names []string) (values map[string]float64, undefined map[string]string, err error) {
	if err := p.check(); err != nil {
		return nil, nil, err
	}
	if names, err = chooseMetrics(p.Task, names); err != nil {
		return nil, nil, err
	}
	all := newMeter(p, threshold).measure(p.weights())
	values, undefined = map[string]float64{}, map[string]string{}
	for _, name := range names {
		if v := all[name]; math.IsNaN(v) || math.IsInf(v, 0) {
			undefined[name] = why(p, name)
		} else {
			values[name] = v
		}
	}
	return values, undefined, nil
}

func newMeter(p Predictions, threshold float64) meter {
	switch p.Task {
	case Binary:
		return newBinaryMeter(p, threshold)
	case Multiclass:
		return newClassMeter(p)
	}
	return regressionMeter{truth: p.Target, value: p.Value}
}

// why says in a few words what a metric would need.
func why(p Predictions, name string) string {
	counts := p.classCounts()
	for _, class := range p.Classes {
		if counts[class] == 0 && p.Task != Regression {
			return fmt.Sprintf("no row has class %q", class)
		}
	}
	switch name {
	case CalibrationSlope, CalibrationIntercept:
		return "the predictions are constant or separate the classes perfectly"
	case F1:
		return "no row is positive or predicted to be"
	case R2:
		return "the target is constant or there are fewer than 2 rows"
	}
	return "the weights add up to 0"
}

// regressionMeter measures predicted numbers.
type regressionMeter struct{ truth, value []float64 }

func (m regressionMeter) measure(weight []float64) map[string]float64 {
	var total, mean, square, absolute float64
	rows := 0
	for i, w := range weight {
		d := m.truth[i] - m.value[i]
		total += w
		mean += w * m.truth[i]
		square += w * d * d
		absolute += w * math.Abs(d)
		if w > 0 {
			rows++
		}
	}
	mean /= total
	spread := 0.0
	for i, w := range weight {
		spread += w * (m.truth[i] - mean) * (m.truth[i] - mean)
	}
	r2 := math.NaN()
	if rows > 1 && spread > 0 {
		r2 = 1 - square/spread
	}
	return map[string]float64{RMSE: math.Sqrt(square / total), MAE: absolute / total, R2: r2}
}
