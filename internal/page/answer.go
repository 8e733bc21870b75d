// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/chart"
	"fathom.dev/fathom/internal/fault"
)

// Bounds of an answer. Ask for one row more to know that there are more.
const (
	MaxRows      = 50_000 // of a chart: draw aggregates beyond
	MaxTableRows = 500    // of a table; the rest is left out and the page says so
)

// Answer is what a statement answered.
type Answer struct {
	Columns []string
	// Rows hold nil, bool, string or json.Number for each column.
	Rows [][]any
}

// ReadAnswer reads one JSON object a line, as `fathom-step sql` prints them; the keys' order is the columns'. Of an answer
// without rows the columns are unknown.
func ReadAnswer(r io.Reader) (Answer, error) {
	var a Answer
	d := json.NewDecoder(r)
	d.UseNumber()
	for {
		row, names, err := readRow(d)
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, fault.New(fault.Internal, "read answer", "%v", err)
		}
		if a.Columns == nil {
			a.Columns = names
		}
		if len(names) != len(a.Columns) {
			return a, fault.New(fault.Internal, "read answer", "rows of different length")
		}
		a.Rows = append(a.Rows, row)
	}
}

// readRow reads one object, in the order of its keys.
func readRow(d *json.Decoder) (row []any, names []string, err error) {
	t, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	if t != json.Delim('{') {
		return nil, nil, fmt.Errorf("expected an object, got %v", t)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		cell, err := readCell(value)
		if err != nil {
			return nil, nil, err
		}
		name, _ := key.(string)
		row, names = append(row, cell), append(names, name)
	}
	if _, err = d.Token(); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return row, names, err
}

// readCell keeps lists and structures as their JSON text.
func readCell(value json.RawMessage) (any, error) {
	if len(value) > 0 && (value[0] == '[' || value[0] == '{') {
		return string(value), nil
	}
	d := json.NewDecoder(strings.NewReader(string(value)))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// column finds a column by its name, as SQL does without regard to case; -1 when there is none.
func (a Answer) column(name string) int {
	for i, c := range a.Columns {
		if strings.EqualFold(c, name) {
			return i
		}
	}
	return -1
}

// numeric tells a column that holds numbers and nothing else but missing values.
func (a Answer) numeric(column int) bool {
	any := false
	for _, row := range a.Rows {
		switch row[column].(type) {
		case nil:
		case json.Number:
			any = true
		default:
			if _, ok := number(row[column]); !ok {
				return false
			}
		}
	}
	return any
}

// temporal tells a column of dates or times.
func (a Answer) temporal(column int) bool {
	any := false
	for _, row := range a.Rows {
		if row[column] == nil {
			continue
		}
		if _, ok := moment(row[column]); !ok {
			return false
		}
		any = true
	}
	return any
}

// number is the value of a number; not-a-numbers and infinities, which the engine writes as text, are NaN.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case nil:
		return math.NaN(), true
	case json.Number:
		f, err := x.Float64()
		return f, err == nil
	case string:
		if x == "NaN" || x == "+Inf" || x == "-Inf" {
			return math.NaN(), true
		}
	}
	return math.NaN(), false
}

func moment(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// cellText writes a cell of a table; decimals is the column's, -1 for whole numbers and texts.
func cellText(v any, decimals int) string {
	switch x := v.(type) {
	case nil:
		return "–"
	case bool:
		return map[bool]string{true: "yes", false: "no"}[x]
	case json.Number:
		f, err := x.Float64()
		if err != nil || decimals < 0 {
			return strings.Replace(x.String(), "-", "−", 1)
		}
		return strings.Replace(strconv.FormatFloat(f, 'f', decimals, 64), "-", "−", 1)
	case string:
		if t, ok := strings.CutSuffix(x, "T00:00:00Z"); ok {
			return t
		}
		return x
	}
	return fmt.Sprint(v)
}

// decimals gives all numbers of a column as many decimals: four significant digits of the largest, but no more than the
// engine gave.
func (a Answer) decimals(column int) int {
	largest, given := 0.0, 0
	for _, row := range a.Rows {
		f, ok := number(row[column])
		if !ok || math.IsNaN(f) {
			continue
		}
		if f != math.Trunc(f) {
			given = max(given, written(row[column]))
		}
		largest = math.Max(largest, math.Abs(f))
	}
	if given == 0 {
		return -1
	}
	return min(8, given, max(0, 3-int(math.Floor(math.Log10(largest)))))
}

// written counts the decimals of a number's text.
func written(v any) int {
	text := fmt.Sprint(v)
	if strings.ContainsAny(text, "eE") {
		return 8
	}
	_, after, _ := strings.Cut(text, ".")
	return len(after)
}

// valueText writes the one number of a value.
func valueText(v any) string {
	if f, ok := number(v); ok {
		return chart.Number(f)
	}
	return cellText(v, -1)
}
