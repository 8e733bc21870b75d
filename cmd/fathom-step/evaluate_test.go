// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
)

var update = flag.Bool("update", false, "store the models that TestParkinsonsLogisticRegression trains in testdata/parkinsons-lr")

var parkinsonsModels = []string{"fold-0", "fold-1", "fold-2", "fold-3", "fold-4", "final"}

// study is a dataset on its way through split, training and evaluation.
type study struct {
	*bench
	split evaluate.Split
}

// repository is the root of the source tree.
func repository() string { return filepath.Join("..", "..") }

// testdata is a path in the shared test data; the test is skipped without it.
func testdata(t *testing.T, path string) string {
	t.Helper()
	base := os.Getenv("FATHOM_TESTDATA")
	if base == "" {
		base = filepath.Join(repository(), "..", "shared", "data")
	}
	full := filepath.Join(base, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("needs the test data: set FATHOM_TESTDATA (%v)", err)
	}
	return full
}

// trainer is the interpreter with scikit-learn and skl2onnx; the test is skipped without it.
func trainer(t *testing.T) string {
	t.Helper()
	python := os.Getenv("FATHOM_PYTHON")
	if python == "" {
		python, _ = filepath.Abs(filepath.Join(repository(), ".tools", "judges", "bin", "python"))
	}
	if err := exec.Command(python, "-c", "import sklearn, skl2onnx, pandas, pyarrow").Run(); err != nil {
		t.Skipf("needs scikit-learn and skl2onnx: set FATHOM_PYTHON (%v)", err)
	}
	return python
}

// newStudy puts a dataset into the inputs of a bench with ONNX Runtime.
func newStudy(t *testing.T, dataset []evaluate.Column) *study {
	t.Helper()
	if os.Getenv("FATHOM_ONNXRUNTIME") == "" {
		for _, dir := range []string{"bin", filepath.Join(".tools", "lib")} {
			if found, _ := filepath.Glob(filepath.Join(repository(), dir, "libonnxruntime.*")); len(found) > 0 {
				t.Setenv("FATHOM_ONNXRUNTIME", found[0])
			}
		}
	}
	if os.Getenv("FATHOM_ONNXRUNTIME") == "" {
		t.Skip("needs ONNX Runtime: set FATHOM_ONNXRUNTIME to libonnxruntime.so")
	}
	s := &study{bench: newBench(t)}
	if err := table.WriteColumns(filepath.Join(s.inputs, "data", "part-0.parquet"), nil, dataset); err != nil {
		t.Fatal(err)
	}
	return s
}

// divide runs the split and makes its output an input.
func (s *study) divide(p evaluate.SplitParams) {
	s.t.Helper()
	p.Dataset = "data"
	if status, end := s.run("split", p); status != 0 {
		s.t.Fatalf("split: %+v", end)
	}
	s.load("split.json", &s.split)
	if err := os.Rename(s.output, filepath.Join(s.inputs, "split")); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(s.output, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *study) load(name string, into any) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.output, name))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// train fits one model per fold and the final one.
func (s *study) train(kind string) {
	s.t.Helper()
	args := []string{filepath.Join("testdata", "train.py"), kind, s.split.Params.Target, s.split.Params.Subject}
	for f := -1; f < len(s.split.Folds); f++ {
		whose := "final"
		if f >= 0 {
			whose = fmt.Sprintf("fold-%d", f)
		}
		if err := os.MkdirAll(filepath.Join(s.inputs, whose), 0o755); err != nil {
			s.t.Fatal(err)
		}
		args = append(args, filepath.Join(s.inputs, "split", whose, "train.parquet"), filepath.Join(s.inputs, whose, "model.onnx"))
	}
	if out, err := exec.Command(trainer(s.t), args...).CombinedOutput(); err != nil {
		s.t.Fatalf("train: %v\n%s", err, out)
	}
}

func (s *study) evaluate(p evaluate.Params) evaluate.Evaluation {
	s.t.Helper()
	p.Dataset = "data"
	if status, end := s.run("evaluate", p); status != 0 {
		s.t.Fatalf("evaluate: %+v", end)
	}
	var e evaluate.Evaluation
	s.load("evaluation.json", &e)
	return e
}

// parkinsons reads the UCI voice file with the reference's folds; features keep their order.
func parkinsons(t *testing.T) []evaluate.Column {
	t.Helper()
	foldOf := map[string]float64{}
	for _, line := range readCSV(t, testdata(t, "parkinsons/group_folds.csv"))[1:] {
		foldOf[line[0]], _ = strconv.ParseFloat(line[1], 64)
	}
	lines := readCSV(t, testdata(t, "parkinsons/parkinsons.data"))
	subject := evaluate.Column{Feature: evaluate.Feature{Name: "subject"}}
	fold := evaluate.Column{Feature: evaluate.Feature{Name: "fold"}}
	columns := make([]evaluate.Column, len(lines[0]))
	for j, name := range lines[0] {
		columns[j].Name = name
	}
	for _, line := range lines[1:] {
		who := line[0][:strings.LastIndex(line[0], "_")]
		subject.Texts = append(subject.Texts, who)
		fold.Numbers = append(fold.Numbers, foldOf[who])
		columns[0].Texts = append(columns[0].Texts, line[0])
		for j, text := range line[1:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			columns[j+1].Numbers = append(columns[j+1].Numbers, v)
		}
	}
	return append(columns, subject, fold)
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	var lines [][]string
	for {
		line, err := r.Read()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(line) > 1 {
			lines = append(lines, line)
		}
	}
}

func wantMetric(t *testing.T, metrics map[string]evaluate.Metric, name string, want, tolerance float64) {
	t.Helper()
	got, known := metrics[name]
	if !known || math.Abs(got.Value-want) > tolerance {
		t.Errorf("%s is %+v, want %v ± %v", name, got, want, tolerance)
		return
	}
	if got.Low == nil || got.High == nil || *got.Low > got.Value || *got.High < got.Value {
		t.Errorf("%s = %v has the interval %v to %v", name, got.Value, got.Low, got.High)
	}
}

var voice = evaluate.SplitParams{Target: "status", Subject: "subject", Drop: []string{"name"}}

func suppliedFolds() evaluate.SplitParams {
	p := voice
	p.FoldColumn = "fold"
	return p
}

// TestParkinsonsWithStoredModels needs no Python: the models in testdata are what train.py made.
func TestParkinsonsWithStoredModels(t *testing.T) {
	s := newStudy(t, parkinsons(t))
	s.divide(suppliedFolds())
	for _, whose := range parkinsonsModels {
		b, err := os.ReadFile(filepath.Join("testdata", "parkinsons-lr", whose+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		s.file(filepath.Join("inputs", whose, "model.onnx"), string(b))
	}
	checkParkinsonsLR(t, s, s.evaluate(evaluate.Params{Slices: []string{"fold"}}))
	for _, name := range []string{"evaluation.json", "out_of_fold.parquet", "out_of_fold.csv"} {
		once, _ := os.ReadFile(filepath.Join(s.output, name))
		s.evaluate(evaluate.Params{Slices: []string{"fold"}})
		if again, err := os.ReadFile(filepath.Join(s.output, name)); err != nil || !bytes.Equal(once, again) {
			t.Errorf("%s differs the second time (%v)", name, err)
		}
	}
}

func TestParkinsonsLogisticRegression(t *testing.T) {
	for _, kind := range []string{"lr", "lr-zipmap"} {
		t.Run(kind, func(t *testing.T) {
			s := newStudy(t, parkinsons(t))
			s.divide(suppliedFolds())
			s.train(kind)
			checkParkinsonsLR(t, s, s.evaluate(evaluate.Params{Slices: []string{"fold"}}))
			if *update && kind == "lr" {
				s.store(filepath.Join("testdata", "parkinsons-lr"))
			}
		})
	}
}

// store keeps the trained models for the test that has no Python.
func (s *study) store(dir string) {
	s.t.Helper()
	for _, whose := range parkinsonsModels {
		b, err := os.ReadFile(filepath.Join(s.inputs, whose, "model.onnx"))
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, whose+".onnx"), b, 0o644)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func checkParkinsonsLR(t *testing.T, s *study, e evaluate.Evaluation) {
	t.Helper()
	wantMetric(t, e.Metrics, "roc_auc", 0.7287, 0.0005)
	wantMetric(t, e.Metrics, "accuracy", 0.789744, 1e-4)
	wantMetric(t, e.Metrics, "balanced_accuracy", 0.685162, 1e-4)
	wantMetric(t, e.Metrics, "log_loss", 0.59048, 1e-4)
	wantMetric(t, e.Metrics, "brier", 0.176501, 1e-4)
	wantMetric(t, e.Subjects.Metrics, "roc_auc", 0.703125, 1e-6)
	wantMetric(t, e.Subjects.Metrics, "accuracy", 0.8125, 1e-6)
	for f, want := range []float64{0.9247, 0.9100, 0.5430, 0.6222, 0.7500} {
		if got := e.Folds[f].Metrics["roc_auc"]; math.Abs(got-want) > 1e-4 {
			t.Errorf("AUC of fold %d is %v, want %v", f, got, want)
		}
	}
	if e.Leakage.Verdict != evaluate.None || e.Population.Subjects != 32 || e.Metrics["roc_auc"].Method != evaluate.MethodSubjects {
		t.Errorf("leakage %+v, population %+v, method %s", e.Leakage, e.Population, e.Metrics["roc_auc"].Method)
	}
	if len(e.Signature.Features) != 22 || e.Signature.Convention != "matrix" || len(e.Importances.Features) != 22 || len(e.Slices) != 5 || len(e.Examples) != 3 {
		t.Errorf("signature %+v, %d importances, %d slices, %d examples", e.Signature, len(e.Importances.Features), len(e.Slices), len(e.Examples))
	}
	reference := map[string]float64{}
	for _, line := range readCSV(t, testdata(t, "parkinsons/reference_out_of_fold.csv"))[1:] {
		reference[line[0]], _ = strconv.ParseFloat(line[5], 64)
	}
	names := parkinsons(t)[0].Texts
	lines := readCSV(t, filepath.Join(s.output, "out_of_fold.csv"))
	if len(lines) != 196 {
		t.Fatalf("%d lines of predictions", len(lines))
	}
	for _, line := range lines[1:] {
		row, _ := strconv.Atoi(line[0])
		p, _ := strconv.ParseFloat(line[5], 64)
		if want := reference[names[row]]; math.Abs(p-want) > 1e-4 {
			t.Errorf("%s has the probability %v, want %v (%v)", names[row], p, want, line)
		}
	}
}

func TestParkinsonsLeaveOneSubjectOut(t *testing.T) {
	s := newStudy(t, parkinsons(t))
	p := voice
	p.LeaveOneOut, p.Drop = true, []string{"name", "fold"}
	s.divide(p)
	s.train("lr")
	e := s.evaluate(evaluate.Params{Metrics: []string{"roc_auc", "brier", "accuracy"}})
	wantMetric(t, e.Metrics, "roc_auc", 0.7218, 0.0005)
	wantMetric(t, e.Metrics, "accuracy", 0.784615, 1e-4)
	wantMetric(t, e.Subjects.Metrics, "roc_auc", 0.697917, 1e-6)
	if len(e.Folds) != 32 || e.Folds[0].Undefined["roc_auc"] == "" || len(e.Metrics) != 3 {
		t.Errorf("%d folds, first %+v, metrics %v", len(e.Folds), e.Folds[0], e.Metrics)
	}
}

func TestParkinsonsRandomForest(t *testing.T) {
	s := newStudy(t, parkinsons(t))
	s.divide(suppliedFolds())
	s.train("rf")
	e := s.evaluate(evaluate.Params{})
	wantMetric(t, e.Metrics, "roc_auc", 0.8036, 0.04)
	wantMetric(t, e.Subjects.Metrics, "roc_auc", 0.797, 0.04)
}

// TestParkinsonsByRecord is the mistake that makes this dataset look easy.
func TestParkinsonsByRecord(t *testing.T) {
	s := newStudy(t, parkinsons(t))
	p := voice
	p.By, p.Drop = evaluate.ByRecord, []string{"name", "fold"}
	s.divide(p)
	s.train("lr")
	e := s.evaluate(evaluate.Params{})
	wantMetric(t, e.Metrics, "roc_auc", 0.8927, 0.02)
	if e.Leakage.Verdict != evaluate.Block || len(e.Leakage.Findings) != 1 {
		t.Fatalf("leakage %+v", e.Leakage)
	}
	f := e.Leakage.Findings[0]
	if f.Kind != evaluate.LeakRecord || f.Count != 32 || !strings.Contains(f.Message, "phon_R01_S01") || !strings.Contains(f.Message, "by: subject") {
		t.Errorf("finding %+v", f)
	}
}
