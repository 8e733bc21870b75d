// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// expectations are the checks of a dataset, and the table that they are about.
type expectations struct {
	engine *duck.Engine
	checks []query.Check
	files  []duck.Source // name the rows in messages
	secret bool          // values are not told
	mend   string        // what to do about a failed check
}

// evaluate evaluates all checks of the table "data", so that one run tells all that is wrong. A check that does not hold is
// no error here: see failed.
func (x expectations) evaluate(ctx context.Context) ([]query.CheckResult, error) {
	if len(x.checks) == 0 {
		return nil, nil
	}
	if err := x.engine.Lock(ctx); err != nil { // from here on a person's expressions run
		return nil, err
	}
	columns, err := ownColumns(ctx, x.engine, dataTable)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	var all []query.CheckResult
	for i, c := range x.checks {
		results, err := x.engine.Assess(ctx, dataTable, c, types, x.files, x.secret)
		if err != nil {
			return all, blamed("InvalidCheck", fmt.Sprintf("spec.checks[%d]", i), err)
		}
		all = append(all, results...)
	}
	return all, nil
}

// failed is the error that names the checks that do not hold; nil when all do.
func (x expectations) failed(results []query.CheckResult) error {
	var failed []string
	for _, r := range results {
		if !r.Passed {
			failed = append(failed, r.Check+": "+r.Message)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	err := fault.New(fault.Invalid, "", "%d of %d checks failed: %s", len(failed), len(results), strings.Join(failed, "; ")).
		WithHint("correct %s or the checks; the previous version stays", x.mend)
	return blamed("CheckFailed", "spec.checks", err)
}

// ownColumns lists a table's columns without those that we add.
func ownColumns(ctx context.Context, e *duck.Engine, table string) ([]query.Column, error) {
	cols, err := e.Describe(ctx, duck.Ident(table))
	return slices.DeleteFunc(cols, func(c query.Column) bool { return c.Name == duck.FileColumn || c.Name == duck.RowColumn }), err
}

// unknownColumn blames a field that names a column that is not there, and suggests the nearest one that is.
func unknownColumn(field, name string, have []string) error {
	err := fault.New(fault.Invalid, "", "there is no column %q", name).
		WithHint("did you mean %q? columns: %s", privacy.Nearest(name, have), strings.Join(have, ", "))
	return blamed("UnknownColumn", field, err)
}
