// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"math"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

// writer fills a tensor of a model's type with features of any type.
type writer struct {
	put  func(at int64, t oip.Tensor, row int) error
	data func() any
}

func newWriter(kind predict.Type, count int64) (writer, error) {
	switch kind {
	case predict.FP32:
		return floats[float32](count), nil
	case predict.FP64:
		return floats[float64](count), nil
	case predict.Int64:
		return integers[int64](count, -1<<53, 1<<53), nil // beyond that a JSON number is not exact
	case predict.Int32:
		return integers[int32](count, math.MinInt32, math.MaxInt32), nil
	case predict.Int16:
		return integers[int16](count, math.MinInt16, math.MaxInt16), nil
	case predict.Int8:
		return integers[int8](count, math.MinInt8, math.MaxInt8), nil
	case predict.Uint64:
		return integers[uint64](count, 0, 1<<53), nil
	case predict.Uint32:
		return integers[uint32](count, 0, math.MaxUint32), nil
	case predict.Uint16:
		return integers[uint16](count, 0, math.MaxUint16), nil
	case predict.Uint8:
		return integers[uint8](count, 0, math.MaxUint8), nil
	case predict.Bool:
		out := make([]bool, count)
		return writer{data: func() any { return out }, put: func(at int64, t oip.Tensor, row int) error {
			v, err := whole(t, row, 0, 1)
			out[at] = v == 1
			return err
		}}, nil
	case predict.Bytes:
		out := make([]string, count)
		return writer{data: func() any { return out }, put: func(at int64, t oip.Tensor, row int) error {
			texts, isText := t.Data.([]string)
			if !isText {
				return fault.New(fault.Invalid, "", "feature %q must be %s, not %s", t.Name, oip.Bytes, t.Type)
			}
			out[at] = texts[row]
			return nil
		}}, nil
	}
	return writer{}, fault.New(fault.Invalid, "", "the model takes %s, which cannot be made from features", kind).
		WithHint("send the model's own input tensor")
}

func floats[T float32 | float64](count int64) writer {
	out := make([]T, count)
	return writer{data: func() any { return out }, put: func(at int64, t oip.Tensor, row int) error {
		v, _ := t.Float(row)
		if out[at] = T(v); math.IsInf(float64(out[at]), 0) {
			return fault.New(fault.Invalid, "", "feature %q is out of range in row %d", t.Name, row)
		}
		return nil
	}}
}

func integers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](count int64, low, high float64) writer {
	out := make([]T, count)
	return writer{data: func() any { return out }, put: func(at int64, t oip.Tensor, row int) error {
		v, err := whole(t, row, low, high)
		out[at] = T(v)
		return err
	}}
}
