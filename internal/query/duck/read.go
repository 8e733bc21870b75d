// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

const (
	defaultRows = 1000
	maxRows     = 100000
)

// Read answers a person's question: at most p.Limit rows, written to w as JSON lines, CSV or a table for the eye.
// A mistake in the statement is Invalid and wraps a *query.Problem.
func Read(ctx context.Context, p query.ReadParams, inputs string, w io.Writer) error {
	if p.Limit <= 0 {
		p.Limit = defaultRows
	}
	p.Limit = min(p.Limit, maxRows)
	e, err := Open(ctx, Options{Limits: p.Limits, Folders: folders(inputs, "", p.Tables)})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Attach(ctx, p.Workspace, inputs, p.Tables); err != nil {
		return err
	}
	checked, err := e.prepare(ctx, p.SQL, p.Workspace, p.Tables)
	if err != nil {
		return err
	}
	print, err := printer(p.Format, w)
	if err != nil {
		return err
	}
	err = e.print(ctx, p, checked.Columns, print)
	var raw *Raw
	if errors.As(err, &raw) {
		return statementError(err, p.SQL)
	}
	return err
}

// rowPrinter writes a header once and then rows; end is told whether rows were left out.
type rowPrinter struct {
	header func(cols []query.Column) error
	row    func(values []any) error
	end    func(rows int64, more bool) error
}

// print asks for one row more than the limit, to know whether there are more.
func (e *Engine) print(ctx context.Context, p query.ReadParams, cols []query.Column, out rowPrinter) error {
	if err := out.header(cols); err != nil {
		return err
	}
	values := make([]any, len(cols))
	into := make([]any, len(cols))
	for i := range values {
		into[i] = &values[i]
	}
	var n int64
	fields := make([]string, len(cols))
	for i, c := range cols {
		fields[i] = field(i+1, c.Type, p.Format == "json")
	}
	statement := fmt.Sprintf("SELECT %s FROM (\n%s\n) LIMIT %d", strings.Join(fields, ", "), trimEnd(p.SQL), p.Limit+1)
	err := e.Each(ctx, statement, func(scan func(...any) error) error {
		if n++; n > p.Limit {
			return nil
		}
		if err := scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			values[i] = printable(v, cols[i].Type)
			if text, ok := v.(string); ok && p.Format == "json" && !isPlain(cols[i].Type) {
				values[i] = json.RawMessage(text)
			}
		}
		return out.row(values)
	})
	if err != nil {
		return err
	}
	return out.end(min(n, p.Limit), n > p.Limit)
}

// isPlain tells the types that the driver gives as a value of Go with one obvious text.
func isPlain(typ string) bool {
	switch typ {
	case "VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE",
		"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE":
		return true
	}
	return false
}

// field selects the column at a position; of other than plain types DuckDB writes the text.
func field(position int, typ string, asJSON bool) string {
	switch {
	case isPlain(typ):
		return fmt.Sprintf("#%d", position)
	case asJSON:
		return fmt.Sprintf("CAST(to_json(#%d) AS VARCHAR)", position)
	}
	return fmt.Sprintf("CAST(#%d AS VARCHAR)", position)
}

// printable turns what the driver gives into something JSON can hold.
func printable(v any, typ string) any {
	switch x := v.(type) {
	case time.Time:
		if typ == "DATE" {
			return x.Format(time.DateOnly)
		}
		return x.UTC().Format("2006-01-02T15:04:05.999999Z")
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprint(x)
		}
	case float32:
		return printable(float64(x), typ)
	}
	return v
}

func printer(format string, w io.Writer) (rowPrinter, error) {
	switch format {
	case "json":
		return jsonPrinter(w), nil
	case "csv":
		return csvPrinter(w), nil
	case "", "table":
		return tablePrinter(w), nil
	}
	return rowPrinter{}, fault.New(fault.Invalid, "print", "the format %q is not one of table, json, csv", format)
}

// jsonPrinter writes one object a line, keys in the order of the columns.
func jsonPrinter(w io.Writer) rowPrinter {
	var keys [][]byte
	return rowPrinter{
		header: func(cols []query.Column) error {
			for _, c := range cols {
				key, err := json.Marshal(c.Name)
				if err != nil {
					return err
				}
				keys = append(keys, key)
			}
			return nil
		},
		row: func(values []any) error {
			line := []byte{'{'}
			for i, v := range values {
				text, err := json.Marshal(v)
				if err != nil {
					text, _ = json.Marshal(fmt.Sprint(v))
				}
				if i > 0 {
					line = append(line, ',')
				}
				line = append(append(append(line, keys[i]...), ':'), text...)
			}
			_, err := w.Write(append(line, '}', '\n'))
			return err
		},
		end: func(int64, bool) error { return nil },
	}
}

func csvPrinter(w io.Writer) rowPrinter {
	out := csv.NewWriter(w)
	return rowPrinter{
		header: func(cols []query.Column) error { return out.Write(columnNames(cols)) },
		row: func(values []any) error {
			fields := make([]string, len(values))
			for i, v := range values {
				if v != nil {
					fields[i] = fmt.Sprint(v)
				}
			}
			return out.Write(fields)
		},
		end: func(int64, bool) error { out.Flush(); return out.Error() },
	}
}

func columnNames(cols []query.Column) []string {
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.Name
	}
	return names
}

func tablePrinter(w io.Writer) rowPrinter {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	return rowPrinter{
		header: func(cols []query.Column) error {
			_, err := fmt.Fprintln(out, strings.Join(columnNames(cols), "\t"))
			return err
		},
		row: func(values []any) error {
			cells := make([]string, len(values))
			for i, v := range values {
				cells[i] = cell(v)
			}
			_, err := fmt.Fprintln(out, strings.Join(cells, "\t"))
			return err
		},
		end: func(rows int64, more bool) error {
			note := fmt.Sprintf("(%d rows)", rows)
			if more {
				note = fmt.Sprintf("(the first %d rows; raise the limit for more)", rows)
			}
			if err := out.Flush(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(w, note)
			return err
		},
	}
}

// cell keeps control characters of the data away from the terminal.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprintf("%.6g", x)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, fmt.Sprint(v))
}
