// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// transform runs a dataset's SQL and leaves data.parquet and report.json.
func transform(ctx context.Context, s *step) error {
	var p query.TransformParams
	if err := s.read(&p); err != nil {
		return err
	}
	if err := s.sqlText(&p.SQL, p.SQLFile); err != nil {
		return err
	}
	s.tell(0.1, "running the query")
	report, err := duck.Transform(ctx, p, s.inputs, s.output)
	if err != nil {
		return sqlBlame(err)
	}
	s.tell(1, "%d rows", report.RowsOut)
	return s.report(report)
}

// sqlText reads the statement's file when the statement itself is not given.
func (s *step) sqlText(sql *string, file string) error {
	if *sql != "" || file == "" {
		return nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.code, filepath.FromSlash(file))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return blamed("SqlFileMissing", "spec.from.query.file", fault.New(fault.Invalid, "", "the file %s is not in the code", filepath.Base(file)))
	}
	*sql = string(b)
	return nil
}

// sqlBlame puts the blame for a mistake in a statement on the statement.
func sqlBlame(err error) error {
	var p *query.Problem
	if !errors.As(err, &p) {
		return err
	}
	reason := "SqlError"
	if fault.Is(err, fault.Exhausted) {
		reason = "OutOfMemory"
	}
	return blamed(reason, "spec.from.query.sql", err)
}
