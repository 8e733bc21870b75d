// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestBackend runs the tests of the ONNX project, which come as protobuf tensors.
func TestBackend(t *testing.T) {
	base := data(t, "onnx")
	for _, pattern := range []string{"simple/*/model.onnx", "pytorch_converted/*/model.onnx"} {
		paths, _ := filepath.Glob(filepath.Join(base, pattern))
		for _, path := range paths {
			dir := filepath.Dir(path)
			t.Run(filepath.Base(dir), func(t *testing.T) {
				s, err := engine(t).Load(read(t, path), Limits{})
				if err != nil {
					t.Skipf("does not load: %v", err)
				}
				defer func() { _ = s.Close() }()
				var inputs []Tensor
				for i, spec := range s.Signature().Inputs {
					inputs = append(inputs, tensorFile(t, spec, filepath.Join(dir, "test_data_set_0", "input_"+strconv.Itoa(i)+".pb")))
				}
				outputs, err := s.Run(context.Background(), inputs)
				if err != nil {
					t.Fatal(err)
				}
				for i, out := range outputs {
					want := tensorFile(t, Spec{Name: out.Name, Type: out.Type}, filepath.Join(dir, "test_data_set_0", "output_"+strconv.Itoa(i)+".pb"))
					if out.Type == Bytes {
						if strings.Join(out.Data.([]string), ",") != strings.Join(want.Data.([]string), ",") {
							t.Errorf("got %q, want %q", out.Data, want.Data)
						}
						continue
					}
					values, _ := want.Floats()
					compare(t, out, wantTensor{Dims: want.Shape, Data: values})
				}
			})
		}
	}
}

// tensorFile reads a TensorProto.
func tensorFile(t *testing.T, spec Spec, path string) Tensor {
	t.Helper()
	out := Tensor{Name: spec.Name, Type: spec.Type}
	var raw []byte
	var texts []string
	var floats []float32
	var ints []int64
	err := fields(read(t, path), func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			dims, err := appendInts(nil, v, n)
			for _, d := range dims {
				size, _ := strconv.ParseInt(d, 10, 64)
				out.Shape = append(out.Shape, size)
			}
			return err
		case 4:
			for ; len(v) >= 4; v = v[4:] {
				floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(v)))
			}
		case 6:
			texts = append(texts, string(v))
		case 7:
			list, err := appendInts(nil, v, n)
			for _, d := range list {
				value, _ := strconv.ParseInt(d, 10, 64)
				ints = append(ints, value)
			}
			return err
		case 9:
			raw = v
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	switch spec.Type {
	case FP32:
		for ; len(raw) >= 4; raw = raw[4:] {
			floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
		out.Data = floats
	case FP64:
		var values []float64
		for ; len(raw) >= 8; raw = raw[8:] {
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		out.Data = values
	case Int64:
		for ; len(raw) >= 8; raw = raw[8:] {
			ints = append(ints, int64(binary.LittleEndian.Uint64(raw)))
		}
		out.Data = ints
	case Bytes:
		out.Data = texts
	}
	return out
}
