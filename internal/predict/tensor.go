// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"math"
	"reflect"

	"fathom.dev/fathom/internal/fault"
)

// Type is an Open Inference Protocol datatype, or one of the two that only models know.
type Type string

// The types. BF16 is an extension that Triton also speaks; Map is scikit-learn's sequence of maps from class to
// probability, which [Session.Run] gives as an FP32 tensor [N, classes].
const (
	Bool   Type = "BOOL"
	Uint8  Type = "UINT8"
	Uint16 Type = "UINT16"
	Uint32 Type = "UINT32"
	Uint64 Type = "UINT64"
	Int8   Type = "INT8"
	Int16  Type = "INT16"
	Int32  Type = "INT32"
	Int64  Type = "INT64"
	FP16   Type = "FP16"
	BF16   Type = "BF16"
	FP32   Type = "FP32"
	FP64   Type = "FP64"
	Bytes  Type = "BYTES"
	Map    Type = "MAP"
)

// Numeric reports whether values of the type are numbers.
func (t Type) Numeric() bool { return t != Bytes && t != Map && t != Bool }

// Float reports whether the type is a floating-point type.
func (t Type) Float() bool { return t == FP16 || t == BF16 || t == FP32 || t == FP64 }

// Tensor is a named array in row-major order. Data is a []bool, []uint8, []uint16, []uint32, []uint64, []int8, []int16,
// []int32, []int64, []float32 or []float64 as Type says; FP16 and BF16 are []uint16 with the raw bits; BYTES is []string.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int64
	Data  any
}

// Len is the number of values in Data, -1 if Data is of no known type.
func (t Tensor) Len() int {
	switch d := t.Data.(type) {
	case []bool:
		return len(d)
	case []uint8:
		return len(d)
	case []uint16:
		return len(d)
	case []uint32:
		return len(d)
	case []uint64:
		return len(d)
	case []int8:
		return len(d)
	case []int16:
		return len(d)
	case []int32:
		return len(d)
	case []int64:
		return len(d)
	case []float32:
		return len(d)
	case []float64:
		return len(d)
	case []string:
		return len(d)
	}
	return -1
}

// typed reports whether Data is of the Go type that Type asks for.
func (t Tensor) typed() bool {
	return reflect.TypeOf(t.Data) == reflect.TypeOf(zeroes(t.Type, 0))
}

// Floats converts Data to float64. Errors: Invalid if it holds texts.
func (t Tensor) Floats() ([]float64, error) {
	switch d := t.Data.(type) {
	case []float64:
		return d, nil
	case []float32:
		return convert(d), nil
	case []int64:
		return convert(d), nil
	case []int32:
		return convert(d), nil
	case []int16:
		return convert(d), nil
	case []int8:
		return convert(d), nil
	case []uint64:
		return convert(d), nil
	case []uint32:
		return convert(d), nil
	case []uint16:
		return halves(d, t.Type), nil
	case []uint8:
		return convert(d), nil
	}
	return nil, fault.New(fault.Invalid, "predict", "%q holds %s, not numbers", t.Name, t.Type)
}

// Finite reports the first NaN or infinity in the tensor as Invalid, by name and position.
func (t Tensor) Finite() error {
	if !t.Type.Float() {
		return nil
	}
	values, err := t.Floats()
	if err != nil {
		return err
	}
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "predict", "%q holds %v at position %d", t.Name, v, i)
		}
	}
	return nil
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func convert[T number](in []T) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}

// halves reads 16-bit values: IEEE half precision, bfloat16 (the upper half of a float32) or plain integers.
func halves(in []uint16, t Type) []float64 {
	switch t {
	case BF16:
		out := make([]float64, len(in))
		for i, v := range in {
			out[i] = float64(math.Float32frombits(uint32(v) << 16))
		}
		return out
	case FP16:
		out := make([]float64, len(in))
		for i, v := range in {
			out[i] = half(v)
		}
		return out
	}
	return convert(in)
}

// half decodes IEEE 754 binary16.
func half(bits uint16) float64 {
	sign := 1.0
	if bits&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(bits>>10)&0x1f, float64(bits&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// elements multiplies a shape out; -1 for a negative size or more than max.
func elements(shape []int64, max int64) int64 {
	product := int64(1)
	for _, size := range shape {
		if size < 0 {
			return -1
		}
		if size != 0 && product > max/size {
			return -1
		}
		product *= size
	}
	return product
}
