// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"slices"
	"sort"
	"strconv"

	"gonum.org/v1/gonum/stat"
)

// quartiles replaces a slice column's values where there are more than this many numbers.
const quartilesFrom = 10

// SliceBy evaluates the rows of each value of a column on their own, most rows first; column has the rows of p. A numeric
// column with more than 10 values is cut at its quartiles; beyond [MaxSliceValues] values the rarest become one, "(other)".
func SliceBy(p Predictions, column Column, threshold float64, names []string, how Resampling) ([]Slice, error) {
	labels := sliceLabels(column)
	rowsOf := map[string][]int{}
	for i, label := range labels {
		rowsOf[label] = append(rowsOf[label], i)
	}
	values := make([]string, 0, len(rowsOf))
	for value := range rowsOf {
		values = append(values, value)
	}
	sort.Slice(values, func(a, b int) bool {
		if x, y := len(rowsOf[values[a]]), len(rowsOf[values[b]]); x != y {
			return x > y
		}
		return values[a] < values[b]
	})
	if len(values) > MaxSliceValues {
		for _, rare := range values[MaxSliceValues-1:] {
			rowsOf["(other)"] = append(rowsOf["(other)"], rowsOf[rare]...)
		}
		values = append(values[:MaxSliceValues-1], "(other)")
		slices.Sort(rowsOf["(other)"])
	}
	var out []Slice
	for _, value := range values {
		part := p.Pick(rowsOf[value])
		metrics, undefined, err := MeasureWithIntervals(part, threshold, names, how)
		if err != nil {
			return nil, err
		}
		_, subjects := part.units()
		out = append(out, Slice{
			Column: column.Name, Value: value, Rows: part.Len(), Subjects: subjects, Classes: part.classCounts(),
			Small:   subjects < SmallSliceSubjects || part.Len() < SmallSliceRows,
			Metrics: metrics, Undefined: undefined,
		})
	}
	return out, nil
}

// sliceLabels gives each row its slice's name.
func sliceLabels(column Column) []string {
	labels := column.Labels()
	if column.IsText() {
		return labels
	}
	seen := map[string]bool{}
	var sorted []float64
	for i, label := range labels {
		if !column.Missing(i) {
			seen[label] = true
			sorted = append(sorted, column.Numbers[i])
		}
	}
	if len(seen) <= quartilesFrom {
		return labels
	}
	slices.Sort(sorted)
	cuts := []float64{sorted[0]}
	for _, q := range []float64{0.25, 0.5, 0.75} {
		cut := stat.Quantile(q, stat.Empirical, sorted, nil)
		if cut > cuts[len(cuts)-1] {
			cuts = append(cuts, cut)
		}
	}
	for i := range labels {
		if column.Missing(i) {
			continue
		}
		at := sort.SearchFloat64s(cuts, column.Numbers[i])
		if at == len(cuts) || cuts[at] > column.Numbers[i] {
			at--
		}
		end := short(sorted[len(sorted)-1]) + "]"
		if at+1 < len(cuts) {
			end = short(cuts[at+1]) + ")"
		}
		labels[i] = fmt.Sprintf("[%s, %s", short(cuts[at]), end)
	}
	return labels
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// SubjectMeans makes one row of each subject: the mean of its predictions, and its class (or mean target). Subjects whose rows
// disagree about the class are left out; mixed counts them.
func SubjectMeans(p Predictions) (rows Predictions, mixed int) {
	unit, units := p.units()
	k := len(p.Classes)
	rows = Predictions{Task: p.Task, Classes: p.Classes, Positive: p.Positive}
	of := make([][]int, units)
	for i, u := range unit {
		of[u] = append(of[u], i)
	}
	for _, members := range of {
		n := float64(len(members))
		if p.Task == Regression {
			truth, value := 0.0, 0.0
			for _, i := range members {
				truth += p.Target[i] / n
				value += p.Value[i] / n
			}
			rows.Target, rows.Value = append(rows.Target, truth), append(rows.Value, value)
			continue
		}
		class := p.Class[members[0]]
		if slices.ContainsFunc(members, func(i int) bool { return p.Class[i] != class }) {
			mixed++
			continue
		}
		mean := make([]float64, k)
		for _, i := range members {
			for j := range mean {
				mean[j] += p.Probabilities[i*k+j] / n
			}
		}
		rows.Class, rows.Probabilities = append(rows.Class, class), append(rows.Probabilities, mean...)
	}
	return rows, mixed
}
