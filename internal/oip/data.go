// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"bytes"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// parseData reads a tensor's values from a JSON list whose syntax has been checked: flat, or nested as the shape says.
func parseData(t Tensor, text []byte, count int64) (any, error) {
	switch t.Type {
	case FP32:
		return list(t, text, count, func(v []byte) (float32, bool) {
			f, ok := parseFloat(v, 32)
			return float32(f), ok
		})
	case FP64:
		return list(t, text, count, func(v []byte) (float64, bool) { return parseFloat(v, 64) })
	case FP16, BF16:
		return list(t, text, count, func(v []byte) (uint16, bool) {
			f, ok := parseFloat(v, 32)
			bits, inRange := halfBits(t.Type, float32(f))
			return bits, ok && inRange
		})
	case Bool:
		return list(t, text, count, func(v []byte) (bool, bool) { return v[0] == 't', v[0] == 't' || v[0] == 'f' })
	case Bytes:
		return list(t, text, count, parseText)
	}
	return parseWhole(t, text, count)
}

func parseWhole(t Tensor, text []byte, count int64) (any, error) {
	switch t.Type {
	case Int64:
		return list(t, text, count, parseInt[int64](64))
	case Int32:
		return list(t, text, count, parseInt[int32](32))
	case Int16:
		return list(t, text, count, parseInt[int16](16))
	case Int8:
		return list(t, text, count, parseInt[int8](8))
	case Uint64:
		return list(t, text, count, parseUint[uint64](64))
	case Uint32:
		return list(t, text, count, parseUint[uint32](32))
	case Uint16:
		return list(t, text, count, parseUint[uint16](16))
	}
	return list(t, text, count, parseUint[uint8](8))
}

func parseText(v []byte) (string, bool) {
	if v[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), true
	}
	s, err := jsontext.AppendUnquote(nil, v)
	return string(s), err == nil
}

// parseFloat reads a finite number; null is a missing one.
func parseFloat(v []byte, bits int) (float64, bool) {
	if v[0] == 'n' {
		return math.NaN(), true
	}
	f, err := strconv.ParseFloat(string(v), bits)
	return f, err == nil
}

func parseInt[T int8 | int16 | int32 | int64](bits int) func([]byte) (T, bool) {
	return func(v []byte) (T, bool) {
		n, err := strconv.ParseInt(string(v), 10, bits)
		return T(n), err == nil
	}
}

func parseUint[T uint8 | uint16 | uint32 | uint64](bits int) func([]byte) (T, bool) {
	return func(v []byte) (T, bool) {
		n, err := strconv.ParseUint(string(v), 10, bits)
		return T(n), err == nil
	}
}

// list walks over valid JSON, so that only structure and values can be wrong.
func list[T any](t Tensor, text []byte, count int64, parse func([]byte) (T, bool)) ([]T, error) {
	out := make([]T, 0, min(count, int64(len(text)/2+1)))
	n := nest{tensor: t}
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r', ',':
			i++
		case '[':
			i++
			if err := n.open(); err != nil {
				return nil, err
			}
		case ']':
			i++
			if err := n.close(); err != nil {
				return nil, err
			}
		default:
			end := i + scalar(text[i:])
			v, ok := parse(text[i:end])
			if !ok {
				return nil, invalid("%s in tensor %q is no value of the datatype %s", clip(text[i:end]), clip(t.Name), t.Type)
			}
			if int64(len(out)) == count {
				return nil, n.length(count, "more")
			}
			if err := n.value(); err != nil {
				return nil, err
			}
			out = append(out, v)
			i = end
		}
	}
	if int64(len(out)) != count {
		return nil, n.length(count, strconv.Itoa(len(out)))
	}
	return out, nil
}

// scalar is the length of the number, string or word at the start of valid JSON.
func scalar(text []byte) int {
	if text[0] != '"' {
		for i, c := range text {
			switch c {
			case ',', ']', ' ', '\t', '\n', '\r', '[', '{':
				return max(i, 1)
			}
		}
		return len(text)
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// nest follows the brackets: values stand either all in the outermost list, or all as deep as the shape has axes, each list as
// long as its axis.
type nest struct {
	tensor Tensor
	depth  int
	leaf   int // depth of the values; 0 before the first
	counts [maxAxes + 1]int64
}

func (n *nest) open() error {
	if n.depth > 0 {
		n.counts[n.depth]++
	}
	n.depth++
	if n.depth > max(len(n.tensor.Shape), 1) {
		return invalid("the data of tensor %q is nested deeper than its shape %v", clip(n.tensor.Name), n.tensor.Shape)
	}
	n.counts[n.depth] = 0
	return nil
}

func (n *nest) value() error {
	if n.leaf == 0 {
		n.leaf = n.depth
	}
	if n.depth != n.leaf || (n.leaf != 1 && n.leaf != len(n.tensor.Shape)) {
		return n.ragged()
	}
	n.counts[n.depth]++
	return nil
}

func (n *nest) close() error {
	count, depth := n.counts[n.depth], n.depth
	n.depth--
	if flat := depth == 1 && n.leaf <= 1; flat {
		return nil // the number of values decides
	}
	if count != n.tensor.Shape[depth-1] {
		return n.ragged()
	}
	return nil
}

func (n *nest) ragged() error {
	return invalid("the data of tensor %q is not nested as its shape %v says", clip(n.tensor.Name), n.tensor.Shape)
}

func (n *nest) length(want int64, got string) error {
	return invalid("tensor %q of shape %v needs %d values, not %s", clip(n.tensor.Name), n.tensor.Shape, want, got)
}
