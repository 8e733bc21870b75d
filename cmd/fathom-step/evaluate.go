// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/fault"
)

// assess scores held-out rows with each fold's model and writes what is known about the model.
func assess(ctx context.Context, s *step) error {
	var p evaluate.Params
	if err := s.read(&p); err != nil {
		return err
	}
	p, err := p.Defaults()
	if err != nil {
		return blamed("ParametersInvalid", "spec.evaluate", err)
	}
	s.tell(0.05, "reading %s", p.Dataset)
	held, err := s.heldOut(ctx, p)
	if err != nil {
		return err
	}
	models, err := s.openModels(held.split)
	if err != nil {
		return err
	}
	defer models.close()
	s.tell(0.2, "scoring %d rows with %d models", held.predictions.Len(), len(held.split.Folds))
	if err := held.score(ctx, models); err != nil {
		return err
	}
	in := evaluate.Assessed{
		Split: held.split, Params: p, Predictions: held.predictions, Fold: held.fold, Features: held.features, Slices: held.slices,
		Score: models.rescore,
	}
	s.tell(0.4, "measuring")
	result, err := evaluate.Assess(ctx, in)
	if err != nil {
		return blamed("EvaluationFailed", "spec.evaluate", err)
	}
	if err := models.describeFinal(ctx, held, result); err != nil {
		return err
	}
	if err := s.writeOutOfFold(held, result); err != nil {
		return err
	}
	s.tell(1, "%d rows, %d subjects", result.Population.Rows, result.Population.Subjects)
	return s.writeJSON("evaluation.json", result)
}

// heldOut is the dataset again, with who was held out when.
type heldOut struct {
	split       evaluate.Split
	rows        []int // of the dataset, in the order of everything else here
	fold        []int
	subject     []string
	predictions evaluate.Predictions
	target      evaluate.Column
	features    []evaluate.Column
	slices      []evaluate.Column
}

// heldOut reads the split and the rows it speaks of.
func (s *step) heldOut(ctx context.Context, p evaluate.Params) (*heldOut, error) {
	rows, err := s.dataset(ctx, p.Dataset)
	if err != nil {
		return nil, err
	}
	h := &heldOut{}
	b, err := os.ReadFile(filepath.Join(s.inputs, p.Split, "split.json"))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "read split", err)
	}
	if err := json.Unmarshal(b, &h.split); err != nil {
		return nil, fault.Wrap(fault.Internal, "read split", err)
	}
	if err := h.readAssignment(ctx, filepath.Join(s.inputs, p.Split), rows); err != nil {
		return nil, err
	}
	if err := h.readColumns(p, rows); err != nil {
		return nil, err
	}
	return h, h.truth(p, rows)
}

// readAssignment reads only assignment.parquet of the split's output: its folder also holds the training files.
func (h *heldOut) readAssignment(ctx context.Context, dir string, rows *table.Table) error {
	assigned, err := table.ReadFile(ctx, filepath.Join(dir, "assignment.parquet"))
	if err != nil {
		return err
	}
	row, err := assigned.Column("row")
	if err != nil {
		return err
	}
	fold, err := assigned.Column("fold")
	if err != nil {
		return err
	}
	subject, err := assigned.Column("subject")
	if err != nil {
		return err
	}
	for i := range row.Len() {
		at, f := int(row.Numbers[i]), int(fold.Numbers[i])
		if at < 0 || at >= rows.Rows() || f < 0 || f >= len(h.split.Folds) {
			return fault.New(fault.Internal, "read split", "row %d of fold %d is none of the dataset's %d rows: the split was made of another version",
				at, f, rows.Rows())
		}
		h.rows, h.fold = append(h.rows, at), append(h.fold, f)
	}
	h.subject = subject.Texts
	return nil
}

func (h *heldOut) readColumns(p evaluate.Params, rows *table.Table) error {
	for _, f := range h.split.Features {
		c, err := column(rows, f.Name, "spec.data.features")
		if err != nil {
			return err
		}
		h.features = append(h.features, c.Pick(h.rows))
	}
	for _, name := range p.Slices {
		c, err := column(rows, name, "spec.evaluate.slices")
		if err != nil {
			return err
		}
		h.slices = append(h.slices, c.Pick(h.rows))
	}
	return nil
}

// truth reads target, weights and subjects into predictions that lack only the models' answers.
func (h *heldOut) truth(p evaluate.Params, rows *table.Table) error {
	made := h.split.Params
	target, err := column(rows, made.Target, "spec.data.target")
	if err != nil {
		return err
	}
	h.target = target.Pick(h.rows)
	h.predictions = evaluate.Predictions{Task: h.split.Task}
	if made.Subject != "" {
		h.predictions.Subject = h.subject
		now, err := column(rows, made.Subject, "spec.data.subject")
		if err != nil {
			return err
		}
		for i, row := range h.rows {
			if now.Text(row) != h.subject[i] {
				return fault.New(fault.Internal, "read split", "row %d is about another subject now: the split was made of another version", row)
			}
		}
	}
	if p.Weight != "" {
		weight, err := column(rows, p.Weight, "spec.evaluate.weight")
		if err != nil {
			return err
		}
		if weight.IsText() {
			return blamed("WeightInvalid", "spec.evaluate.weight", fault.New(fault.Invalid, "", "column %q holds texts, not weights", p.Weight))
		}
		h.predictions.Weight = weight.Pick(h.rows).Numbers
	}
	if h.split.Task == evaluate.Regression {
		h.predictions.Target = h.target.Numbers
		return nil
	}
	h.predictions.Classes, h.predictions.Class, h.predictions.Positive, err = evaluate.Classify(h.target, h.split.Task, h.split.Positive)
	return err
}

// writeOutOfFold writes each held-out row's prediction as Parquet and CSV.
func (s *step) writeOutOfFold(h *heldOut, result *evaluate.Evaluation) error {
	whole := []table.Integers{{Name: "row"}, {Name: "fold"}}
	for i, row := range h.rows {
		whole[0].Values, whole[1].Values = append(whole[0].Values, int64(row)), append(whole[1].Values, int64(h.fold[i]))
	}
	texts := func(name string, values []string) evaluate.Column {
		return evaluate.Column{Feature: evaluate.Feature{Name: name}, Texts: values}
	}
	others := []evaluate.Column{texts("subject", h.subject), {Feature: evaluate.Feature{Name: "target"}, Texts: h.target.Texts, Numbers: h.target.Numbers}}
	if h.split.Task == evaluate.Regression {
		others = append(others, evaluate.Column{Feature: evaluate.Feature{Name: "prediction"}, Numbers: h.predictions.Value})
	} else {
		k := len(h.split.Classes)
		for j, class := range h.split.Classes {
			c := evaluate.Column{Feature: evaluate.Feature{Name: "p_" + class}}
			for i := range h.rows {
				c.Numbers = append(c.Numbers, h.predictions.Probabilities[i*k+j])
			}
			others = append(others, c)
		}
		others = append(others, texts("predicted", h.predictions.PredictedClasses(result.Threshold)))
	}
	if err := table.WriteColumns(filepath.Join(s.output, "out_of_fold.parquet"), whole, others); err != nil {
		return err
	}
	return writeCSV(filepath.Join(s.output, "out_of_fold.csv"), whole, others)
}

func writeCSV(path string, whole []table.Integers, others []evaluate.Column) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	line := make([]string, 0, len(whole)+len(others))
	for _, c := range whole {
		line = append(line, c.Name)
	}
	for _, c := range others {
		line = append(line, c.Name)
	}
	_ = w.Write(line) // a bytes.Buffer takes everything
	for i := range whole[0].Values {
		line = line[:0]
		for _, c := range whole {
			line = append(line, strconv.FormatInt(c.Values[i], 10))
		}
		for _, c := range others {
			line = append(line, c.Text(i))
		}
		_ = w.Write(line)
	}
	w.Flush()
	return fault.Wrap(fault.Internal, "write out_of_fold.csv", os.WriteFile(path, b.Bytes(), 0o644))
}
