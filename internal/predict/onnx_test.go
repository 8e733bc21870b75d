// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// root is the repository's.
func root(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// data is a path in the test data; the test is skipped without it.
func data(t testing.TB, path string) string {
	t.Helper()
	base := os.Getenv("FATHOM_TESTDATA")
	if base == "" {
		base = filepath.Join(root(t), "..", "shared", "data")
	}
	full := filepath.Join(base, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("needs the test data: set FATHOM_TESTDATA (%v)", err)
	}
	return full
}

// engine opens ONNX Runtime; the test is skipped without its library.
func engine(t testing.TB) *Runtime {
	t.Helper()
	library, err := FindLibrary(os.Getenv, filepath.Join(root(t), "bin", "fathom-step"))
	if err != nil {
		library, err = FindLibrary(os.Getenv, filepath.Join(root(t), ".tools", "bin", "fathom-step"))
	}
	if err != nil {
		t.Skipf("needs ONNX Runtime: %v", err)
	}
	r, err := Open(library)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t testing.TB, path string) *Session {
	t.Helper()
	s, err := engine(t).Load(read(t, path), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(read(t, path), into); err != nil {
		t.Fatal(err)
	}
}

// TestModels loads every model of the test data: those that loaded elsewhere must load here and show the same signature.
func TestModels(t *testing.T) {
	base := filepath.Dir(data(t, "onnx"))
	var models []struct {
		Model, Result string
		Outcome       string `json:"onnxruntime_result"`
		Inputs        []struct {
			Name string
			Type any
			Dims []any
		}
	}
	readJSON(t, filepath.Join(base, "onnx", "models.json"), &models)
	refused := map[string]fault.Kind{ // beyond what the reference run could not load
		"example_big_compute": fault.TooLarge,
	}
	for _, m := range models {
		t.Run(strings.ReplaceAll(m.Model, "/", "_"), func(t *testing.T) {
			s, err := engine(t).Load(read(t, filepath.Join(base, m.Model)), Limits{})
			for name, kind := range refused {
				if strings.Contains(m.Model, name) {
					if fault.KindOf(err) != kind {
						t.Fatalf("got %v, want %s", err, kind)
					}
					return
				}
			}
			if strings.HasPrefix(m.Outcome, "not loaded") && err != nil {
				if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "onnxruntime/core") {
					t.Fatalf("unclear error: %v", err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatalf("%s elsewhere, here: %v", m.Outcome, err)
			}
			defer func() { _ = s.Close() }()
			for i, in := range m.Inputs {
				got := s.Signature().Inputs[i]
				if got.Name != in.Name || len(got.Shape) != len(in.Dims) {
					t.Errorf("input %d is %s, want %s %v", i, got, in.Name, in.Dims)
				}
			}
		})
	}
}

type wantTensor struct {
	Type string
	Dims []int64
	Data []float64
}

func TestReferenceOutputs(t *testing.T) {
	base := filepath.Dir(data(t, "onnx"))
	var want struct {
		MLP, Scaler struct {
			Input  [][]float32
			Output map[string]wantTensor
		}
		Dynamic struct{ Output map[string]wantTensor } `json:"dynamic_axes"`
		Multi   struct {
			Input  struct{ InputA, InputB []float64 }
			Output map[string]wantTensor
		} `json:"multitype"`
	}
	readJSON(t, filepath.Join(base, "onnx", "reference_outputs.json"), &want)
	flat := func(rows [][]float32) (out []float32) {
		for _, row := range rows {
			out = append(out, row...)
		}
		return out
	}
	var count [20]float32
	for i := range count {
		count[i] = float32(i)
	}
	a := make([]uint8, len(want.Multi.Input.InputA))
	for i, v := range want.Multi.Input.InputA {
		a[i] = uint8(v)
	}
	cases := []struct {
		model  string
		inputs []Tensor
		want   map[string]wantTensor
	}{
		{"onnx/gonnx/mlp.onnx", []Tensor{{"data_input", FP32, []int64{2, 3}, flat(want.MLP.Input)}}, want.MLP.Output},
		{"onnx/gonnx/scaler.onnx", []Tensor{{"X", FP32, []int64{2, 3}, flat(want.Scaler.Input)}}, want.Scaler.Output},
		{"onnx/ort_go/example_dynamic_axes.onnx", []Tensor{{"input_vectors", FP32, []int64{2, 10}, count[:]}}, want.Dynamic.Output},
		{"onnx/ort_go/example_multitype.onnx", []Tensor{
			{"InputB", FP64, []int64{1, 2, 2}, want.Multi.Input.InputB}, {"InputA", Uint8, []int64{1, 1, 1}, a},
		}, want.Multi.Output},
	}
	for _, c := range cases {
		t.Run(c.model, func(t *testing.T) {
			outputs, err := load(t, filepath.Join(base, c.model)).Run(context.Background(), c.inputs)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range outputs {
				compare(t, out, c.want[out.Name])
			}
		})
	}
}

func compare(t *testing.T, got Tensor, want wantTensor) {
	t.Helper()
	values, err := got.Floats()
	if err != nil || len(values) != len(want.Data) || len(got.Shape) != len(want.Dims) {
		t.Fatalf("%s is %v %v, want %v (%v)", got.Name, got.Shape, values, want, err)
	}
	for i, v := range values {
		if math.Abs(v-want.Data[i]) > 1e-5*(1+math.Abs(want.Data[i])) {
			t.Errorf("%s[%d] is %v, want %v", got.Name, i, v, want.Data[i])
		}
	}
}

// TestIris scores scikit-learn's random forest, which answers with a ZipMap, through the table convention.
func TestIris(t *testing.T) {
	s := load(t, data(t, "onnx/ort_go/sklearn_randomforest.onnx"))
	var want struct {
		Forest struct {
			Label []int `json:"output_label"`
		} `json:"sklearn_randomforest"`
	}
	readJSON(t, data(t, "onnx/reference_outputs.json"), &want)
	file, err := os.Open(data(t, "tabular/iris.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	reader := csv.NewReader(file)
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	for _, row := range rows[1:] { // the first has counts and class names
		for j := range columns {
			v, _ := strconv.ParseFloat(row[j], 64)
			columns[j].Numbers = append(columns[j].Numbers, v)
		}
	}
	features := []Feature{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	scorer, err := s.Bind(features, Target{Classes: []string{"0", "1", "2"}})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := scorer.Score(context.Background(), columns)
	if err != nil {
		t.Fatal(err)
	}
	if len(scores.Labels) != 150 || len(want.Forest.Label) != 150 {
		t.Fatalf("%d labels", len(scores.Labels))
	}
	for i, label := range scores.Labels {
		if label != strconv.Itoa(want.Forest.Label[i]) {
			t.Errorf("row %d: %s, want %d", i, label, want.Forest.Label[i])
		}
		p := scores.Probabilities[3*i : 3*i+3]
		if best := argmax(p); best != want.Forest.Label[i] {
			t.Errorf("row %d: probabilities %v, label %d", i, p, want.Forest.Label[i])
		}
	}
}

func argmax(p []float64) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

// TestMNIST reproduces the accuracy on 10,000 images, one at a time since the model's batch is fixed to 1.
func TestMNIST(t *testing.T) {
	s := load(t, data(t, "onnx/mnist/opt-mnist.onnx"))
	images := unzip(t, data(t, "images/mnist/t10k-images-idx3-ubyte.gz"))[16:]
	labels := unzip(t, data(t, "images/mnist/t10k-labels-idx1-ubyte.gz"))[8:]
	right := 0
	for i, label := range labels {
		pixels := make([]float32, 784)
		for j := range pixels {
			pixels[j] = float32(images[i*784+j])
		}
		outputs, err := s.Run(context.Background(), []Tensor{{"Input3", FP32, []int64{1, 1, 28, 28}, pixels}})
		if err != nil {
			t.Fatal(err)
		}
		logits, _ := outputs[0].Floats()
		if argmax(logits) == int(label) {
			right++
		}
	}
	if right != 9891 {
		t.Errorf("%d of 10000 right, want 9891", right)
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
