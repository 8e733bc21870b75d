// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/predict"
)

// modelFile is what training code leaves in $FATHOM_OUTPUT.
const modelFile = "model.onnx"

// models are the folds' models and the final one, bound to the features.
type models struct {
	split    evaluate.Split
	sessions []*predict.Session
	folds    []*predict.Scorer
	final    *predict.Scorer // nil when there is none yet
	digest   string          // of the final model
	specs    predict.Signature
}

// engine loads ONNX Runtime.
func engine() (*predict.Runtime, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "find fathom-step", err)
	}
	library, err := predict.FindLibrary(os.Getenv, executable)
	if err != nil {
		return nil, err
	}
	return predict.Open(library)
}

// openModels loads all models of a split.
func (s *step) openModels(split evaluate.Split) (*models, error) {
	runtime, err := engine()
	if err != nil {
		return nil, err
	}
	m := &models{split: split}
	for f := range split.Folds {
		_, scorer, err := s.openModel(runtime, m, fmt.Sprintf("fold-%d", f))
		if err != nil {
			m.close()
			return nil, err
		}
		m.folds = append(m.folds, scorer)
	}
	if _, err := os.Stat(filepath.Join(s.inputs, "final", modelFile)); errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	session, scorer, err := s.openModel(runtime, m, "final")
	if err != nil {
		m.close()
		return nil, err
	}
	m.final, m.digest, m.specs = scorer, string(session.Digest()), session.Signature()
	return m, nil
}

// openModel loads one model; whose is "fold-3" or "final".
func (s *step) openModel(runtime *predict.Runtime, m *models, whose string) (*predict.Session, *predict.Scorer, error) {
	b, err := os.ReadFile(filepath.Join(s.inputs, whose, modelFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, modelBlame("ModelMissing", whose, fault.New(fault.Invalid, "", "training left no %s", modelFile).
			WithHint("the training code must write its model to $FATHOM_OUTPUT/%s", modelFile))
	}
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, "read model", err)
	}
	session, err := runtime.Load(b, predict.Limits{})
	if err != nil {
		return nil, nil, modelBlame("ModelUnusable", whose, err)
	}
	m.sessions = append(m.sessions, session)
	features := make([]predict.Feature, len(m.split.Features))
	for i, f := range m.split.Features {
		features[i] = predict.Feature{Name: f.Name, Text: f.Type == "text"}
	}
	scorer, err := session.Bind(features, predict.Target{Classes: m.split.Classes})
	if err != nil {
		return nil, nil, modelBlame("ModelUnusable", whose, err)
	}
	return session, scorer, nil
}

// modelBlame says whose model is to blame. One beyond the limits is as much the user's to change as a broken one.
func modelBlame(reason, whose string, err error) error {
	if fault.Is(err, fault.TooLarge) {
		err = &fault.Error{Kind: fault.Invalid, Err: err}
	}
	return blamed(reason, "spec.train.code", fmt.Errorf("the model of %s: %w", whose, err))
}

func (m *models) close() {
	for _, session := range m.sessions {
		_ = session.Close()
	}
}

// score asks each fold's model about the rows it was not trained on.
func (h *heldOut) score(ctx context.Context, m *models) error {
	k := max(len(h.split.Classes), 1)
	answers := make([]float64, len(h.rows)*k)
	for f := range m.folds {
		var rows []int
		for i, g := range h.fold {
			if g == f {
				rows = append(rows, i)
			}
		}
		columns := make([]evaluate.Column, len(h.features))
		for j, c := range h.features {
			columns[j] = c.Pick(rows)
		}
		part, err := m.rescore(ctx, f, columns)
		if err != nil {
			return err
		}
		for at, row := range rows {
			copy(answers[row*k:(row+1)*k], part[at*k:(at+1)*k])
		}
	}
	if h.split.Task == evaluate.Regression {
		h.predictions.Value = answers
	} else {
		h.predictions.Probabilities = answers
	}
	return nil
}

// rescore is an evaluate.Score.
func (m *models) rescore(ctx context.Context, fold int, columns []evaluate.Column) ([]float64, error) {
	return answer(ctx, m.folds[fold], fmt.Sprintf("fold-%d", fold), columns)
}

func answer(ctx context.Context, scorer *predict.Scorer, whose string, columns []evaluate.Column) ([]float64, error) {
	table := make([]predict.Column, len(columns))
	for i, c := range columns {
		table[i] = predict.Column{Name: c.Name, Numbers: c.Numbers, Texts: c.Texts}
	}
	scores, err := scorer.Score(ctx, table)
	if err != nil {
		return nil, modelBlame("PredictionsInvalid", whose, err)
	}
	if scores.Probabilities != nil {
		return scores.Probabilities, nil
	}
	return scores.Values, nil
}

// describeFinal writes down how the final model is called, and its answers to typical rows.
func (m *models) describeFinal(ctx context.Context, h *heldOut, e *evaluate.Evaluation) error {
	if m.final == nil {
		e.Warnings = append(e.Warnings, evaluate.Warning{Code: "NoFinalModel", Message: "there is no model of all rows yet, so none can be served"})
		return nil
	}
	e.Signature = evaluate.Signature{Convention: m.final.Convention, Label: m.final.Label, Scores: m.final.Scores, Digest: m.digest}
	for _, f := range m.final.Features() {
		at := slices.IndexFunc(m.split.Features, func(g evaluate.Feature) bool { return g.Name == f.Name })
		e.Signature.Features = append(e.Signature.Features, m.split.Features[at])
	}
	e.Signature.Inputs, e.Signature.Outputs = tensors(m.specs.Inputs), tensors(m.specs.Outputs)
	typical := make([]evaluate.Column, len(h.features))
	for i, c := range h.features {
		typical[i] = evaluate.Typical(c)
	}
	answers, err := answer(ctx, m.final, "final", typical)
	if err != nil {
		return err
	}
	k := max(len(m.split.Classes), 1)
	for row := range typical[0].Len() {
		example := evaluate.Example{Inputs: map[string]any{}, Outputs: answers[row*k : (row+1)*k]}
		for _, c := range typical {
			example.Inputs[c.Name] = cell(c, row)
		}
		e.Examples = append(e.Examples, example)
	}
	return nil
}

// cell is a value for JSON; a missing number is null.
func cell(c evaluate.Column, row int) any {
	switch {
	case c.IsText():
		return c.Texts[row]
	case math.IsNaN(c.Numbers[row]):
		return nil
	}
	return c.Numbers[row]
}

func tensors(specs []predict.Spec) []evaluate.Tensor {
	out := make([]evaluate.Tensor, len(specs))
	for i, spec := range specs {
		out[i] = evaluate.Tensor{Name: spec.Name, Type: string(spec.Type), Shape: spec.Shape}
		if out[i].Shape == nil {
			out[i].Shape = []int64{}
		}
	}
	return out
}
