// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Kind is how an answer is shown.
type Kind string

// The kinds.
const (
	Table     Kind = "table"     // all columns; the default
	Value     Kind = "value"     // one row, one column, written large
	Bar       Kind = "bar"       // x names groups, y are the bars
	Line      Kind = "line"      // x is a number or a time
	Scatter   Kind = "scatter"   // x and y are numbers, x also a time
	Histogram Kind = "histogram" // x is the number to count
)

var kinds = []string{string(Table), string(Value), string(Bar), string(Line), string(Scatter), string(Histogram)}

// Figure says how to show an answer; the attributes of a block fill it.
type Figure struct {
	Kind Kind
	// X is the column of the horizontal axis. Default: the first column.
	X string
	// Y are the columns of the vertical axis. Default: the first column of numbers that is not X or By; of bars and lines
	// without By all such columns.
	Y []string
	// By is the column whose values make the series; empty for none.
	By string
	// Title is the caption, XLabel and YLabel name the axes; default: the columns' names. Unit stands behind a value.
	Title, XLabel, YLabel, Unit string
	// Bins of a histogram; 0 chooses.
	Bins int
	// Hide leaves out the SQL below the figure.
	Hide bool
}

var attributes = []string{"chart", "x", "y", "by", "title", "xlabel", "ylabel", "unit", "bins", "sql"}

const attributeHint = `write them as {chart=bar x=site y=patients title="Patients by site"}; values with spaces or signs need quotes`

// parseFigure reads the attributes behind "sql" on a block's first line.
func parseFigure(info string, line int) (Figure, error) {
	f := Figure{Kind: Table}
	info = strings.TrimSpace(info)
	if info == "" {
		return f, nil
	}
	reader := text.NewReader([]byte(info))
	found, ok := parser.ParseAttributes(reader)
	if rest, _ := reader.PeekLine(); !ok || strings.TrimSpace(string(rest)) != "" {
		return f, wrong(line, attributeHint, "the attributes %s cannot be read", info)
	}
	for _, a := range found {
		if err := f.set(string(a.Name), a.Value); err != nil {
			return f, wrong(line, attributeHint, "%v", err)
		}
	}
	return f, f.check(line)
}

func (f *Figure) set(name string, value any) error {
	if name == "bins" {
		n, ok := value.(float64)
		if !ok || n != float64(int(n)) || n < 1 || n > 200 {
			return fmt.Errorf("bins is a whole number from 1 to 200, not %s", attributeText(value))
		}
		f.Bins = int(n)
		return nil
	}
	s := attributeText(value)
	texts := map[string]*string{
		"chart": (*string)(&f.Kind), "x": &f.X, "by": &f.By, "title": &f.Title, "xlabel": &f.XLabel, "ylabel": &f.YLabel, "unit": &f.Unit,
	}
	if at, ok := texts[name]; ok {
		*at = s
		return nil
	}
	switch {
	case name == "y":
		f.Y = names(s)
	case name == "sql" && s == "hide":
		f.Hide = true
	case name == "sql":
		return fmt.Errorf("sql is %q; the only choice is sql=hide", s)
	default:
		return fmt.Errorf("there is no attribute %q; there are %s", name, strings.Join(attributes, ", "))
	}
	return nil
}

func attributeText(value any) string {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case float64:
		return fmt.Sprint(v)
	case []any:
		var parts []string
		for _, p := range v {
			parts = append(parts, attributeText(p))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

func names(list string) []string {
	var out []string
	for _, n := range strings.Split(list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// needless lists the attributes that mean nothing to a kind.
func (f *Figure) needless() string {
	plain := f.Kind == Table || f.Kind == Value
	for _, a := range []struct {
		name string
		set  bool
		use  bool
	}{
		{"x", f.X != "", !plain}, {"y", len(f.Y) > 0, !plain && f.Kind != Histogram}, {"by", f.By != "", !plain},
		{"xlabel", f.XLabel != "", !plain}, {"ylabel", f.YLabel != "", !plain},
		{"unit", f.Unit != "", f.Kind == Value}, {"bins", f.Bins > 0, f.Kind == Histogram},
	} {
		if a.set && !a.use {
			return a.name
		}
	}
	return ""
}

func (f *Figure) check(line int) error {
	switch {
	case !slices.Contains(kinds, string(f.Kind)):
		return wrong(line, "", "there is no chart %q; there are %s", f.Kind, strings.Join(kinds, ", "))
	case f.needless() != "":
		return wrong(line, "", "%s means nothing to chart=%s", f.needless(), f.Kind)
	case f.By != "" && len(f.Y) > 1:
		return wrong(line, "name one y, or leave out by", "by makes one series of each value, and y names %d columns", len(f.Y))
	case f.Kind == Scatter && len(f.Y) > 1:
		return wrong(line, "name one y, or use by", "a scatter has one y")
	}
	return nil
}
