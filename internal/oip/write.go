// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendResponse writes an answer behind dst. Outputs for which binary is true become raw bytes behind the JSON; then header is
// the JSON's length, for [HeaderLength], else 0. Errors: Invalid for numbers that are not finite and texts that are not
// UTF-8 in JSON.
func AppendResponse(dst []byte, a *Response, binary func(output string) bool) (message []byte, header int, err error) {
	start := len(dst)
	dst = append(dst, `{"model_name":`...)
	dst = appendText(dst, a.Model)
	dst = append(dst, `,"model_version":`...)
	dst = appendText(dst, a.Version)
	if a.ID != "" {
		dst = append(dst, `,"id":`...)
		dst = appendText(dst, a.ID)
	}
	dst = append(dst, `,"outputs":[`...)
	var raw []byte
	isRaw := false
	for i, t := range a.Outputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHead(dst, t)
		if binary(t.Name) {
			before := len(raw)
			isRaw, raw = true, AppendRaw(raw, t)
			dst = append(dst, `,"parameters":{"binary_data_size":`...)
			dst = strconv.AppendInt(dst, int64(len(raw)-before), 10)
			dst = append(dst, `}}`...)
			continue
		}
		dst = append(dst, `,"data":[`...)
		if dst, err = appendData(dst, t); err != nil {
			return nil, 0, err
		}
		dst = append(dst, `]}`...)
	}
	dst = append(dst, `]}`...)
	if isRaw {
		header = len(dst) - start
	}
	return append(dst, raw...), header, nil
}

func appendHead(dst []byte, t Tensor) []byte {
	dst = append(dst, `{"name":`...)
	dst = appendText(dst, t.Name)
	dst = append(dst, `,"datatype":"`...)
	dst = append(dst, t.Type...)
	dst = append(dst, `","shape":[`...)
	for i, size := range t.Shape {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, size, 10)
	}
	return append(dst, ']')
}

func appendText(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil { // not UTF-8: AppendQuote has put replacement characters
		return out
	}
	return out
}

// appendData writes the values, separated by commas.
func appendData(dst []byte, t Tensor) ([]byte, error) {
	switch d := t.Data.(type) {
	case []float32:
		return appendFloats(dst, t, d, 32)
	case []float64:
		return appendFloats(dst, t, d, 64)
	case []int64:
		return appendInts(dst, d), nil
	case []int32:
		return appendInts(dst, d), nil
	case []int16:
		return appendInts(dst, d), nil
	case []int8:
		return appendInts(dst, d), nil
	case []uint64:
		return appendUints(dst, d), nil
	case []uint32:
		return appendUints(dst, d), nil
	case []uint16:
		return appendShorts(dst, t, d)
	case []uint8:
		return appendUints(dst, d), nil
	case []bool:
		for i, v := range d {
			dst = strconv.AppendBool(comma(dst, i), v)
		}
		return dst, nil
	case []string:
		return appendTexts(dst, t, d)
	}
	return nil, invalid("output %q is of type %s, which cannot be sent", t.Name, t.Type)
}

func appendTexts(dst []byte, t Tensor, texts []string) ([]byte, error) {
	for i, v := range texts {
		if !utf8.ValidString(v) {
			return nil, invalid("text %d of output %q is not UTF-8", i, t.Name).WithHint("ask for it as binary data")
		}
		dst = appendText(comma(dst, i), v)
	}
	return dst, nil
}

// appendShorts writes 16-bit floats or UINT16.
func appendShorts(dst []byte, t Tensor, d []uint16) ([]byte, error) {
	if t.Type == Uint16 {
		return appendUints(dst, d), nil
	}
	wide := make([]float32, len(d))
	for i, v := range d {
		wide[i] = halfValue(t.Type, v)
	}
	return appendFloats(dst, t, wide, 32)
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendFloats[T float32 | float64](dst []byte, t Tensor, values []T, bits int) ([]byte, error) {
	for i, v := range values {
		f := float64(v)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, invalid("output %q is %v at position %d: the model cannot answer this", t.Name, f, i)
		}
		dst = strconv.AppendFloat(comma(dst, i), f, 'g', -1, bits)
	}
	return dst, nil
}

func appendInts[T int8 | int16 | int32 | int64](dst []byte, values []T) []byte {
	for i, v := range values {
		dst = strconv.AppendInt(comma(dst, i), int64(v), 10)
	}
	return dst
}

func appendUints[T uint8 | uint16 | uint32 | uint64](dst []byte, values []T) []byte {
	for i, v := range values {
		dst = strconv.AppendUint(comma(dst, i), uint64(v), 10)
	}
	return dst
}

// AppendRaw writes a tensor's values as little-endian bytes.
func AppendRaw(dst []byte, t Tensor) []byte {
	if texts, ok := t.Data.([]string); ok {
		for _, s := range texts {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
			dst = append(dst, s...)
		}
		return dst
	}
	dst, err := binary.Append(dst, binary.LittleEndian, t.Data)
	if err != nil { // only for a Data that is none of Tensor's types
		panic("oip: " + err.Error())
	}
	return dst
}
