// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
	"slices"

	"fathom.dev/fathom/internal/fault"
)

// maxFolds is the most training runs that one evaluation may ask for.
const maxFolds = 1000

// Divisible are a dataset's rows as [Divide] wants them: those with a target and, where there are subjects, a subject.
type Divisible struct {
	Target   Column
	Subject  []string // nil without a subject column
	Supplied []string // values of the fold column; nil without one
	Features []Column
	Row      []int64 // positions in the dataset
	Excluded map[string]int
}

// Defaults is the parameters with zero values filled in. Errors: Invalid for values that cannot be, naming the field.
func (p SplitParams) Defaults() (SplitParams, error) {
	if p.By == "" {
		p.By = BySubject
	}
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "evaluate.split", format, args...)
	}
	switch {
	case p.Target == "":
		return p, bad("target is missing: name the column to predict")
	case p.Target == p.Subject:
		return p, bad("target and subject are the same column %q", p.Target)
	case p.By != BySubject && p.By != ByRecord:
		return p, bad("by is %q, it must be subject or record", p.By)
	case p.Folds < 0 || p.Folds == 1 || p.Folds > maxFolds:
		return p, bad("folds is %d, it must be 2 to %d", p.Folds, maxFolds)
	case p.Task != "" && MetricNames(p.Task) == nil:
		return p, bad("task is %q, it must be binary, multiclass or regression", p.Task)
	}
	return p, nil
}

// Divide assigns rows to folds and audits the result. It depends on nothing but its arguments. Errors: Invalid for parameters
// that do not fit the rows, and for a fold whose training rows lack a class.
func Divide(p SplitParams, in Divisible) (Split, Assignment, error) {
	p, err := p.Defaults()
	if err != nil {
		return Split{}, Assignment{}, err
	}
	rows, err := describeTarget(&p, in)
	if err != nil {
		return Split{}, Assignment{}, err
	}
	a, err := assign(&p, in, rows)
	if err != nil {
		return Split{}, Assignment{}, err
	}
	s := Split{
		Params: p, Task: rows.Task, Classes: rows.Classes, Population: Describe(rows, in.Excluded),
		Scheme: Scheme{By: p.By, Folds: len(a.Names), Method: a.Method, Seed: p.Seed, Description: describeScheme(p, a)},
	}
	if rows.Task == Binary {
		s.Positive = rows.Classes[rows.Positive]
	}
	for _, c := range in.Features {
		s.Features = append(s.Features, c.Feature)
		if c.IsText() {
			s.NonNumeric = append(s.NonNumeric, c.Name)
		}
	}
	if s.Folds, err = countFolds(a, rows); err != nil {
		return Split{}, Assignment{}, err
	}
	s.Leakage = Audit(Audited{
		By: p.By, Fold: a.Fold, Subject: in.Subject, Row: in.Row, Features: in.Features, Task: rows.Task, Classes: rows.Classes,
		Class: rows.Class, Target: rows.Target,
	})
	s.Warnings = splitWarnings(p, in, s)
	return s, a, nil
}

// describeTarget reads classes or numbers; it fills in the task and positive class.
func describeTarget(p *SplitParams, in Divisible) (Predictions, error) {
	rows := Predictions{Subject: in.Subject}
	n := in.Target.Len()
	if n < 2 {
		return rows, targetError(in.Target, "has %d rows with a value, at least 2 are needed", n)
	}
	for i, v := range in.Target.Numbers {
		if math.IsInf(v, 0) {
			return rows, targetError(in.Target, "is infinite in row %d", in.Row[i])
		}
	}
	var err error
	if p.Task == "" {
		if p.Task, err = InferTask(in.Target); err != nil {
			return rows, err
		}
	}
	rows.Task = p.Task
	if p.Task == Regression {
		if in.Target.IsText() {
			return rows, targetError(in.Target, "holds texts, so it is no regression")
		}
		rows.Target = in.Target.Numbers
		return rows, nil
	}
	if rows.Classes, rows.Class, rows.Positive, err = Classify(in.Target, p.Task, p.Positive); err != nil {
		return rows, err
	}
	if p.Task == Binary {
		p.Positive = rows.Classes[rows.Positive]
	}
	return rows, nil
}

// assign chooses the way to make folds.
func assign(p *SplitParams, in Divisible, rows Predictions) (Assignment, error) {
	unit, units := rows.units()
	if p.By == ByRecord {
		units = len(unit)
	}
	if p.Folds == 0 {
		p.Folds = min(5, units)
	}
	class := rows.Class
	if rows.Task == Regression {
		class = make([]int, len(unit))
	}
	alone := p.By == ByRecord || in.Subject == nil
	switch {
	case in.Supplied != nil:
		a, err := SuppliedFolds(in.Supplied)
		p.Folds = len(a.Names)
		return a, limitFolds(len(a.Names), err)
	case p.LeaveOneOut:
		if err := limitFolds(units, nil); err != nil {
			return Assignment{}, err
		}
		p.Folds = units
		if alone {
			return LeaveOneOut(places(len(unit)))
		}
		return LeaveOneOut(in.Subject)
	case alone:
		a, err := RecordKFold(class, p.Folds, p.Seed)
		if err == nil && rows.Task == Regression {
			a.Method = "k-fold"
		}
		return a, err
	case p.Stratify && rows.Task != Regression:
		return StratifiedGroupKFold(in.Subject, class, len(rows.Classes), p.Folds, p.Seed)
	}
	return GroupKFold(in.Subject, p.Folds)
}

func limitFolds(n int, err error) error {
	if err == nil && n > maxFolds {
		return fault.New(fault.Invalid, "evaluate.split", "%d folds would be %d training runs, more than %d", n, n, maxFolds).
			WithHint("set folds: 10, say")
	}
	return err
}

// places are row numbers as texts that sort in order.
func places(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("row %09d", i)
	}
	return out
}

func describeScheme(p SplitParams, a Assignment) string {
	unit := "subjects"
	if p.By == ByRecord || p.Subject == "" {
		unit = "rows"
	}
	switch a.Method {
	case "column":
		return fmt.Sprintf("%d folds given by column %q", len(a.Names), p.FoldColumn)
	case "leave-one-out":
		return fmt.Sprintf("each of the %d %s held out alone", len(a.Names), unit)
	}
	return fmt.Sprintf("%d folds of whole %s", len(a.Names), unit)
}

// countFolds counts both sides of each fold and refuses those that cannot be trained.
func countFolds(a Assignment, rows Predictions) ([]SplitFold, error) {
	all := rows.classCounts()
	unit, units := rows.units()
	folds := make([]SplitFold, len(a.Names))
	held := make([][]int, len(a.Names))
	for i, f := range a.Fold {
		held[f] = append(held[f], i)
	}
	for f := range folds {
		test := rows.Pick(held[f])
		_, subjects := test.units()
		folds[f] = SplitFold{
			Fold: f, Name: a.Names[f], TestRows: test.Len(), TrainRows: rows.Len() - test.Len(), TestSubjects: subjects,
			TrainSubjects: trainSubjects(a.Fold, unit, units, f), TestClasses: test.classCounts(),
		}
		if folds[f].TestRows == 0 || folds[f].TrainRows == 0 {
			return nil, fault.New(fault.Invalid, "evaluate.split", "fold %s holds out %d of %d rows", a.Names[f], test.Len(), rows.Len())
		}
		if rows.Task == Regression {
			continue
		}
		folds[f].TrainClasses = map[string]int{}
		for _, class := range rows.Classes {
			left := all[class] - folds[f].TestClasses[class]
			if left == 0 {
				return nil, fault.New(fault.Invalid, "evaluate.split", "fold %s holds out all %d rows of class %q, so nothing is left to learn it from",
					a.Names[f], all[class], class).WithHint("use fewer folds, or more data of that class")
			}
			folds[f].TrainClasses[class] = left
		}
	}
	return folds, nil
}

// trainSubjects counts the subjects with a row outside of fold f.
func trainSubjects(fold, unit []int, units, f int) int {
	seen := make([]bool, units)
	n := 0
	for i, u := range unit {
		if fold[i] != f && !seen[u] {
			seen[u] = true
			n++
		}
	}
	return n
}

func splitWarnings(p SplitParams, in Divisible, s Split) []Warning {
	var out []Warning
	if in.Subject == nil {
		out = append(out, Warning{Code: "NoSubject", Message: "no subject column is named, so every row counts as a person of its own: " +
			"rows of one person in several folds would go unnoticed"})
	}
	if s.Scheme.Method != "leave-one-out" {
		var lacking []string
		for _, f := range s.Folds {
			if slices.ContainsFunc(s.Classes, func(c string) bool { return f.TestClasses[c] == 0 }) {
				lacking = append(lacking, f.Name)
			}
		}
		if len(lacking) > 0 {
			out = append(out, Warning{Code: "ClassMissingInFold", Message: fmt.Sprintf("the held-out rows of folds %s lack a class; "+
				"their own metrics are partly undefined, the pooled ones are not", firstOf(lacking, 5))})
		}
	}
	for _, c := range in.Features {
		if c.IsText() && c.Len() > 10 && unique(c.Texts) {
			out = append(out, Warning{Code: "IdentifierFeature", Message: fmt.Sprintf("feature %q is different in every row, like an "+
				"identifier; name it in data.ignore unless it is free text", c.Name)})
		}
	}
	return out
}

func unique(texts []string) bool {
	seen := make(map[string]bool, len(texts))
	for _, text := range texts {
		if seen[text] {
			return false
		}
		seen[text] = true
	}
	return true
}
