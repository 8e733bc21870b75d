// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

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
	if err := s.checkResult(ctx, p, &report); err != nil {
		return err
	}
	s.tell(1, "%d rows", report.RowsOut)
	return s.report(report)
}

// checkResult evaluates the dataset's checks on what was written; where one fails, only the report stays.
func (s *step) checkResult(ctx context.Context, p query.TransformParams, report *query.TransformReport) error {
	if len(p.Checks) == 0 {
		return nil
	}
	s.tell(0.8, "checking")
	file := filepath.Join(s.output, "data.parquet")
	err := s.assess(ctx, p, report, file)
	if err == nil {
		return nil
	}
	if failed := errors.Join(s.report(report), os.Remove(file)); failed != nil {
		return fault.Wrap(fault.Internal, "check", failed)
	}
	return err
}

func (s *step) assess(ctx context.Context, p query.TransformParams, report *query.TransformReport, file string) error {
	have := make([]string, len(report.Schema))
	for i, c := range report.Schema {
		have[i] = c.Name
	}
	for i, c := range p.Checks {
		if c.Column != "" && !slices.Contains(have, c.Column) {
			return unknownColumn(fmt.Sprintf("spec.checks[%d].column", i), c.Column, have)
		}
	}
	engine, err := duck.Open(ctx, duck.Options{Limits: p.Limits, Folders: []string{s.output}})
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := engine.Reopen(ctx, dataTable, file); err != nil {
		return err
	}
	x := expectations{engine: engine, checks: p.Checks, files: []duck.Source{{Name: "result"}}, secret: p.Identified, mend: "the statement"}
	if report.Checks, err = x.evaluate(ctx); err != nil {
		return err
	}
	return x.failed(report.Checks)
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
