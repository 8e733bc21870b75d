// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Reserved are the columns of every captured row, in this order; other columns must have other names.
var Reserved = []string{"request_id", "row", "time", "version", "status"}

// Record is one request and its answer.
type Record struct {
	// RequestID is the key by which rows are found again.
	RequestID string
	Time      time.Time
	// Version of the model that answered.
	Version int64
	// Status is the HTTP status of the answer.
	Status int
	// Rows is how many rows were asked about; each becomes a line.
	Rows int
	// Columns are the features and then the answers, with distinct names. A version's records always have the same.
	Columns []Column
}

// Column holds one value a row: Texts if set, else Numbers. NaN, and a value beyond the end, is null.
type Column struct {
	Name    string
	Numbers []float64
	Texts   []string
	// Boolean says that numbers are 1 for true and 0 for false.
	Boolean bool
}

// timeFormat sorts as text and is read as a timestamp everywhere.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// least is the least number of bytes of a row.
func (r *Record) least() int64 {
	n := int64(80)
	for _, c := range r.Columns {
		n += int64(len(c.Name)) + 5
	}
	return n
}

// appendLines writes one line a row.
func (r *Record) appendLines(dst []byte) []byte {
	for row := range r.Rows {
		dst = append(dst, `{"request_id":`...)
		dst = appendText(dst, r.RequestID)
		dst = append(dst, `,"row":`...)
		dst = strconv.AppendInt(dst, int64(row), 10)
		dst = append(dst, `,"time":"`...)
		dst = r.Time.UTC().AppendFormat(dst, timeFormat)
		dst = append(dst, `","version":`...)
		dst = strconv.AppendInt(dst, r.Version, 10)
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendInt(dst, int64(r.Status), 10)
		for i := range r.Columns {
			dst = append(appendText(append(dst, ','), r.Columns[i].Name), ':')
			dst = r.Columns[i].appendCell(dst, row)
		}
		dst = append(dst, '}', '\n')
	}
	return dst
}

func (c *Column) appendCell(dst []byte, row int) []byte {
	if c.Texts != nil {
		if row < len(c.Texts) {
			return appendText(dst, c.Texts[row])
		}
		return append(dst, "null"...)
	}
	if row >= len(c.Numbers) || math.IsNaN(c.Numbers[row]) || math.IsInf(c.Numbers[row], 0) {
		return append(dst, "null"...)
	}
	v := c.Numbers[row]
	if c.Boolean {
		return strconv.AppendBool(dst, v != 0)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendText quotes s; what is not UTF-8 becomes the replacement character.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error says that something was replaced
	return dst
}
