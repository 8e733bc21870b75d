// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// own is a model of testdata/, which models.py writes.
func own(t testing.TB, name string) *Session {
	return load(t, filepath.Join("testdata", name+".onnx"))
}

func TestEveryDatatypeComesBackUnchanged(t *testing.T) {
	s := own(t, "echo")
	data := map[Type]any{
		Bool: []bool{true, false, false, true}, Uint8: []uint8{0, 1, 2, 255}, Uint16: []uint16{0, 1, 2, 65535},
		Uint32: []uint32{0, 1, 2, math.MaxUint32}, Uint64: []uint64{0, 1, 2, math.MaxUint64}, Int8: []int8{-128, 0, 1, 127},
		Int16: []int16{-32768, 0, 1, 32767}, Int32: []int32{math.MinInt32, 0, 1, math.MaxInt32},
		Int64: []int64{math.MinInt64, 0, 1, math.MaxInt64}, FP16: []uint16{0x3c00, 0xc000, 0x7bff, 0}, BF16: []uint16{0x3f80, 0xc000, 0, 1},
		FP32: []float32{1, -2, math.MaxFloat32, 0}, FP64: []float64{1, -2, math.MaxFloat64, 0}, Bytes: []string{"", "a", "ü", "b\n"},
	}
	for _, rows := range []int64{2, 0} {
		var inputs []Tensor
		for _, spec := range s.Signature().Inputs {
			values := data[spec.Type]
			if rows == 0 {
				values = reflect.MakeSlice(reflect.TypeOf(values), 0, 0).Interface()
			}
			inputs = append(inputs, Tensor{Name: spec.Name, Type: spec.Type, Shape: []int64{rows, 2}, Data: values})
		}
		if rows == 0 { // ONNX Runtime's binding has no empty texts and 16-bit floats; they are an error, never a crash
			_, err := s.Run(context.Background(), inputs)
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("no rows: %v", err)
			}
			continue
		}
		outputs, err := s.Run(context.Background(), inputs)
		if err != nil {
			t.Fatal(err)
		}
		for i, out := range outputs {
			if out.Type != inputs[i].Type || !reflect.DeepEqual(out.Shape, inputs[i].Shape) || !reflect.DeepEqual(out.Data, inputs[i].Data) {
				t.Errorf("%s: got %v, want %v", out.Type, out, inputs[i])
			}
		}
	}
}

func TestHalfPrecisionIsRead(t *testing.T) {
	for bits, want := range map[uint16]float64{0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 1: math.Ldexp(1, -24), 0x7c00: math.Inf(1), 0x3555: 0.333251953125} {
		if got := half(bits); got != want {
			t.Errorf("%#x is %v, want %v", bits, got, want)
		}
	}
	if !math.IsNaN(half(0x7e01)) {
		t.Error("0x7e01 is no NaN")
	}
	bf := Tensor{Type: BF16, Data: []uint16{0x3f80, 0xc000}}
	if got, _ := bf.Floats(); got[0] != 1 || got[1] != -2 {
		t.Errorf("bfloat16: %v", got)
	}
}

func TestScalarOutput(t *testing.T) {
	outputs, err := own(t, "scalar").Run(context.Background(), []Tensor{{"x", FP32, []int64{3}, []float32{1, 2, 4}}})
	if err != nil || len(outputs[0].Shape) != 0 || outputs[0].Data.([]float32)[0] != 7 {
		t.Errorf("%v, %v", outputs, err)
	}
}

func TestRefusedModels(t *testing.T) {
	r := engine(t)
	cases := []struct {
		name  string
		model []byte
		want  string
	}{
		{"weights in another file", read(t, "testdata/external.onnx"), "another file"},
		{"weights in another file, nested", read(t, "testdata/external_nested.onnx"), "another file"},
		{"sequence of tensors", read(t, "testdata/sequence.onnx"), "cannot be returned"},
		{"empty", nil, "not an ONNX model"},
		{"text", []byte("hello, this is no model"), "not an ONNX model"},
		{"cut", read(t, "testdata/softmax.onnx")[:150], ""},
		{"a pickle", []byte("\x80\x04\x95\x10\x00\x00"), "not an ONNX model"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := r.Load(c.model, Limits{})
			if err == nil {
				_ = s.Close()
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := r.Load(read(t, "testdata/softmax.onnx"), Limits{Bytes: 10}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("large file: %v", err)
	}
}

// FuzzParse feeds damaged model files to the parser: it may refuse them, never crash or hang.
func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.onnx")
	for _, path := range paths {
		f.Add(read(f, path))
	}
	f.Fuzz(func(_ *testing.T, model []byte) {
		if file, err := parseModel(model); err == nil {
			_ = file.runnable(Limits{}.withDefaults())
		}
	})
}

func TestRequestsAreChecked(t *testing.T) {
	x := func(shape []int64, data any) []Tensor { return []Tensor{{"features", FP32, shape, data}} }
	two := func(a, b []float32) []Tensor {
		return []Tensor{{"a", FP32, []int64{int64(len(a))}, a}, {"b", FP32, []int64{int64(len(b))}, b}}
	}
	cases := []struct {
		name, model string
		inputs      []Tensor
		kind        fault.Kind
		want        string
	}{
		{"unknown name", "softmax", []Tensor{{"feature", FP32, []int64{1, 2}, []float32{1, 2}}}, fault.Invalid, "features FP32[-1 2]"},
		{"missing", "softmax", nil, fault.Invalid, "missing"},
		{"twice", "softmax", append(x([]int64{1, 2}, []float32{1, 2}), x([]int64{1, 2}, []float32{1, 2})...), fault.Invalid, "twice"},
		{"type", "softmax", []Tensor{{"features", FP64, []int64{1, 2}, []float64{1, 2}}}, fault.Invalid, "must be FP32"},
		{"rank", "softmax", x([]int64{2}, []float32{1, 2}), fault.Invalid, "shape [-1 2]"},
		{"width", "softmax", x([]int64{1, 3}, []float32{1, 2, 3}), fault.Invalid, "shape [-1 2]"},
		{"length", "softmax", x([]int64{2, 2}, []float32{1, 2, 3}), fault.Invalid, "needs 4 values, not 3"},
		{"negative", "softmax", x([]int64{-1, 2}, []float32{1, 2}), fault.Invalid, "negative"},
		{"huge", "softmax", x([]int64{1 << 40, 2}, []float32{1, 2}), fault.TooLarge, "more than"},
		{"overflow", "softmax", x([]int64{math.MaxInt64, 2}, []float32{1, 2}), fault.TooLarge, "more than"},
		{"data of another Go type", "softmax", x([]int64{1, 2}, []int64{1, 2}), fault.Invalid, "[]int64"},
		{"NUL in a text", "columns", []Tensor{{"age", FP32, []int64{1, 1}, []float32{1}}, {"sex", Bytes, []int64{1, 1}, []string{"f\x00m"}}}, fault.Invalid, "NUL"},
		{"axes differ", "two_inputs", two([]float32{1, 2}, []float32{1}), fault.Invalid, `axis "rows"`},
		{"index out of range", "gather", []Tensor{{"index", Int64, []int64{1}, []int64{9}}}, fault.Invalid, "cannot compute"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := own(t, c.model).Run(context.Background(), c.inputs)
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s %q", err, c.kind, c.want)
			}
		})
	}
}

func TestFinite(t *testing.T) {
	nan := float32(math.NaN())
	if err := (Tensor{"x", FP32, []int64{2}, []float32{1, nan}}).Finite(); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "position 1") {
		t.Error(err)
	}
	if err := (Tensor{"x", Bytes, []int64{1}, []string{"NaN"}}).Finite(); err != nil {
		t.Error(err)
	}
}

func TestManyRunAtOnceAndCloseWaits(t *testing.T) {
	s := own(t, "softmax")
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range 200 {
				v := float32(g*200+i) / 1000
				out, err := s.Run(context.Background(), []Tensor{{"features", FP32, []int64{1, 2}, []float32{v, 0}}})
				if fault.Is(err, fault.Unavailable) {
					return // closed
				}
				if err != nil {
					t.Error(err)
					return
				}
				want := 1 / (1 + math.Exp(-(2*float64(v) - 0.2)))
				if got := out[0].Data.([]float32)[1]; math.Abs(float64(got)-want) > 1e-5 {
					t.Errorf("%v gives %v, want %v", v, got, want)
				}
			}
		}()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wait.Wait()
	if _, err := s.Run(context.Background(), []Tensor{{"features", FP32, []int64{1, 2}, []float32{1, 2}}}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error("second Close", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := own(t, "endless")
	input := []Tensor{{"x", FP32, []int64{1}, []float32{1}}}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, input)
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Run(ctx, input); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := own(b, "softmax")
	input := []Tensor{{"features", FP32, []int64{1, 2}, []float32{1, 2}}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for b.Loop() {
		if _, err := s.Run(ctx, input); err != nil {
			b.Fatal(err)
		}
	}
}
