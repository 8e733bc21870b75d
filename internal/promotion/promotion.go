// SPDX-License-Identifier: Apache-2.0

// Package promotion evaluates the rules that decide whether a model version goes into production.
//
// A rule is a CEL expression over the metrics of the candidate: roc_auc is the value, roc_auc.low and roc_auc.high the
// ends of its 95 % interval, production.roc_auc (also .low and .high) the same of the version in production, leakage is
// "none", "warn" or "block". A rule about production holds while nothing is in production.
package promotion

import (
	"fmt"
	"sort"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"

	"fathom.dev/fathom/internal/fault"
)

// Metric is a value with its interval; Low and High are nil when the metric has none.
type Metric struct {
	Value     float64
	Low, High *float64
}

// Candidate is what the rules look at.
type Candidate struct {
	Metrics map[string]Metric
	// Production is nil while no version is in production.
	Production map[string]Metric
	// Leakage is the verdict of the audit: none, warn or block.
	Leakage string
	// Findings explain the verdict, for messages.
	Findings []string
}

// Verdict is the outcome of all rules.
type Verdict struct {
	Promote bool
	// Why names the first rules that do not hold with the numbers, or says that all hold.
	Why string
}

// Decide evaluates the rules. A leakage verdict "block" refuses whatever the rules say. A rule that does not compile or
// does not give true or false is Invalid, named with its position.
func Decide(rules []string, c Candidate) (Verdict, error) {
	env, err := environment(c)
	if err != nil {
		return Verdict{}, err
	}
	var failed []string
	if c.Leakage == "block" {
		failed = append(failed, "the leakage audit blocks promotion: "+strings.Join(c.Findings, "; "))
	}
	for i, rule := range rules {
		holds, why, err := decideRule(env, c, rule)
		if err != nil {
			return Verdict{}, fault.Wrap(fault.Invalid, fmt.Sprintf("spec.promote.when[%d]", i), err)
		}
		if !holds {
			failed = append(failed, why)
		}
	}
	if len(failed) > 0 {
		return Verdict{Why: strings.Join(failed, "; ")}, nil
	}
	if len(rules) == 0 {
		return Verdict{Promote: true, Why: "no rule is set and no leakage was found"}, nil
	}
	return Verdict{Promote: true, Why: "all rules hold: " + strings.Join(rules, "; ")}, nil
}

// Numbers shows of each rule the values that it looks at, for example "roc_auc.low = 0.71"; "" for a rule that cannot be read.
func Numbers(rules []string, c Candidate) []string {
	out := make([]string, len(rules))
	env, err := environment(c)
	if err != nil {
		return out
	}
	all := map[string]any{"leakage": c.Leakage}
	for name, v := range values(c) {
		all[name] = v
	}
	for i, rule := range rules {
		if checked, err := compile(env, rule); err == nil {
			out[i] = numbers(checked, all)
		}
	}
	return out
}

// Check compiles rules against the metrics that an evaluation of the task can have, without values.
func Check(rules []string, metrics []string) error {
	c := Candidate{Metrics: map[string]Metric{}, Production: map[string]Metric{}}
	for _, name := range metrics {
		zero := 0.0
		c.Metrics[name] = Metric{Low: &zero, High: &zero}
		c.Production[name] = c.Metrics[name]
	}
	env, err := environment(c)
	if err != nil {
		return err
	}
	for i, rule := range rules {
		if _, err := compile(env, rule); err != nil {
			return fault.Wrap(fault.Invalid, fmt.Sprintf("spec.promote.when[%d]", i), err)
		}
	}
	return nil
}

func environment(c Candidate) (*cel.Env, error) {
	options := []cel.EnvOption{cel.Variable("leakage", cel.StringType), cel.Variable("none", cel.StringType),
		cel.CrossTypeNumericComparisons(true)}
	for name := range values(c) {
		options = append(options, cel.Variable(name, cel.DoubleType))
	}
	env, err := cel.NewEnv(options...)
	return env, fault.Wrap(fault.Internal, "promotion", err)
}

// values flattens the metrics into CEL's qualified names.
func values(c Candidate) map[string]float64 {
	out := map[string]float64{}
	add := func(prefix string, metrics map[string]Metric) {
		for name, m := range metrics {
			out[prefix+name] = m.Value
			if m.Low != nil {
				out[prefix+name+".low"] = *m.Low
			}
			if m.High != nil {
				out[prefix+name+".high"] = *m.High
			}
		}
	}
	add("", c.Metrics)
	add("production.", c.Production)
	return out
}

func decideRule(env *cel.Env, c Candidate, rule string) (holds bool, why string, err error) {
	if c.Production == nil {
		about, err := aboutProduction(env, rule)
		if err != nil || about {
			return about, "", err
		}
	}
	checked, err := compile(env, rule)
	if err != nil {
		return false, "", err
	}
	program, err := env.Program(checked)
	if err != nil {
		return false, "", err
	}
	all := map[string]any{"leakage": c.Leakage, "none": "none"}
	for name, v := range values(c) {
		all[name] = v
	}
	out, _, err := program.Eval(all)
	if err != nil {
		return false, "", fmt.Errorf("%q: %w", rule, err)
	}
	if out.Value() == true {
		return true, "", nil
	}
	return false, fmt.Sprintf("%q does not hold (%s)", rule, numbers(checked, all)), nil
}

func compile(env *cel.Env, rule string) (*cel.Ast, error) {
	checked, issues := env.Compile(rule)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%q: %s; use metric names such as roc_auc, roc_auc.low, production.roc_auc, or leakage",
			rule, firstLine(issues.Err().Error()))
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("%q gives a %s; a rule must be true or false", rule, checked.OutputType())
	}
	return checked, nil
}

// aboutProduction parses the rule and reports whether it refers to the version in production.
func aboutProduction(env *cel.Env, rule string) (bool, error) {
	parsed, issues := env.Parse(rule)
	if issues.Err() != nil {
		return false, fmt.Errorf("%q: %s", rule, firstLine(issues.Err().Error()))
	}
	for _, name := range names(parsed) {
		if name == "production" {
			return true, nil
		}
	}
	return false, nil
}

func names(a *cel.Ast) []string {
	found := map[string]bool{}
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind {
			found[e.AsIdent()] = true
		}
	}))
	out := make([]string, 0, len(found))
	for name := range found {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// numbers shows the values that a rule looked at.
func numbers(checked *cel.Ast, all map[string]any) string {
	var parts []string
	for _, reference := range checked.NativeRep().ReferenceMap() {
		switch v := all[reference.Name].(type) {
		case float64:
			parts = append(parts, fmt.Sprintf("%s = %.4g", reference.Name, v))
		case string:
			if reference.Name == "leakage" {
				parts = append(parts, "leakage = "+v)
			}
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// firstLine is what CEL says, without where in which file it was.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(s, "ERROR: "), "\n")
	if _, said, found := strings.Cut(line, "<input>:"); found {
		if _, after, told := strings.Cut(said, ": "); told {
			line = after
		}
	}
	return strings.TrimSuffix(line, " (in container '')")
}
