// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// scale maps values onto coordinates.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 {
	if s.high == s.low {
		return (s.from + s.to) / 2
	}
	return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from)
}

// tick is a place on an axis.
type tick struct {
	value float64
	label string
}

// axis is a range with its ticks.
type axis struct {
	low, high float64
	ticks     []tick
}

// numbers makes an axis with about n ticks at 1, 2 or 5 times a power of ten, wide enough for all values.
func numbers(low, high float64, n int) axis {
	if !(low <= high) {
		low, high = 0, 1
	}
	if low == high {
		pad := math.Max(math.Abs(low)*0.1, 0.5)
		low, high = low-pad, high+pad
	}
	step := niceStep((high - low) / float64(n))
	a := axis{low: math.Floor(low/step+1e-9) * step, high: math.Ceil(high/step-1e-9) * step}
	decimals := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	for i := range int(math.Round((a.high-a.low)/step)) + 1 {
		v := a.low + float64(i)*step
		a.ticks = append(a.ticks, tick{v, tickLabel(v, step, decimals)})
	}
	return a
}

// fitted is an axis that ends a little beyond the values, with the ticks that fit.
func fitted(low, high float64, n int) axis {
	a := numbers(low, high, n)
	if pad := (high - low) * 0.05; pad > 0 {
		a.low, a.high = math.Max(a.low, low-pad), math.Min(a.high, high+pad)
		a.ticks = within(a)
	}
	return a
}

// within are the ticks inside the axis.
func within(a axis) (out []tick) {
	for _, t := range a.ticks {
		if slack := (a.high - a.low) * 1e-9; t.value >= a.low-slack && t.value <= a.high+slack {
			out = append(out, t)
		}
	}
	return out
}

func niceStep(raw float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func tickLabel(v, step float64, decimals int) string {
	if math.Abs(v) < step/1e6 {
		v = 0
	}
	if decimals > 6 || math.Abs(v) >= 1e7 {
		return minus(strconv.FormatFloat(v, 'g', 3, 64))
	}
	return minus(group(strconv.FormatFloat(v, 'f', decimals, 64)))
}

// share is the axis from 0 to 1.
func share() axis {
	a := axis{low: 0, high: 1}
	for i := range 6 {
		v := float64(i) / 5
		a.ticks = append(a.ticks, tick{v, strconv.FormatFloat(v, 'f', 1, 64)})
	}
	return a
}

// Seconds is a moment as a value of a time axis.
func Seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// times makes an axis of moments: ticks at whole years, months, days or hours, whichever gives at most six.
func times(low, high float64) axis {
	if !(low < high) {
		return axis{low: low - 1, high: low + 1, ticks: []tick{{low, time.Unix(int64(low), 0).UTC().Format(time.DateOnly)}}}
	}
	a := axis{low: low, high: high}
	for _, unit := range calendar {
		first := unit.floor(time.Unix(int64(math.Ceil(low)), 0).UTC())
		var found []tick
		for t := first; Seconds(t) <= high && len(found) <= 6; t = unit.next(t) {
			if Seconds(t) >= low {
				found = append(found, tick{Seconds(t), t.Format(unit.format)})
			}
		}
		if len(found) >= 2 && len(found) <= 6 {
			a.ticks = found
			return a
		}
	}
	for _, v := range []float64{low, high} {
		a.ticks = append(a.ticks, tick{v, time.Unix(int64(v), 0).UTC().Format(time.DateOnly)})
	}
	return a
}

type unit struct {
	format string
	floor  func(time.Time) time.Time
	next   func(time.Time) time.Time
}

var calendar = []unit{
	hours(1), hours(3), hours(6), hours(12), days(1), days(2), days(7), days(14),
	months(1), months(2), months(3), months(6), months(12), months(24), months(60), months(120),
}

func hours(n int) unit {
	step := time.Duration(n) * time.Hour
	return unit{"15:04", func(t time.Time) time.Time { return t.Truncate(step) }, func(t time.Time) time.Time { return t.Add(step) }}
}

func days(n int) unit {
	step := time.Duration(n) * 24 * time.Hour
	return unit{"2 Jan", func(t time.Time) time.Time { return t.Truncate(step) }, func(t time.Time) time.Time { return t.Add(step) }}
}

func months(n int) unit {
	format := "Jan 2006"
	if n >= 12 {
		format = "2006"
	}
	floor := func(t time.Time) time.Time {
		m := (t.Year()*12 + int(t.Month()) - 1) / n * n
		return time.Date(m/12, time.Month(m%12+1), 1, 0, 0, 0, 0, time.UTC)
	}
	return unit{format, floor, func(t time.Time) time.Time { return t.AddDate(0, n, 0) }}
}

// Number writes a number for people: whole numbers whole, others with at most four significant digits.
func Number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return minus(group(strconv.FormatFloat(v, 'f', 0, 64)))
	case math.Abs(v) >= 1e4 && math.Abs(v) < 1e15:
		return minus(group(strconv.FormatFloat(v, 'f', 0, 64)))
	case math.Abs(v) < 1e-4 || math.Abs(v) >= 1e15:
		return minus(strconv.FormatFloat(v, 'g', 3, 64))
	}
	decimals := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return minus(trim(strconv.FormatFloat(v, 'f', decimals, 64)))
}

// trim takes away decimals that are zero.
func trim(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

const thin = "\u202f" // narrow no-break space

// group puts a thin space between thousands from 10 000 on.
func group(s string) string {
	sign := ""
	if len(s) > 0 && s[0] == '-' {
		sign, s = "-", s[1:]
	}
	whole := len(s)
	for i := range s {
		if s[i] == '.' {
			whole = i
			break
		}
	}
	if whole < 5 {
		return sign + s
	}
	out := s[:whole%3]
	for i := whole % 3; i < whole; i += 3 {
		if out != "" {
			out += thin
		}
		out += s[i : i+3]
	}
	return sign + out + s[whole:]
}

// minus writes the sign of a negative number as typography does.
func minus(s string) string {
	if len(s) > 1 && s[0] == '-' {
		return "−" + s[1:]
	}
	return s
}

// span is the range of the finite values; ok is false when there are none.
func span(values []float64) (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	return low, high, low <= high
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
