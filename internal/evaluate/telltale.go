// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/combin"
)

// telltales finds features that alone tell the target. A separation that few subjects could show by chance (5 % over all
// features) is a warning; any other blocks.
func (a Audited) telltales() []Finding {
	severity := Block
	if a.chance() > 0.05 {
		severity = Warn
	}
	var findings []Finding
	for _, c := range a.Features {
		how := a.tells(c)
		if how == "" {
			continue
		}
		message := fmt.Sprintf("feature %q gives the target away: %s. Remove it (data.ignore) unless it is known before the outcome.", c.Name, how)
		if severity == Warn {
			message = fmt.Sprintf("feature %q separates the target: %s. With so few subjects that may be chance.", c.Name, how)
		}
		findings = append(findings, Finding{Kind: LeakTarget, Severity: severity, Message: message, Columns: []string{c.Name}, Count: 1})
	}
	return findings
}

// tells says how a feature tells the target, "" if it does not.
func (a Audited) tells(c Column) string {
	if a.Task == Regression {
		return a.tellsNumber(c)
	}
	if !c.IsText() {
		for class, name := range a.Classes {
			if area := a.singleAUC(c, class); area >= givesAway || area <= 1-givesAway {
				return fmt.Sprintf("alone it ranks class %q with an AUC of %.4g", name, math.Max(area, 1-area))
			}
			if len(a.Classes) == 2 {
				break
			}
		}
	}
	if a.deterministic(c) {
		return "each of its values goes with one class only"
	}
	if a.missingTells(c) {
		return "it is missing for one class only"
	}
	return ""
}

// singleAUC ranks rows by a number alone; a missing value ranks lowest.
func (a Audited) singleAUC(c Column, class int) float64 {
	scores, truth, weight := make([]float64, c.Len()), make([]bool, c.Len()), make([]float64, c.Len())
	var pos, neg float64
	for i, v := range c.Numbers {
		if math.IsNaN(v) {
			v = math.Inf(-1)
		}
		scores[i], truth[i], weight[i] = v, a.Class[i] == class, 1
		if truth[i] {
			pos++
		} else {
			neg++
		}
	}
	order, last := descending(scores)
	area, _ := rank(truth, order, last, weight, pos, neg)
	if math.IsNaN(area) {
		return 0.5
	}
	return area
}

// deterministic reports whether values that two subjects or more share always go with one class, and nearly all rows have such
// a value. Values of one subject each say nothing: a subject's class is what it is.
func (a Audited) deterministic(c Column) bool {
	type use struct {
		rows, class, subject int
		shared, mixed        bool
	}
	subjects, _ := Predictions{Task: a.Task, Class: a.Class, Subject: a.Subject}.units()
	codes, values := c.codes()
	uses := make([]use, values)
	for i, code := range codes {
		u := &uses[code]
		if u.rows > 0 {
			u.shared = u.shared || subjects[i] != u.subject
			u.mixed = u.mixed || a.Class[i] != u.class
		}
		u.rows, u.class, u.subject = u.rows+1, a.Class[i], subjects[i]
	}
	rows, classes := 0, map[int]bool{}
	for _, u := range uses {
		if u.mixed {
			return false
		}
		if u.shared {
			rows += u.rows
			classes[u.class] = true
		}
	}
	return len(classes) >= 2 && float64(rows) >= 0.9*float64(c.Len())
}

// missingTells reports whether a feature is always missing for one class and never for another.
func (a Audited) missingTells(c Column) bool {
	missing, present := make([]int, len(a.Classes)), make([]int, len(a.Classes))
	for i, class := range a.Class {
		if c.Missing(i) {
			missing[class]++
		} else {
			present[class]++
		}
	}
	always, never := false, false
	for class := range a.Classes {
		always = always || (missing[class] > 0 && present[class] == 0)
		never = never || (missing[class] == 0 && present[class] > 0)
		if missing[class] > 0 && present[class] > 0 {
			return false
		}
	}
	return always && never
}

// tellsNumber finds a feature that is the regression's target up to scale.
func (a Audited) tellsNumber(c Column) string {
	if c.IsText() {
		return ""
	}
	var x, y []float64
	for i, v := range c.Numbers {
		if !math.IsNaN(v) {
			x, y = append(x, v), append(y, a.Target[i])
		}
	}
	if len(x) < 10 {
		return ""
	}
	if r := stat.Correlation(x, y, nil); math.Abs(r) >= oneNumber {
		return fmt.Sprintf("its correlation with the target is %.6g", r)
	}
	return ""
}

// chance is how likely some feature separates two classes of subjects when none means anything: 2 of the ways to choose the
// smaller class, for each feature.
func (a Audited) chance() float64 {
	if a.Task == Regression {
		return 0
	}
	p := Predictions{Task: a.Task, Class: a.Class, Subject: a.Subject, Classes: a.Classes, Positive: len(a.Classes) - 1}
	pos, neg := p.subjectsByTruth()
	if pos == 0 || neg == 0 {
		return 1
	}
	log := combin.LogGeneralizedBinomial(float64(pos+neg), float64(pos))
	return float64(len(a.Features)) * 2 * math.Exp(-log)
}
