// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"math"
)

// Interval is a value with how sure it is. Low and High are nil where nothing is known.
type Interval struct {
	Name      string
	Value     float64
	Low, High *float64
	// Faint draws the row pale: too little is behind it.
	Faint bool
}

// Forest draws one row an interval with its numbers. From and To bound the axis; where both are zero the data does.
// Reference is a vertical line to compare with, nil for none.
func Forest(l Labels, list []Interval, from, to float64, reference *float64) SVG {
	var ends []float64
	var names, values []string
	for _, i := range list {
		ends = append(ends, i.Value)
		for _, end := range []*float64{i.Low, i.High} {
			if end != nil {
				ends = append(ends, *end)
			}
		}
		names, values = append(names, i.Name), append(values, i.text())
	}
	if reference != nil {
		ends = append(ends, *reference)
	}
	low, high, ok := span(ends)
	if !ok {
		low, high = 0, 1
	}
	x := fitted(low, high, 5)
	if from != to {
		x = numbers(from, to, 5)
	}
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d values with their 95 %% intervals, between %s and %s.", len(list), Number(low), Number(high))
	}
	r := newRows(l, x, names, values, nil, 25)
	if reference != nil {
		at := r.x.at(*reference)
		r.line("r", at, r.top, at, r.bottom)
	}
	for i, v := range list {
		r.interval(r.middle(i), v)
	}
	return r.done(l, 640)
}

func (r *rows) interval(y float64, v Interval) {
	if !finite(v.Value) {
		return
	}
	faint := ""
	if v.Faint {
		faint = " f"
	}
	if v.Low != nil && v.High != nil {
		from, to := r.clamp(*v.Low), r.clamp(*v.High)
		r.line("s1 i"+faint, from, y, to, y)
		r.line("s1 i"+faint, from, y-4, from, y+4)
		r.line("s1 i"+faint, to, y-4, to, y+4)
	}
	r.mark(0, "s1 b"+faint, r.clamp(v.Value), y, 4.5, v.Name+": "+v.text())
}

// clamp keeps a mark inside the plot when the axis was given.
func (r *rows) clamp(v float64) float64 { return math.Min(math.Max(r.x.at(v), r.left), r.right) }

func (i Interval) text() string {
	if !finite(i.Value) {
		return "–"
	}
	if i.Low == nil || i.High == nil {
		return Fixed(i.Value)
	}
	return fmt.Sprintf("%s (%s to %s)", Fixed(i.Value), Fixed(*i.Low), Fixed(*i.High))
}

// Fixed writes a number in a column of numbers: two decimals below 10, fewer above.
func Fixed(v float64) string {
	switch size := math.Abs(v); {
	case !finite(v):
		return "–"
	case size < 9.995:
		return minus(trimMinusZero(fmt.Sprintf("%.2f", v)))
	case size < 99.95:
		return minus(fmt.Sprintf("%.1f", v))
	}
	return Number(math.Round(v))
}

func trimMinusZero(s string) string {
	if s == "-0.00" {
		return "0.00"
	}
	return s
}

// Importance is a feature's mean effect and its standard deviation.
type Importance struct {
	Name     string
	Drop, SD float64
}

// Importances draws lying bars with the standard deviation as whiskers, in the order given.
func Importances(l Labels, list []Importance) SVG {
	ends := []float64{0}
	var names []string
	for _, i := range list {
		ends = append(ends, i.Drop-i.SD, i.Drop+i.SD)
		names = append(names, i.Name)
	}
	low, high, _ := span(ends)
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d features; the largest drop is %s.", len(list), Number(high))
	}
	r := newRows(l, fitted(low, high, 6), names, nil, nil, 24)
	for i, f := range list {
		if !finite(f.Drop) {
			continue
		}
		y := r.middle(i)
		from, to := r.x.at(math.Min(f.Drop, 0)), r.x.at(math.Max(f.Drop, 0))
		r.rect("s1 b", from, y-7, math.Max(to-from, 1), 14, fmt.Sprintf("%s: %s (standard deviation %s)", f.Name, Number(f.Drop), Number(f.SD)))
		if f.SD > 0 {
			a, b := r.x.at(f.Drop-f.SD), r.x.at(f.Drop+f.SD)
			r.line("x", a, y, b, y)
			r.line("x", a, y-3.5, a, y+3.5)
			r.line("x", b, y-3.5, b, y+3.5)
		}
	}
	at := r.x.at(0)
	r.line("x", at, r.top, at, r.bottom)
	return r.done(l, 620)
}
