// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Attach makes each table a view over its Parquet files; relative paths are below inputs.
func (e *Engine) Attach(ctx context.Context, workspace, inputs string, tables []query.Table) error {
	if err := e.schema(ctx, workspace); err != nil {
		return err
	}
	for _, t := range tables {
		files, err := expand(inputs, t)
		if err != nil {
			return err
		}
		view := "CREATE VIEW " + Ident(t.Name) + " AS SELECT * FROM read_parquet([" + strings.Join(quoteAll(files), ", ") + "])"
		if err := e.Exec(ctx, view); err != nil {
			return fault.Wrap(fault.Internal, "open table "+t.Name, err)
		}
	}
	return nil
}

// expand turns a table's file patterns into sorted paths.
func expand(inputs string, t query.Table) ([]string, error) {
	var files []string
	for _, pattern := range t.Files {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(inputs, filepath.FromSlash(pattern))
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fault.New(fault.Invalid, "open table "+t.Name, "%q is not a file pattern", pattern)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "open table "+t.Name, "there is no file %s", strings.Join(t.Files, ", "))
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// Transform runs one statement over the tables and writes data.parquet into output. inputs is the folder below which
// relative files lie. A mistake in the statement is Invalid and wraps a *query.Problem.
func Transform(ctx context.Context, p query.TransformParams, inputs, output string) (query.TransformReport, error) {
	var report query.TransformReport
	e, err := Open(ctx, Options{Limits: p.Limits, Folders: folders(inputs, output, p.Tables)})
	if err != nil {
		return report, err
	}
	defer e.Close()
	if err := e.Attach(ctx, p.Workspace, inputs, p.Tables); err != nil {
		return report, err
	}
	checked, err := e.prepare(ctx, p.SQL, p.Workspace, p.Tables)
	if err != nil {
		return report, err
	}
	if p := duplicate(checked.Columns); p != nil {
		return report, &fault.Error{Kind: fault.Invalid, Err: p}
	}
	report.Inputs, report.Ordered, report.Volatile = checked.Tables, checked.Ordered, checked.Volatile
	report.Schema = checked.Columns
	order := ""
	if !checked.Ordered {
		order = " ORDER BY ALL"
	}
	written, err := e.WriteParquet(ctx, "SELECT * FROM (\n"+trimEnd(p.SQL)+"\n)"+order, filepath.Join(output, "data.parquet"))
	var raw *Raw
	if errors.As(err, &raw) {
		return report, statementError(err, p.SQL)
	}
	report.RowsOut, report.Bytes = written.Rows, written.Bytes
	return report, err
}

// prepare locks the engine, checks the statement and resolves its names.
func (e *Engine) prepare(ctx context.Context, sql, workspace string, tables []query.Table) (query.Checked, error) {
	if err := e.Lock(ctx); err != nil {
		return query.Checked{}, err
	}
	checked, err := e.Check(ctx, query.CheckParams{SQL: sql, Workspace: workspace})
	if err != nil {
		return checked, err
	}
	if checked.Error == nil {
		checked.Error = missingTable(checked.Tables, tables, sql)
	}
	if checked.Error == nil {
		checked.Columns, err = e.Describe(ctx, sql)
		var raw *Raw
		if errors.As(err, &raw) {
			checked.Error, err = problem(err, sql, len(describePrefix)), nil
		}
	}
	if checked.Error != nil {
		return checked, &fault.Error{Kind: fault.Invalid, Err: checked.Error}
	}
	return checked, err
}

// duplicate refuses a result in which a name stands for two columns.
func duplicate(cols []query.Column) *query.Problem {
	seen := map[string]bool{}
	for _, c := range cols {
		key := strings.ToLower(c.Name)
		if seen[key] {
			return &query.Problem{Message: fmt.Sprintf("the column %q occurs twice in the result", c.Name), Hint: "name one of them with AS, or leave it out"}
		}
		seen[key] = true
	}
	return nil
}

func missingTable(used []string, have []query.Table, sql string) *query.Problem {
	names := make([]string, len(have))
	for i, t := range have {
		names[i] = t.Name
	}
	for _, t := range used {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, t) }) {
			p := &query.Problem{Message: fmt.Sprintf("there is no dataset %q here", t), Hint: "known tables: " + strings.Join(names, ", ")}
			return p.At(sql, strings.Index(sql, t))
		}
	}
	return nil
}

// statementError reports an error that only showed while the statement ran.
func statementError(err error, sql string) error {
	p := problem(err, sql, -1) // its place refers to our wrapping, not to the author's text
	p.Line, p.Column = 0, 0
	return &fault.Error{Kind: fault.KindOf(err), Err: p}
}

// Written is what a write left on disk.
type Written struct{ Rows, Bytes int64 }

// WriteParquet writes a query's answer to a Parquet file, in its order; the same rows give the same bytes.
func (e *Engine) WriteParquet(ctx context.Context, sql, path string) (Written, error) {
	var w Written
	statement := "COPY (" + sql + ") TO " + Text(path) + " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
	if err := e.One(ctx, statement, &w.Rows); err != nil {
		return w, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return w, fault.Wrap(fault.Internal, "write "+filepath.Base(path), err)
	}
	w.Bytes = info.Size()
	return w, nil
}

// trimEnd drops what would end the statement inside our parentheses.
func trimEnd(sql string) string { return strings.TrimRight(sql, "; \t\r\n") }

// folders are the inputs, the output and where absolute table files lie.
func folders(inputs, output string, tables []query.Table) []string {
	list := []string{inputs, output}
	for _, t := range tables {
		for _, f := range t.Files {
			if filepath.IsAbs(f) {
				list = append(list, filepath.Dir(f))
			}
		}
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}
