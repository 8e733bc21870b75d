// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/chart"
)

const maxSeries = 12 // more cannot be told apart

// drawing is an answer with the columns that a figure takes from it.
type drawing struct {
	Answer
	Figure
	line int
	x    int
	y    []int
	by   int // -1 for none
}

// choose finds the figure's columns.
func (s Statement) choose(a Answer) (drawing, error) {
	d := drawing{Answer: a, Figure: s.Figure, line: s.Line, by: -1}
	hint := "the answer has the columns " + strings.Join(a.Columns, ", ")
	find := func(attribute, name string) (int, error) {
		if i := a.column(name); i >= 0 {
			return i, nil
		}
		return -1, wrong(s.Line, hint, "%s=%s: the answer has no such column", attribute, name)
	}
	var err error
	if d.X != "" {
		if d.x, err = find("x", d.X); err != nil {
			return d, err
		}
	}
	if d.By != "" {
		if d.by, err = find("by", d.By); err != nil {
			return d, err
		}
	}
	for _, name := range d.Figure.Y {
		i, err := find("y", name)
		if err != nil {
			return d, err
		}
		d.y = append(d.y, i)
	}
	d.complete()
	return d, d.check(hint)
}

// complete chooses what the author left open.
func (d *drawing) complete() {
	if d.X == "" && d.by == d.x && len(d.Columns) > 1 {
		d.x = 1
	}
	if d.Kind == Histogram {
		return
	}
	for i := range d.Columns {
		if len(d.Figure.Y) == 0 && i != d.x && i != d.by && d.numeric(i) {
			d.y = append(d.y, i)
		}
	}
	if len(d.Figure.Y) == 0 && len(d.y) > 1 && (d.by >= 0 || d.Kind == Scatter) {
		d.y = d.y[:1]
	}
}

func (d *drawing) check(hint string) error {
	if d.Kind != Histogram && len(d.y) == 0 {
		return wrong(d.line, hint, "chart=%s needs a column of numbers for y", d.Kind)
	}
	for _, i := range d.y {
		if !d.numeric(i) {
			return wrong(d.line, "convert it in the SQL, for example "+d.Columns[i]+"::double", "the column %s holds other things than numbers", d.Columns[i])
		}
	}
	if d.Kind != Bar && !d.numeric(d.x) && (d.Kind == Histogram || !d.temporal(d.x)) {
		return wrong(d.line, hint, "x=%s: chart=%s needs numbers there%s", d.Columns[d.x], d.Kind,
			map[bool]string{true: "", false: " or times"}[d.Kind == Histogram])
	}
	if n := len(d.groups()); n > maxSeries {
		return wrong(d.line, "keep the few that matter with a WHERE", "by=%s makes %d series; at most %d can be told apart", d.By, n, maxSeries)
	}
	return nil
}

// draw makes the figure of a chart.
func (d *drawing) draw() (chart.SVG, error) {
	l := chart.Labels{Title: d.Title, X: d.XLabel, Y: d.YLabel}
	if l.Title == "" {
		l.Title = string(d.Kind) + " chart of " + d.Columns[d.x]
	}
	if l.X == "" {
		l.X = words(d.Columns[d.x])
	}
	if l.Y == "" && len(d.y) == 1 {
		l.Y = words(d.Columns[d.y[0]])
	}
	moments := d.temporal(d.x)
	switch d.Kind {
	case Bar:
		return d.bars(l)
	case Line:
		return chart.Lines(l, d.series(), moments), nil
	case Scatter:
		return chart.Scatter(l, d.series(), moments), nil
	}
	var samples []chart.Sample
	for _, g := range d.groups() {
		s := chart.Sample{Name: g}
		for _, row := range d.Rows {
			if d.group(row) == g {
				f, _ := number(row[d.x])
				s.Values = append(s.Values, f)
			}
		}
		samples = append(samples, s)
	}
	return chart.Histogram(l, samples, d.Bins), nil
}

// words makes a column's name readable.
func words(column string) string { return strings.ReplaceAll(column, "_", " ") }

// groups are the values of By in the order of their appearance; one nameless group without By.
func (d *drawing) groups() []string {
	if d.by < 0 {
		return []string{""}
	}
	var out []string
	seen := map[string]bool{}
	for _, row := range d.Rows {
		if g := d.group(row); !seen[g] {
			seen[g] = true
			out = append(out, g)
		}
	}
	return out
}

func (d *drawing) group(row []any) string {
	if d.by < 0 {
		return ""
	}
	return cellText(row[d.by], -1)
}

// names are the series' names: By's values, or the columns of Y.
func (d *drawing) names() []string {
	if d.by >= 0 {
		return d.groups()
	}
	var out []string
	for _, i := range d.y {
		out = append(out, words(d.Columns[i]))
	}
	return out
}

const maxBars = 200

func (d *drawing) bars(l chart.Labels) (chart.SVG, error) {
	names := d.names()
	at := map[string]int{}
	var groups []chart.Group
	for _, row := range d.Rows {
		x := cellText(row[d.x], -1)
		i, ok := at[x]
		if !ok {
			i = len(groups)
			at[x] = i
			groups = append(groups, chart.Group{Name: x, Values: slices.Repeat([]float64{math.NaN()}, len(names))})
		}
		if d.by >= 0 {
			f, _ := number(row[d.y[0]])
			groups[i].Values[slices.Index(names, d.group(row))] = f
			continue
		}
		for s, column := range d.y {
			groups[i].Values[s], _ = number(row[column])
		}
	}
	if len(groups)*len(names) > maxBars {
		return "", wrong(d.line, "aggregate or limit in the SQL", "%d bars are too many to read; at most %d are drawn", len(groups)*len(names), maxBars)
	}
	return chart.Bars(l, names, groups), nil
}

// series are the points of lines and scatters.
func (d *drawing) series() []chart.Series {
	var out []chart.Series
	for s, name := range d.names() {
		one := chart.Series{Name: name}
		for _, row := range d.Rows {
			column := d.y[0]
			if d.by < 0 {
				column = d.y[s]
			} else if d.group(row) != name {
				continue
			}
			p := chart.Point{X: math.NaN(), Label: cellText(row[d.x], -1) + ", " + cellText(row[column], -1)}
			if t, ok := moment(row[d.x]); ok {
				p.X = chart.Seconds(t)
			} else if f, ok := number(row[d.x]); ok {
				p.X = f
			}
			p.Y, _ = number(row[column])
			one.Points = append(one.Points, p)
		}
		out = append(out, one)
	}
	return out
}
