// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query/duck"
)

// check evaluates all checks, so that one run tells all that is wrong. Failed ones stop the dataset.
func (in *ingestion) check(ctx context.Context) error {
	if len(in.p.Checks) == 0 {
		return nil
	}
	if err := in.engine.Lock(ctx); err != nil { // from here on a person's expressions run
		return err
	}
	columns, err := in.columns(ctx, dataTable)
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	var failed []string
	for i, c := range in.p.Checks {
		results, err := in.evaluate(ctx, c, types)
		if err != nil {
			return blamed("InvalidCheck", fmt.Sprintf("spec.checks[%d]", i), err)
		}
		for _, r := range results {
			in.report.Checks = append(in.report.Checks, r)
			if !r.Passed {
				failed = append(failed, r.Check+": "+r.Message)
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	if err := in.step.report(in.report); err != nil {
		return err
	}
	err = fault.New(fault.Invalid, "", "%d of %d checks failed: %s", len(failed), len(in.report.Checks), strings.Join(failed, "; ")).
		WithHint("correct the files or the checks; the previous version stays")
	return blamed("CheckFailed", "spec.checks", err)
}

// evaluate runs one declared check, which may hold several rules for its column.
func (in *ingestion) evaluate(ctx context.Context, c privacy.Check, types map[string]string) ([]privacy.CheckResult, error) {
	if c.Expect != "" {
		r, err := in.expect(ctx, c)
		return []privacy.CheckResult{r}, err
	}
	var results []privacy.CheckResult
	for _, rule := range rules(c) {
		n, places, err := in.engine.Violations(ctx, dataTable, rule.condition, types[c.Column], in.files)
		if err != nil {
			return nil, err
		}
		r := privacy.CheckResult{Check: c.Column + " " + rule.words, Passed: n == 0, Failing: n}
		if n > 0 {
			r.Message = fmt.Sprintf("%d rows break it (%s)", n, places)
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, fault.New(fault.Invalid, "check of column "+c.Column, "it says nothing").WithHint("add notNull, unique, between, in or matches")
	}
	return results, nil
}

func (in *ingestion) expect(ctx context.Context, c privacy.Check) (privacy.CheckResult, error) {
	holds, measured, err := in.engine.Expect(ctx, dataTable, c.Expect, c.Of)
	r := privacy.CheckResult{Check: c.Expect, Passed: holds}
	if c.Of != "" {
		r.Check += " of " + c.Of
	}
	if !holds {
		r.Message = "it does not hold"
		if measured != "" && !in.report.Identified {
			r.Message = "found " + measured
		}
	}
	return r, err
}

// rule is one part of a column's check, with words for people.
type rule struct {
	words     string
	condition duck.Condition
}

func rules(c privacy.Check) []rule {
	var list []rule
	add := func(set bool, condition duck.Condition, format string, args ...any) {
		if set {
			condition.Column = c.Column
			list = append(list, rule{fmt.Sprintf(format, args...), condition})
		}
	}
	add(c.NotNull, duck.Condition{NotNull: true}, "is not null")
	add(c.Unique, duck.Condition{Unique: true}, "is unique")
	if len(c.Between) == 2 {
		add(true, duck.Condition{Between: c.Between}, "is between %v and %v", c.Between[0], c.Between[1])
	}
	add(len(c.In) > 0, duck.Condition{In: c.In}, "is one of %v", c.In)
	add(c.Matches != "", duck.Condition{Matches: c.Matches}, "matches %s", c.Matches)
	return list
}
