// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"encoding/binary"
	"math"
)

// parseRaw reads a tensor's values from little-endian bytes; each of BYTES is preceded by its length in 4 bytes.
func parseRaw(t Tensor, raw []byte, count int64) (any, error) {
	if width := t.Type.width(); width > 0 && int64(len(raw)) != count*width {
		return nil, invalid("tensor %q of shape %v and datatype %s needs %d bytes, not %d", clip(t.Name), t.Shape, t.Type, count*width, len(raw))
	}
	switch t.Type {
	case FP32:
		return finite(t, unpack(raw, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }))
	case FP64:
		return finite(t, unpack(raw, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }))
	case FP16, BF16:
		return parseHalves(t, raw)
	case Bool:
		return parseFlags(t, raw)
	case Bytes:
		return parseTexts(t, raw, count)
	}
	return parseWholeRaw(t, raw), nil
}

func parseHalves(t Tensor, raw []byte) ([]uint16, error) {
	bits := unpack(raw, 2, binary.LittleEndian.Uint16)
	for i, v := range bits {
		if f := float64(halfValue(t.Type, v)); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, notFinite(t, i, f)
		}
	}
	return bits, nil
}

func parseFlags(t Tensor, raw []byte) ([]bool, error) {
	for i, b := range raw {
		if b > 1 {
			return nil, invalid("%d at position %d of tensor %q is no BOOL", b, i, clip(t.Name))
		}
	}
	return unpack(raw, 1, func(b []byte) bool { return b[0] == 1 }), nil
}

func parseWholeRaw(t Tensor, raw []byte) any {
	switch t.Type {
	case Int64:
		return unpack(raw, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case Int32:
		return unpack(raw, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case Int16:
		return unpack(raw, 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
	case Int8:
		return unpack(raw, 1, func(b []byte) int8 { return int8(b[0]) })
	case Uint64:
		return unpack(raw, 8, binary.LittleEndian.Uint64)
	case Uint32:
		return unpack(raw, 4, binary.LittleEndian.Uint32)
	case Uint16:
		return unpack(raw, 2, binary.LittleEndian.Uint16)
	}
	return unpack(raw, 1, func(b []byte) uint8 { return b[0] })
}

func unpack[T any](raw []byte, width int, one func([]byte) T) []T {
	out := make([]T, len(raw)/width)
	for i := range out {
		out[i] = one(raw[i*width : (i+1)*width])
	}
	return out
}

// finite refuses NaN, which in this package means a null that only JSON can say, and infinities.
func finite[T float32 | float64](t Tensor, values []T) ([]T, error) {
	for i, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, notFinite(t, i, f)
		}
	}
	return values, nil
}

func notFinite(t Tensor, i int, v float64) error {
	return invalid("tensor %q holds %v at position %d", clip(t.Name), v, i).WithHint("send finite numbers; a missing one is null in JSON")
}

func parseTexts(t Tensor, raw []byte, count int64) ([]string, error) {
	if int64(len(raw)/4) < count {
		return nil, invalid("tensor %q of shape %v needs %d texts, but has %d bytes", clip(t.Name), t.Shape, count, len(raw))
	}
	out := make([]string, 0, count)
	for len(raw) > 0 {
		if len(raw) < 4 || int64(binary.LittleEndian.Uint32(raw)) > int64(len(raw)-4) {
			return nil, invalid("text %d of tensor %q is longer than the bytes that follow", len(out), clip(t.Name))
		}
		n := binary.LittleEndian.Uint32(raw)
		out = append(out, string(raw[4:4+n]))
		raw = raw[4+n:]
		if int64(len(out)) > count {
			break
		}
	}
	if int64(len(out)) != count {
		return nil, invalid("tensor %q of shape %v needs %d texts", clip(t.Name), t.Shape, count)
	}
	return out, nil
}
