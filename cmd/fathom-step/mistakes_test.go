// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/fault"
)

// patients are 40 made-up people with 3 visits each: age and weight tell something about the disease, sex little.
func patients() []evaluate.Column {
	random := rand.New(rand.NewPCG(8, 8))
	named := func(name string) evaluate.Column { return evaluate.Column{Feature: evaluate.Feature{Name: name}} }
	patient, visit, age, weight, sex, ill := named("patient"), named("visit"), named("age"), named("weight"), named("sex"), named("ill")
	grade, height := named("grade"), named("height")
	for i := range 120 {
		p := i / 3
		patient.Texts = append(patient.Texts, fmt.Sprintf("p%02d", p))
		visit.Texts = append(visit.Texts, fmt.Sprintf("2026-01-%02d", i%28+1))
		age.Numbers = append(age.Numbers, random.NormFloat64()+0.8*float64(p%2))
		weight.Numbers = append(weight.Numbers, random.NormFloat64())
		sex.Texts = append(sex.Texts, []string{"f", "m"}[p/2%2])
		ill.Numbers = append(ill.Numbers, float64(p%2))
		grade.Texts = append(grade.Texts, []string{"mild", "none", "severe"}[p%3])
		height.Numbers = append(height.Numbers, 2*age.Numbers[i]+weight.Numbers[i]+0.1*random.NormFloat64())
	}
	return []evaluate.Column{patient, visit, age, weight, sex, grade, height, ill}
}

var illness = evaluate.SplitParams{Target: "ill", Subject: "patient", Features: []string{"age", "weight"}}

// with returns the parameters changed.
func with[P any](p P, change func(*P)) P {
	change(&p)
	return p
}

func TestSplitMistakes(t *testing.T) {
	change := func(f func(*evaluate.SplitParams)) evaluate.SplitParams { return with(illness, f) }
	type columns = []evaluate.Column
	cases := []struct {
		name          string
		params        evaluate.SplitParams
		data          func(columns) columns // nil leaves the patients as they are
		reason, field string
		want          []string
	}{
		{"no such target", change(func(p *evaluate.SplitParams) { p.Target = "Ill" }), nil, "ColumnUnknown", "spec.data.target", []string{`"Ill"`, `did you mean "ill"`}},
		{"no such subject", change(func(p *evaluate.SplitParams) { p.Subject = "patent" }), nil, "ColumnUnknown", "spec.data.subject", []string{`did you mean "patient"`}},
		{"no such feature", change(func(p *evaluate.SplitParams) { p.Features = []string{"wieght"} }), nil, "ColumnUnknown", "spec.data.features", []string{`"wieght"`, `"weight"`}},
		{"no such dropped column", change(func(p *evaluate.SplitParams) { p.Features, p.Drop = nil, []string{"visits"} }), nil, "ColumnUnknown", "spec.data.ignore", []string{`"visit"`}},
		{"no such fold column", change(func(p *evaluate.SplitParams) { p.FoldColumn = "site" }), nil, "ColumnUnknown", "spec.evaluate.column", []string{`"site"`}},
		{"target as feature", change(func(p *evaluate.SplitParams) { p.Features = []string{"age", "ill"} }), nil, "FeatureUnusable", "spec.data.features", []string{`"ill"`}},
		{"feature twice", change(func(p *evaluate.SplitParams) { p.Features = []string{"age", "age"} }), nil, "FeatureUnusable", "spec.data.features", []string{"twice"}},
		{"more folds than subjects", change(func(p *evaluate.SplitParams) { p.Folds = 41 }), nil, "SplitImpossible", "spec.evaluate", []string{"41 folds of 40 subjects", "2 to 40"}},
		{"one fold", change(func(p *evaluate.SplitParams) { p.Folds = 1 }), nil, "SplitImpossible", "spec.evaluate", []string{"folds is 1"}},
		{"by nothing known", change(func(p *evaluate.SplitParams) { p.By = "visit" }), nil, "SplitImpossible", "spec.evaluate", []string{`by is "visit"`}},
		{"a class in one subject only", illness, func(c columns) columns {
			for i := range c[7].Numbers {
				c[7].Numbers[i] = map[bool]float64{true: 1, false: 0}[i < 3]
			}
			return c
		}, "SplitImpossible", "spec.evaluate", []string{`class "1"`, "holds out all 3 rows", "fewer folds"}},
		{"nothing to learn", illness, func(c columns) columns {
			clear(c[7].Numbers)
			return c
		}, "SplitImpossible", "spec.evaluate", []string{"only one value"}},
		{"no target at all", illness, func(c columns) columns {
			for i := range c[7].Numbers {
				c[7].Numbers[i] = math.NaN()
			}
			return c
		}, "TargetMissing", "spec.data.target", []string{"no row"}},
		{"infinite target", illness, func(c columns) columns {
			c[7].Numbers[4] = math.Inf(1)
			return c
		}, "SplitImpossible", "spec.evaluate", []string{"infinite in row 4"}},
		{"three classes are not binary", change(func(p *evaluate.SplitParams) { p.Target, p.Task = "grade", evaluate.Binary }), nil, "SplitImpossible", "spec.evaluate", []string{"mild, none, severe"}},
		{"texts are no regression", change(func(p *evaluate.SplitParams) { p.Target, p.Task = "grade", evaluate.Regression }), nil, "SplitImpossible", "spec.evaluate", []string{"holds texts"}},
		{"unknown positive class", change(func(p *evaluate.SplitParams) { p.Positive = "yes" }), nil, "SplitImpossible", "spec.evaluate", []string{`"yes"`, "0, 1"}},
		{"no rows", illness, func(c columns) columns {
			for j := range c {
				c[j] = c[j].Pick([]int{})
			}
			return c
		}, "DatasetEmpty", "spec.data.dataset", []string{"no rows"}},
		{"no features", change(func(p *evaluate.SplitParams) { p.Features = nil }), func(c columns) columns { return columns{c[0], c[7]} }, "NoFeatures", "spec.data", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data := patients()
			if c.data != nil {
				data = c.data(data)
			}
			s := newStudy(t, data)
			c.params.Dataset = "data"
			status, end := s.run("split", c.params)
			if status != 2 || end.Kind != fault.Invalid || end.Reason != c.reason || end.Field != c.field {
				t.Fatalf("status %d, %+v", status, end)
			}
			for _, want := range c.want {
				if !strings.Contains(end.Message, want) {
					t.Errorf("%q lacks %q", end.Message, want)
				}
			}
		})
	}
}

// TestTrainingNeverSeesHeldOutSubjects reads what a training run is given.
func TestTrainingNeverSeesHeldOutSubjects(t *testing.T) {
	data := patients()
	data[7].Numbers[5] = math.NaN()
	s := newStudy(t, data)
	p := illness
	p.Features, p.Drop = nil, []string{"visit"}
	s.divide(p)
	if s.split.Population.Rows != 119 || s.split.Population.Excluded["target is missing"] != 1 || !slices.Equal(s.split.NonNumeric, []string{"sex", "grade"}) {
		t.Errorf("population %+v, texts %v", s.split.Population, s.split.NonNumeric)
	}
	assigned, err := table.ReadFile(t.Context(), filepath.Join(s.inputs, "split", "assignment.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := assigned.Column("subject")
	fold, _ := assigned.Column("fold")
	for f, counts := range s.split.Folds {
		train, err := table.Read(t.Context(), filepath.Join(s.inputs, "split", fmt.Sprintf("fold-%d", f)))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"patient", "age", "weight", "sex", "grade", "height", "ill"}; !slices.Equal(train.Names(), want) {
			t.Errorf("columns %v", train.Names())
		}
		seen, _ := train.Column("patient")
		for i, who := range subject.Texts {
			if int(fold.Numbers[i]) == f && slices.Contains(seen.Texts, who) {
				t.Errorf("fold %d trains on %s", f, who)
			}
		}
		if train.Rows() != counts.TrainRows || counts.TrainRows+counts.TestRows != 119 || counts.TrainSubjects+counts.TestSubjects != 40 {
			t.Errorf("%d rows, %+v", train.Rows(), counts)
		}
	}
}

// model is one of the tiny models of internal/predict.
func model(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository(), "internal", "predict", "testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// give puts a model in for each fold and the final one.
func (s *study) give(name string) {
	for f := range s.split.Folds {
		s.file(fmt.Sprintf("inputs/fold-%d/model.onnx", f), model(s.t, name))
	}
	s.file("inputs/final/model.onnx", model(s.t, name))
}

func TestBadModelsAreNamed(t *testing.T) {
	cases := []struct {
		name   string
		params evaluate.Params
		spoil  func(s *study)
		reason string
		field  string
		want   []string
	}{
		{"none left", evaluate.Params{}, func(s *study) { _ = os.RemoveAll(filepath.Join(s.inputs, "fold-3")) }, "ModelMissing", "spec.train.code", []string{"fold-3", "$FATHOM_OUTPUT/model.onnx"}},
		{"no model", evaluate.Params{}, func(s *study) { s.file("inputs/fold-2/model.onnx", "not a model") }, "ModelUnusable", "spec.train.code", []string{"fold-2", "not an ONNX model"}},
		{"other features", evaluate.Params{}, func(s *study) { s.file("inputs/fold-1/model.onnx", model(s.t, "columns")) }, "ModelUnusable", "spec.train.code", []string{"fold-1", `"sex"`}},
		{"unclear output", evaluate.Params{}, func(s *study) { s.file("inputs/fold-1/model.onnx", model(s.t, "two_answers")) }, "ModelUnusable", "spec.train.code", []string{"fold-1", "first", "second", `name it "probabilities"`}},
		{"NaN", evaluate.Params{}, func(s *study) { s.file("inputs/fold-4/model.onnx", model(s.t, "nan")) }, "PredictionsInvalid", "spec.train.code", []string{"fold-4", `"probabilities"`, "SimpleImputer"}},
		{"one answer for all rows", evaluate.Params{}, func(s *study) { s.file("inputs/fold-0/model.onnx", model(s.t, "one_row")) }, "PredictionsInvalid", "spec.train.code", []string{"fold-0", "shape [1 2]"}},
		{"logits", evaluate.Params{}, func(s *study) { s.file("inputs/fold-0/model.onnx", model(s.t, "logits")) }, "PredictionsInvalid", "spec.train.code", []string{"fold-0", "no probability"}},
		{"bad final model", evaluate.Params{}, func(s *study) { s.file("inputs/final/model.onnx", model(s.t, "nan")) }, "PredictionsInvalid", "spec.train.code", []string{"final"}},
		{"unknown slice", evaluate.Params{Slices: []string{"sexx"}}, nil, "ColumnUnknown", "spec.evaluate.slices", []string{`"sex"`}},
		{"unknown metric", evaluate.Params{Metrics: []string{"auc"}}, nil, "EvaluationFailed", "spec.evaluate", []string{`"auc"`, "roc_auc"}},
		{"threshold", evaluate.Params{Threshold: 7}, nil, "ParametersInvalid", "spec.evaluate", []string{"threshold is 7"}},
		{"weights of text", evaluate.Params{Weight: "sex"}, nil, "WeightInvalid", "spec.evaluate.weight", []string{`"sex"`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStudy(t, patients())
			s.divide(illness)
			s.give("softmax")
			if c.spoil != nil {
				c.spoil(s)
			}
			c.params.Dataset = "data"
			status, end := s.run("evaluate", c.params)
			if status != 2 || end.Reason != c.reason || end.Field != c.field {
				t.Fatalf("status %d, %+v", status, end)
			}
			for _, want := range c.want {
				if !strings.Contains(end.Message, want) {
					t.Errorf("%q lacks %q", end.Message, want)
				}
			}
			if _, err := os.Stat(filepath.Join(s.output, "evaluation.json")); err == nil {
				t.Error("an evaluation was written")
			}
		})
	}
}

func TestConstantModelsWarn(t *testing.T) {
	s := newStudy(t, patients())
	s.divide(illness)
	s.give("constant")
	_ = os.RemoveAll(filepath.Join(s.inputs, "final"))
	e := s.evaluate(evaluate.Params{Slices: []string{"sex", "age"}})
	var codes []string
	for _, w := range e.Warnings {
		codes = append(codes, w.Code)
	}
	if !slices.Equal(codes, []string{"ConstantPredictions", "NoFinalModel"}) || e.Metrics["roc_auc"].Value != 0.5 || e.Undefined["calibration_slope"] == "" {
		t.Errorf("warnings %v, AUC %v, undefined %v", codes, e.Metrics["roc_auc"], e.Undefined)
	}
	if len(e.Slices) != 6 {
		t.Errorf("%d slices", len(e.Slices))
	}
}

// TestOtherTasks trains several classes, a regression, and columns of mixed types.
func TestOtherTasks(t *testing.T) {
	cases := []struct {
		name, kind string
		params     evaluate.SplitParams
		task       evaluate.Task
		check      func(e evaluate.Evaluation) bool
	}{
		{"several classes", "softmax", with(illness, func(p *evaluate.SplitParams) { p.Target = "grade" }), evaluate.Multiclass, func(e evaluate.Evaluation) bool {
			return len(e.Confusion.Counts) == 3 && len(e.Metrics) == 4 && e.Importances.Metric == "log_loss" && len(e.Examples[0].Outputs) == 3
		}},
		{"regression", "ridge", with(illness, func(p *evaluate.SplitParams) { p.Target = "height" }), evaluate.Regression, func(e evaluate.Evaluation) bool {
			return e.Metrics["r2"].Value > 0.97 && e.Importances.Features[0].Feature == "age" && e.Curves.Scatter != nil && len(e.Signature.Features) == 2
		}},
		{"mixed columns", "columns", with(illness, func(p *evaluate.SplitParams) { p.Features = []string{"age", "sex", "weight"} }), evaluate.Binary, func(e evaluate.Evaluation) bool {
			return e.Signature.Convention == "columns" && len(e.Signature.Inputs) == 3 && e.Metrics["roc_auc"].Value > 0.6 && e.Examples[0].Inputs["sex"] != nil
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStudy(t, patients())
			s.divide(c.params)
			s.train(c.kind)
			e := s.evaluate(evaluate.Params{Slices: []string{"sex"}})
			if e.Task != c.task || !c.check(e) {
				t.Errorf("%+v", e)
			}
		})
	}
}
