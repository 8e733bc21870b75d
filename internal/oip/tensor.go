// SPDX-License-Identifier: Apache-2.0

package oip

import "fathom.dev/fathom/internal/fault"

// Type is a datatype of the protocol.
type Type string

// The datatypes. BF16 is Triton's extension.
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
)

// width is the size of a value in bytes; 0 for BYTES, -1 for a type that does not exist.
func (t Type) width() int64 {
	switch t {
	case Bool, Uint8, Int8:
		return 1
	case Uint16, Int16, FP16, BF16:
		return 2
	case Uint32, Int32, FP32:
		return 4
	case Uint64, Int64, FP64:
		return 8
	case Bytes:
		return 0
	}
	return -1
}

// Tensor is a named array in row-major order. Data is a []bool, []uint8, []uint16, []uint32, []uint64, []int8, []int16,
// []int32, []int64, []float32 or []float64 as Type says; FP16 and BF16 are []uint16 with the raw bits; BYTES is []string.
// A NaN in a tensor that was read means that its client sent null: the value is missing.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int64
	Data  any
}

// Float gives one value as float64, of a BOOL 0 or 1; false for BYTES and a position outside.
func (t Tensor) Float(i int) (float64, bool) {
	switch d := t.Data.(type) {
	case []float32:
		return at(d, i)
	case []float64:
		return at(d, i)
	case []int64:
		return at(d, i)
	case []int32:
		return at(d, i)
	case []int16:
		return at(d, i)
	case []int8:
		return at(d, i)
	case []uint64:
		return at(d, i)
	case []uint32:
		return at(d, i)
	case []uint16:
		return shortAt(t.Type, d, i)
	case []uint8:
		return at(d, i)
	case []bool:
		return flagAt(d, i)
	}
	return 0, false
}

func flagAt(d []bool, i int) (float64, bool) {
	if i < 0 || i >= len(d) {
		return 0, false
	}
	if d[i] {
		return 1, true
	}
	return 0, true
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func at[T number](d []T, i int) (float64, bool) {
	if i < 0 || i >= len(d) {
		return 0, false
	}
	return float64(d[i]), true
}

// elements multiplies a shape out. It refuses what is negative or beyond max, without ever overflowing.
func elements(name string, shape []int64, max int64) (int64, error) {
	if len(shape) > maxAxes {
		return 0, invalid("tensor %q has %d axes, more than %d", clip(name), len(shape), maxAxes)
	}
	product := int64(1)
	for _, size := range shape {
		if size < 0 {
			return 0, invalid("tensor %q has a negative size in its shape %v", clip(name), shape)
		}
		if size != 0 && product > max/size {
			return 0, fault.New(fault.TooLarge, "", "tensor %q of shape %v has more than %d values", clip(name), shape, max)
		}
		product *= size
	}
	return product, nil
}
