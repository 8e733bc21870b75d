// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// Column is one column of a table: Texts of a text column, where "" is missing, else Numbers, where NaN is missing.
// Booleans are 0 and 1; times are seconds since 1970.
type Column struct {
	Feature
	Numbers []float64
	Texts   []string
}

// IsText reports whether the column holds texts.
func (c Column) IsText() bool { return c.Texts != nil }

// Len is the number of rows.
func (c Column) Len() int { return max(len(c.Numbers), len(c.Texts)) }

// Missing reports whether a row has no value.
func (c Column) Missing(row int) bool {
	if c.IsText() {
		return c.Texts[row] == ""
	}
	return math.IsNaN(c.Numbers[row])
}

// Text is a row's value as text: numbers in their shortest form, "" if missing.
func (c Column) Text(row int) string {
	switch {
	case c.IsText():
		return c.Texts[row]
	case c.Missing(row):
		return ""
	case c.Type == "boolean":
		return strconv.FormatBool(c.Numbers[row] != 0)
	}
	return strconv.FormatFloat(c.Numbers[row], 'g', -1, 64)
}

// Labels are all rows' values as text.
func (c Column) Labels() []string {
	out := make([]string, c.Len())
	for i := range out {
		out[i] = c.Text(i)
	}
	return out
}

// Pick returns the rows at the given positions.
func (c Column) Pick(rows []int) Column {
	c.Numbers, c.Texts = pick(c.Numbers, rows), pick(c.Texts, rows)
	return c
}

// codes numbers the distinct values, missing being one of them: code of each row, and how many there are.
func (c Column) codes() ([]int, int) {
	if c.IsText() {
		return enumerate(c.Texts)
	}
	numbers, missing := slices.Clone(c.Numbers), false
	for i, v := range numbers {
		if math.IsNaN(v) { // NaN is no key of a map
			numbers[i], missing = 0, true
		}
	}
	codes, n := enumerate(numbers)
	if !missing {
		return codes, n
	}
	for i, v := range c.Numbers {
		if math.IsNaN(v) {
			codes[i] = n
		}
	}
	return codes, n + 1
}

// enumerate numbers distinct values in order of appearance.
func enumerate[T comparable](values []T) ([]int, int) {
	at := map[T]int{}
	codes := make([]int, len(values))
	for i, v := range values {
		code, known := at[v]
		if !known {
			code = len(at)
			at[v] = code
		}
		codes[i] = code
	}
	return codes, len(at)
}

// Typical makes three rows up that could be anyone's: quartiles of numbers, the most frequent text.
func Typical(c Column) Column {
	out := Column{Feature: c.Feature}
	if c.IsText() {
		counts, best := map[string]int{}, ""
		for _, text := range c.Texts {
			counts[text]++
			if n := counts[text] - counts[best]; n > 0 || (n == 0 && text < best) {
				best = text
			}
		}
		out.Texts = []string{best, best, best}
		return out
	}
	var known []float64
	for _, v := range c.Numbers {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	slices.Sort(known)
	for _, q := range []float64{0.25, 0.5, 0.75} {
		v := math.NaN()
		if len(known) > 0 {
			v = percentile(known, q)
		}
		if c.Type == "integer" || c.Type == "boolean" {
			v = math.Round(v)
		}
		out.Numbers = append(out.Numbers, v)
	}
	return out
}

// InferTask says what a target without missing values is: two distinct values are binary; texts, or at most 20 distinct whole
// numbers of which each occurs twice or more, multiclass; other numbers a regression. Errors: Invalid for fewer than two
// values, or a text in nearly every row.
func InferTask(target Column) (Task, error) {
	counts := map[string]int{}
	whole := !target.IsText()
	for i := range target.Len() {
		counts[target.Text(i)]++
		whole = whole && target.Numbers[i] == math.Trunc(target.Numbers[i])
	}
	least := math.MaxInt
	for _, n := range counts {
		least = min(least, n)
	}
	switch {
	case len(counts) < 2:
		return "", targetError(target, "has only one value, so there is nothing to learn")
	case len(counts) == 2:
		return Binary, nil
	case target.IsText() && 2*len(counts) > target.Len():
		return "", targetError(target, "has %d different texts in %d rows, so it names no classes", len(counts), target.Len())
	case target.IsText(), whole && len(counts) <= 20 && least >= 2:
		return Multiclass, nil
	}
	return Regression, nil
}

func targetError(target Column, format string, args ...any) error {
	return fault.New(fault.Invalid, "evaluate", "target %q "+format, append([]any{target.Name}, args...)...)
}

// Classify numbers a target's classes: sorted as numbers where all are, else as texts. positive is the class that counts as
// positive; "" is the last. Errors: Invalid for a class count that the task does not have, or an unknown positive.
func Classify(target Column, task Task, positive string) (classes []string, class []int, positiveAt int, err error) {
	labels := target.Labels()
	index, classes := group(labels)
	if number, all := parseAll(classes); all {
		order := make([]int, len(classes))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return compare(number[a], number[b]) })
		rank := make([]int, len(classes))
		for at, old := range order {
			rank[old] = at
		}
		classes = pick(classes, order)
		for i, old := range index {
			index[i] = rank[old]
		}
	}
	if task == Binary && len(classes) != 2 || len(classes) < 2 {
		return nil, nil, 0, targetError(target, "has the %d values %s, which is not %s", len(classes), firstOf(classes, 10), task)
	}
	positiveAt = len(classes) - 1
	if positive != "" {
		positiveAt = slices.IndexFunc(classes, func(c string) bool { return sameValue(c, positive) })
		if positiveAt < 0 {
			return nil, nil, 0, targetError(target, "has no value %q; values are %s", positive, firstOf(classes, 10))
		}
	}
	return classes, index, positiveAt, nil
}

func sameValue(a, b string) bool {
	number, all := parseAll([]string{a, b})
	return a == b || (all && number[0] == number[1])
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// firstOf lists at most n texts.
func firstOf(texts []string, n int) string {
	if len(texts) > n {
		return strings.Join(texts[:n], ", ") + fmt.Sprintf(" and %d more", len(texts)-n)
	}
	return strings.Join(texts, ", ")
}

// Nearest is the known name most like a wrong one, "" if none is: the same but for case, by edit distance of at most a third of
// the name, or one that begins with it.
func Nearest(wrong string, known []string) string {
	best, bestDistance := "", len(wrong)/3+2
	for _, name := range known {
		if strings.EqualFold(name, wrong) {
			return name
		}
		if d := distance(strings.ToLower(wrong), strings.ToLower(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" && len(wrong) >= 3 {
		for _, name := range known {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(wrong)) {
				return name
			}
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
