// SPDX-License-Identifier: Apache-2.0

package table

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
)

// The types of columns.
const (
	Number  = "number"
	Integer = "integer"
	Boolean = "boolean"
	Text    = "text"
	Time    = "time"
	Other   = "other" // lists, structures, bytes: no values to evaluate
)

// Type is a column's type, "" if there is none of that name.
func (t *Table) Type(name string) string {
	i := slices.Index(t.Names(), name)
	if i < 0 {
		return ""
	}
	return typeOf(t.fields[i].Type)
}

func typeOf(kind arrow.DataType) string {
	switch kind.ID() {
	case arrow.DICTIONARY:
		return typeOf(kind.(*arrow.DictionaryType).ValueType)
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL32, arrow.DECIMAL64, arrow.DECIMAL128, arrow.DECIMAL256:
		return Number
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return Integer
	case arrow.BOOL:
		return Boolean
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return Text
	case arrow.DATE32, arrow.DATE64, arrow.TIMESTAMP:
		return Time
	case arrow.NULL:
		return Number
	}
	return Other
}

// Column converts a column. Errors: NotFound for an unknown name, told with the nearest known one; Invalid for a type that has
// no values to evaluate.
func (t *Table) Column(name string) (evaluate.Column, error) {
	i := slices.Index(t.Names(), name)
	if i < 0 {
		return evaluate.Column{}, t.unknown(name)
	}
	c := evaluate.Column{Feature: evaluate.Feature{Name: name, Type: typeOf(t.fields[i].Type)}}
	values := t.columns[i]
	var err error
	switch c.Type {
	case Other:
		return c, fault.New(fault.Invalid, "table", "column %q is of type %s, which cannot be evaluated", name, t.fields[i].Type)
	case Text:
		c.Texts, err = texts(values)
	default:
		c.Numbers, err = numbers(values)
	}
	return c, fault.Wrap(fault.Internal, "table column "+name, err)
}

// unknown names the column most like a wrong name.
func (t *Table) unknown(name string) error {
	e := fault.New(fault.NotFound, "table", "there is no column %q", name)
	if near := evaluate.Nearest(name, t.Names()); near != "" {
		return e.WithHint("did you mean %q?", near)
	}
	return e.WithHint("columns are %v", t.Names())
}

func texts(values arrow.Array) ([]string, error) {
	out := make([]string, values.Len())
	for i := range out {
		if values.IsNull(i) {
			continue
		}
		switch v := values.(type) {
		case *array.String:
			out[i] = v.Value(i)
		case *array.LargeString:
			out[i] = v.Value(i)
		default:
			out[i] = values.ValueStr(i)
		}
	}
	return out, nil
}

// numeric is an array of Go numbers.
type numeric[T any] interface {
	arrow.Array
	Value(i int) T
}

func numbers(values arrow.Array) ([]float64, error) {
	switch v := values.(type) {
	case *array.Float64:
		return convert[float64](v), nil
	case *array.Float32:
		return convert[float32](v), nil
	case *array.Int64:
		return convert[int64](v), nil
	case *array.Int32:
		return convert[int32](v), nil
	case *array.Int16:
		return convert[int16](v), nil
	case *array.Int8:
		return convert[int8](v), nil
	case *array.Uint64:
		return convert[uint64](v), nil
	case *array.Uint32:
		return convert[uint32](v), nil
	case *array.Uint16:
		return convert[uint16](v), nil
	case *array.Uint8:
		return convert[uint8](v), nil
	}
	return rareNumbers(values)
}

func rareNumbers(values arrow.Array) ([]float64, error) {
	each := func(f func(i int) float64) []float64 {
		out := make([]float64, values.Len())
		for i := range out {
			out[i] = math.NaN()
			if values.IsValid(i) {
				out[i] = f(i)
			}
		}
		return out
	}
	switch v := values.(type) {
	case *array.Null:
		return each(func(int) float64 { return math.NaN() }), nil
	case *array.Boolean:
		return each(func(i int) float64 {
			if v.Value(i) {
				return 1
			}
			return 0
		}), nil
	case *array.Float16:
		return each(func(i int) float64 { return float64(v.Value(i).Float32()) }), nil
	case *array.Decimal128:
		scale := v.DataType().(*arrow.Decimal128Type).Scale
		return each(func(i int) float64 { return v.Value(i).ToFloat64(scale) }), nil
	case *array.Decimal256:
		scale := v.DataType().(*arrow.Decimal256Type).Scale
		return each(func(i int) float64 { return v.Value(i).ToFloat64(scale) }), nil
	case *array.Date32:
		return each(func(i int) float64 { return float64(v.Value(i).ToTime().Unix()) }), nil
	case *array.Date64:
		return each(func(i int) float64 { return float64(v.Value(i).ToTime().Unix()) }), nil
	case *array.Timestamp:
		unit := v.DataType().(*arrow.TimestampType).Unit
		return each(func(i int) float64 { return float64(v.Value(i).ToTime(unit).UnixNano()) / 1e9 }), nil
	case *array.Dictionary:
		all, err := numbers(v.Dictionary())
		return each(func(i int) float64 { return all[v.GetValueIndex(i)] }), err
	}
	return nil, fault.New(fault.Invalid, "table", "values of type %s are no numbers", values.DataType())
}

func convert[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](values numeric[T]) []float64 {
	out := make([]float64, values.Len())
	for i := range out {
		if values.IsNull(i) {
			out[i] = math.NaN()
		} else {
			out[i] = float64(values.Value(i))
		}
	}
	return out
}

// Integers are whole numbers to write, beside evaluate.Column's texts and float64 numbers.
type Integers struct {
	Name   string
	Values []int64
}

// WriteColumns stores new columns as a Parquet file: first the whole numbers, then the others.
func WriteColumns(path string, whole []Integers, others []evaluate.Column) error {
	var fields []arrow.Field
	var columns []arrow.Array
	rows := 0
	for _, c := range whole {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.AppendValues(c.Values, nil)
		fields, columns = append(fields, arrow.Field{Name: c.Name, Type: arrow.PrimitiveTypes.Int64}), append(columns, b.NewArray())
		rows = len(c.Values)
	}
	for _, c := range others {
		rows = c.Len()
		if c.IsText() {
			b := array.NewStringBuilder(memory.DefaultAllocator)
			b.AppendValues(c.Texts, nil)
			fields, columns = append(fields, arrow.Field{Name: c.Name, Type: arrow.BinaryTypes.String}), append(columns, b.NewArray())
			continue
		}
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.AppendValues(c.Numbers, nil)
		fields, columns = append(fields, arrow.Field{Name: c.Name, Type: arrow.PrimitiveTypes.Float64}), append(columns, b.NewArray())
	}
	return write(path, arrow.NewSchema(fields, nil), columns, rows)
}
