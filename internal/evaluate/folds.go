// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"

	"fathom.dev/fathom/internal/fault"
)

// Assignment says in which fold each row is held out.
type Assignment struct {
	// Fold of each row, 0 to len(Names)-1.
	Fold []int
	// Names of the folds: their numbers, or the values of a supplied column.
	Names  []string
	Method string
}

// GroupKFold puts whole groups into k folds of nearly equal size, as scikit-learn's GroupKFold: groups in order of falling
// size go to the fold with the fewest rows so far. It depends on nothing but the groups' names and sizes. Errors: Invalid for
// fewer groups than folds.
func GroupKFold(groups []string, k int) (Assignment, error) {
	index, names := group(groups)
	if err := enough(len(names), k); err != nil {
		return Assignment{}, err
	}
	sizes := make([]int, len(names))
	for _, g := range index {
		sizes[g]++
	}
	// numpy's argsort of the sizes, reversed: of equal sizes the later name goes first.
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return sizes[order[a]] < sizes[order[b]] })
	slices.Reverse(order)
	held, foldOf := make([]int, k), make([]int, len(names))
	for _, g := range order {
		lightest := 0
		for f := range held {
			if held[f] < held[lightest] {
				lightest = f
			}
		}
		held[lightest] += sizes[g]
		foldOf[g] = lightest
	}
	return assignment(index, foldOf, k, "group-k-fold"), nil
}

// StratifiedGroupKFold puts whole groups into k folds whose shares of classes are alike: groups in order of falling spread of
// classes, ties shuffled by seed, go where the folds' class shares then differ least. class is each row's class, 0 to
// classes-1.
func StratifiedGroupKFold(groups []string, class []int, classes, k int, seed uint64) (Assignment, error) {
	index, names := group(groups)
	if err := enough(len(names), k); err != nil {
		return Assignment{}, err
	}
	counts := make([][]float64, len(names))
	for g := range counts {
		counts[g] = make([]float64, classes)
	}
	total := make([]float64, classes)
	for i, g := range index {
		counts[g][class[i]]++
		total[class[i]]++
	}
	order := shuffled(len(names), seed)
	sort.SliceStable(order, func(a, b int) bool { return deviation(counts[order[a]]) > deviation(counts[order[b]]) })
	folds := make([][]float64, k)
	for f := range folds {
		folds[f] = make([]float64, classes)
	}
	foldOf := make([]int, len(names))
	for _, g := range order {
		foldOf[g] = bestFold(folds, counts[g], total)
		for c, n := range counts[g] {
			folds[foldOf[g]][c] += n
		}
	}
	return assignment(index, foldOf, k, "stratified-group-k-fold"), nil
}

// bestFold is where adding a group leaves the folds' shares of each class most alike; of equal ones the fold with fewest rows.
func bestFold(folds [][]float64, add, total []float64) int {
	best, bestSpread, bestRows := 0, math.Inf(1), math.Inf(1)
	for f := range folds {
		for c := range add {
			folds[f][c] += add[c]
		}
		spread, rows := 0.0, 0.0
		for c := range add {
			share := make([]float64, len(folds))
			for g := range folds {
				share[g] = folds[g][c] / math.Max(total[c], 1)
			}
			spread += deviation(share)
			rows += folds[f][c]
		}
		for c := range add {
			folds[f][c] -= add[c]
		}
		if spread < bestSpread-1e-12 || (spread < bestSpread+1e-12 && rows < bestRows) {
			best, bestSpread, bestRows = f, spread, rows
		}
	}
	return best
}

// deviation is the population standard deviation.
func deviation(x []float64) float64 {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	return math.Sqrt(square)
}

// LeaveOneOut makes each group a fold, in the order of their names.
func LeaveOneOut(groups []string) (Assignment, error) {
	index, names := group(groups)
	if err := enough(len(names), 2); err != nil {
		return Assignment{}, err
	}
	return Assignment{Fold: index, Names: names, Method: "leave-one-out"}, nil
}

// RecordKFold deals rows out one by one, shuffled by seed, class after class: it keeps no subject together.
func RecordKFold(class []int, k int, seed uint64) (Assignment, error) {
	if err := enough(len(class), k); err != nil {
		return Assignment{}, err
	}
	order := shuffled(len(class), seed)
	sort.SliceStable(order, func(a, b int) bool { return class[order[a]] < class[order[b]] })
	fold := make([]int, len(class))
	for place, row := range order {
		fold[row] = place % k
	}
	return Assignment{Fold: fold, Names: numbers(k), Method: "stratified-k-fold"}, nil
}

// SuppliedFolds takes each row's fold from a column's values, sorted as numbers if all are, else as texts. Errors: Invalid
// for an empty value or fewer than two folds.
func SuppliedFolds(values []string) (Assignment, error) {
	index, names := group(values)
	if at := slices.Index(values, ""); at >= 0 {
		return Assignment{}, fault.New(fault.Invalid, "evaluate.folds", "row %d has no fold", at)
	}
	if len(names) < 2 {
		return Assignment{}, fault.New(fault.Invalid, "evaluate.folds", "the fold column has %d distinct values, at least 2 are needed", len(names))
	}
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	if number, all := parseAll(names); all {
		sort.SliceStable(order, func(a, b int) bool { return number[order[a]] < number[order[b]] })
	}
	foldOf, sorted := make([]int, len(names)), make([]string, len(names))
	for f, g := range order {
		foldOf[g], sorted[f] = f, names[g]
	}
	a := assignment(index, foldOf, len(names), "column")
	a.Names = sorted
	return a, nil
}

func parseAll(texts []string) ([]float64, bool) {
	out := make([]float64, len(texts))
	for i, text := range texts {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// group numbers distinct texts in sorted order.
func group(texts []string) (index []int, names []string) {
	at := map[string]int{}
	for _, text := range texts {
		if _, known := at[text]; !known {
			at[text] = 0
			names = append(names, text)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		at[name] = i
	}
	index = make([]int, len(texts))
	for i, text := range texts {
		index[i] = at[text]
	}
	return index, names
}

func enough(groups, k int) error {
	if k < 2 || k > groups {
		return fault.New(fault.Invalid, "evaluate.folds", "%d folds of %d subjects are not possible", k, groups).
			WithHint("choose 2 to %d folds", groups)
	}
	return nil
}

func assignment(index, foldOf []int, k int, method string) Assignment {
	a := Assignment{Fold: make([]int, len(index)), Names: numbers(k), Method: method}
	for i, g := range index {
		a.Fold[i] = foldOf[g]
	}
	return a
}

func numbers(k int) []string {
	out := make([]string, k)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

func shuffled(n int, seed uint64) []int {
	return rand.New(rand.NewPCG(seed, 0x666f6c64)).Perm(n)
}
