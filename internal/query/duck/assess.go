// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"fmt"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Assess evaluates one declared check of a table, which may hold several rules for its column. types are the table's
// columns; files name the sources of rows in messages. Measured values are told unless secret is set. A check that does not
// fit the table is Invalid. The caller has locked the engine: from here on a person's expressions run.
func (e *Engine) Assess(ctx context.Context, table string, c query.Check, types map[string]string, files []Source, secret bool) ([]query.CheckResult, error) {
	if c.Expect != "" {
		r, err := e.expect(ctx, table, c, secret)
		return []query.CheckResult{r}, err
	}
	var results []query.CheckResult
	for _, rule := range rules(c) {
		n, places, err := e.Violations(ctx, table, rule.condition, types[c.Column], files)
		if err != nil {
			return nil, err
		}
		r := query.CheckResult{Check: c.Column + " " + rule.words, Passed: n == 0, Failing: n}
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

func (e *Engine) expect(ctx context.Context, table string, c query.Check, secret bool) (query.CheckResult, error) {
	holds, measured, err := e.Expect(ctx, table, c.Expect, c.Of)
	r := query.CheckResult{Check: c.Expect, Passed: holds}
	if c.Of != "" {
		r.Check += " of " + c.Of
	}
	if !holds {
		r.Message = "it does not hold"
		if measured != "" && !secret {
			r.Message = "found " + measured
		}
	}
	return r, err
}

// rule is one part of a column's check, with words for people.
type rule struct {
	words     string
	condition Condition
}

func rules(c query.Check) []rule {
	var list []rule
	add := func(set bool, condition Condition, format string, args ...any) {
		if set {
			condition.Column = c.Column
			list = append(list, rule{fmt.Sprintf(format, args...), condition})
		}
	}
	add(c.NotNull, Condition{NotNull: true}, "is not null")
	add(c.Unique, Condition{Unique: true}, "is unique")
	if len(c.Between) == 2 {
		add(true, Condition{Between: c.Between}, "is between %v and %v", c.Between[0], c.Between[1])
	}
	add(len(c.In) > 0, Condition{In: c.In}, "is one of %v", c.In)
	add(c.Matches != "", Condition{Matches: c.Matches}, "matches %s", c.Matches)
	return list
}

// Reopen makes the table that checks look at from a Parquet file that was written: its rows are numbered in their order.
func (e *Engine) Reopen(ctx context.Context, table, file string) error {
	err := e.Exec(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT *, 0 AS %s, row_number() OVER () AS %s FROM read_parquet(%s)",
		Ident(table), FileColumn, RowColumn, Text(file)))
	return fault.Wrap(fault.Internal, "read "+filepath.Base(file), err)
}
