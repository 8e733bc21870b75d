// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/fault"
)

// splitCells bounds what a split writes: rows × columns × folds.
const splitCells = 5_000_000_000

// divide deals a dataset's rows into folds and writes what each training run may see.
func divide(ctx context.Context, s *step) error {
	var p evaluate.SplitParams
	if err := s.read(&p); err != nil {
		return err
	}
	s.tell(0.05, "reading %s", p.Dataset)
	rows, err := s.dataset(ctx, p.Dataset)
	if err != nil {
		return err
	}
	in, warnings, err := divisible(&p, rows)
	if err != nil {
		return err
	}
	s.tell(0.2, "dividing %d rows", len(in.Row))
	result, assigned, err := evaluate.Divide(p, in)
	if err != nil {
		return blamed("SplitImpossible", "spec.evaluate", err)
	}
	result.Warnings = append(result.Warnings, warnings...)
	if err := s.writeFolds(ctx, rows, in, result, assigned); err != nil {
		return err
	}
	s.tell(1, "%d folds of %d rows", len(result.Folds), result.Population.Rows)
	return s.writeJSON("split.json", result)
}

// dataset reads an input's table.
func (s *step) dataset(ctx context.Context, name string) (*table.Table, error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, fault.New(fault.Internal, "read parameters", "%q is no name of an input", name)
	}
	rows, err := table.Read(ctx, filepath.Join(s.inputs, name))
	if err != nil {
		return nil, blamed("DatasetUnreadable", "spec.data.dataset", err)
	}
	if rows.Rows() == 0 {
		return nil, blamed("DatasetEmpty", "spec.data.dataset", fault.New(fault.Invalid, "", "dataset %s has no rows", name))
	}
	return rows, nil
}

// column reads a column that a field of the user's object names.
func column(rows *table.Table, name, field string) (evaluate.Column, error) {
	c, err := rows.Column(name)
	if err != nil {
		return c, blamed("ColumnUnknown", field, &fault.Error{Kind: fault.Invalid, Op: field, Err: err})
	}
	return c, nil
}

// divisible picks the rows that have a target and a subject, and the columns that are features; it fills in p.Features.
func divisible(p *evaluate.SplitParams, rows *table.Table) (evaluate.Divisible, []evaluate.Warning, error) {
	in := evaluate.Divisible{Excluded: map[string]int{}}
	target, err := column(rows, p.Target, "spec.data.target")
	if err != nil {
		return in, nil, err
	}
	var subject, supplied evaluate.Column
	if p.Subject != "" {
		if subject, err = column(rows, p.Subject, "spec.data.subject"); err != nil {
			return in, nil, err
		}
	}
	if p.FoldColumn != "" {
		if supplied, err = column(rows, p.FoldColumn, "spec.evaluate.column"); err != nil {
			return in, nil, err
		}
	}
	warnings, err := chooseFeatures(p, rows)
	if err != nil {
		return in, nil, err
	}
	keep := complete(&in, target, p.Subject != "", subject)
	if len(keep) == 0 {
		return in, nil, blamed("TargetMissing", "spec.data.target", fault.New(fault.Invalid, "", "no row has both a %s and a %s", p.Target, p.Subject))
	}
	in.Target = target.Pick(keep)
	if p.Subject != "" {
		in.Subject = subject.Pick(keep).Labels()
	}
	if p.FoldColumn != "" {
		in.Supplied = supplied.Pick(keep).Labels()
	}
	for _, name := range p.Features {
		c, err := column(rows, name, "spec.data.features")
		if err != nil {
			return in, nil, err
		}
		in.Features = append(in.Features, c.Pick(keep))
	}
	return in, warnings, nil
}

// complete lists the rows to keep and counts the others by reason.
func complete(in *evaluate.Divisible, target evaluate.Column, hasSubject bool, subject evaluate.Column) []int {
	var keep []int
	for i := range target.Len() {
		switch {
		case target.Missing(i):
			in.Excluded["target is missing"]++
		case hasSubject && subject.Missing(i):
			in.Excluded["subject is missing"]++
		default:
			keep, in.Row = append(keep, i), append(in.Row, int64(i))
		}
	}
	return keep
}

// chooseFeatures fills in p.Features and says which columns are left out because a model cannot take them.
func chooseFeatures(p *evaluate.SplitParams, rows *table.Table) ([]evaluate.Warning, error) {
	reserved := []string{p.Target, p.Subject, p.FoldColumn}
	for _, name := range p.Drop {
		if _, err := dropped(rows, name); err != nil {
			return nil, err
		}
	}
	if len(p.Features) > 0 {
		return nil, checkFeatures(p, rows, reserved)
	}
	var unusable []string
	for _, name := range rows.Names() {
		switch {
		case slices.Contains(reserved, name), slices.Contains(p.Drop, name), strings.HasPrefix(name, "_"):
		case usable(rows.Type(name)):
			p.Features = append(p.Features, name)
		default:
			unusable = append(unusable, fmt.Sprintf("%s (%s)", name, rows.Type(name)))
		}
	}
	if len(p.Features) == 0 {
		return nil, blamed("NoFeatures", "spec.data", fault.New(fault.Invalid, "", "no column is left to learn from"))
	}
	if len(unusable) == 0 {
		return nil, nil
	}
	return []evaluate.Warning{{Code: "ColumnsLeftOut", Message: "these columns are no features because a model takes numbers and texts " +
		"only: " + strings.Join(unusable, ", ")}}, nil
}

func dropped(rows *table.Table, name string) (string, error) {
	if rows.Has(name) {
		return name, nil
	}
	_, err := rows.Column(name)
	return "", blamed("ColumnUnknown", "spec.data.ignore", &fault.Error{Kind: fault.Invalid, Op: "spec.data.ignore", Err: err})
}

func usable(kind string) bool { return kind != table.Time && kind != table.Other }

// checkFeatures refuses named features that cannot be any.
func checkFeatures(p *evaluate.SplitParams, rows *table.Table, reserved []string) error {
	for i, name := range p.Features {
		var err error
		switch {
		case slices.Contains(reserved, name):
			err = fault.New(fault.Invalid, "", "column %q is target, subject or fold, so it cannot be a feature", name)
		case slices.Contains(p.Features[:i], name):
			err = fault.New(fault.Invalid, "", "feature %q is named twice", name)
		case rows.Has(name) && !usable(rows.Type(name)):
			err = fault.New(fault.Invalid, "", "column %q holds values of type %s, which a model cannot take", name, rows.Type(name)).
				WithHint("compute a number from it in a query dataset")
		}
		if err != nil {
			return blamed("FeatureUnusable", "spec.data.features", err)
		}
	}
	return nil
}

// writeFolds writes each side that training may see, and who is where for the evaluation.
func (s *step) writeFolds(ctx context.Context, rows *table.Table, in evaluate.Divisible, result evaluate.Split, assigned evaluate.Assignment) error {
	p := result.Params
	names := p.Features
	if p.Subject != "" {
		names = append([]string{p.Subject}, names...)
	}
	names = append(slices.Clone(names), p.Target)
	if cells := int64(len(in.Row)) * int64(len(names)) * int64(len(result.Folds)); cells > splitCells {
		return blamed("SplitTooLarge", "spec.evaluate.folds", fault.New(fault.Invalid, "", "%d folds of %d rows are too much to write",
			len(result.Folds), len(in.Row)).WithHint("use fewer folds"))
	}
	for f := range result.Folds {
		s.tell(0.3+0.6*float64(f)/float64(len(result.Folds)), "writing fold %d", f)
		var train []int
		for i, row := range in.Row {
			if assigned.Fold[i] != f {
				train = append(train, int(row))
			}
		}
		if err := rows.Write(ctx, filepath.Join(s.output, fmt.Sprintf("fold-%d", f), "train.parquet"), names, train); err != nil {
			return err
		}
	}
	all := make([]int, len(in.Row))
	folds := make([]int64, len(in.Row))
	for i, row := range in.Row {
		all[i], folds[i] = int(row), int64(assigned.Fold[i])
	}
	if err := rows.Write(ctx, filepath.Join(s.output, "final", "train.parquet"), names, all); err != nil {
		return err
	}
	subject := evaluate.Column{Feature: evaluate.Feature{Name: "subject"}, Texts: in.Subject}
	if in.Subject == nil {
		subject.Texts = make([]string, len(in.Row))
		for i, row := range in.Row {
			subject.Texts[i] = fmt.Sprint(row)
		}
	}
	return table.WriteColumns(filepath.Join(s.output, "assignment.parquet"),
		[]table.Integers{{Name: "row", Values: in.Row}, {Name: "fold", Values: folds}}, []evaluate.Column{subject})
}

// writeJSON writes a document into the output.
func (s *step) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fault.Wrap(fault.Internal, "write "+name, err)
	}
	return fault.Wrap(fault.Internal, "write "+name, os.WriteFile(filepath.Join(s.output, name), append(b, '\n'), 0o644))
}
