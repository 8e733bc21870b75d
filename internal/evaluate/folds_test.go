// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// people are n rows of subjects with several rows each and a class that belongs to the subject.
func people(subjects, rows int, seed uint64) (subject []string, class []int) {
	random := rand.New(rand.NewPCG(seed, 1))
	of := make([]int, subjects)
	for s := range of {
		of[s] = random.IntN(2)
	}
	of[0], of[1] = 0, 1
	for i := range rows {
		s := i % subjects
		if i >= subjects {
			s = random.IntN(subjects)
		}
		subject, class = append(subject, fmt.Sprintf("s%03d", s)), append(class, of[s])
	}
	return subject, class
}

// whole reports whether no subject is in two folds.
func whole(subject []string, fold []int) bool {
	of := map[string]int{}
	for i, s := range subject {
		if f, known := of[s]; known && f != fold[i] {
			return false
		}
		of[s] = fold[i]
	}
	return true
}

func TestFoldsKeepSubjectsWhole(t *testing.T) {
	subject, class := people(40, 300, 3)
	grouped, err := GroupKFold(subject, 5)
	if err != nil {
		t.Fatal(err)
	}
	stratified, err := StratifiedGroupKFold(subject, class, 2, 5, 7)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := StratifiedGroupKFold(subject, class, 2, 5, 7)
	if !reflect.DeepEqual(stratified, again) {
		t.Error("the same seed gave other folds")
	}
	alone, err := LeaveOneOut(subject)
	if err != nil || len(alone.Names) != 40 {
		t.Errorf("%d folds, %v", len(alone.Names), err)
	}
	for _, a := range []Assignment{grouped, stratified, alone} {
		if !whole(subject, a.Fold) {
			t.Errorf("%s splits subjects", a.Method)
		}
	}
	share := 0
	for _, c := range class {
		share += c
	}
	for f := range 5 {
		pos, n := 0, 0
		for i, g := range stratified.Fold {
			if g == f {
				n, pos = n+1, pos+class[i]
			}
		}
		if got, want := float64(pos)/float64(n), float64(share)/float64(len(class)); got < want-0.12 || got > want+0.12 {
			t.Errorf("fold %d has %.2f positives of %.2f", f, got, want)
		}
	}
}

func TestRecordFoldsAreStratified(t *testing.T) {
	class := make([]int, 103)
	for i := range class {
		class[i] = i % 3 / 2
	}
	a, err := RecordKFold(class, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[[2]int]int{}
	for i, f := range a.Fold {
		counts[[2]int{f, class[i]}]++
	}
	for f := range 5 {
		if counts[[2]int{f, 1}] < 6 || counts[[2]int{f, 1}] > 7 {
			t.Errorf("fold %d has %d of class 1", f, counts[[2]int{f, 1}])
		}
	}
}

func TestSuppliedFolds(t *testing.T) {
	a, err := SuppliedFolds([]string{"10", "9", "10", "2"})
	if err != nil || !slices.Equal(a.Names, []string{"2", "9", "10"}) || !slices.Equal(a.Fold, []int{2, 1, 2, 0}) {
		t.Errorf("%+v, %v", a, err)
	}
	b, err := SuppliedFolds([]string{"b", "a"})
	if err != nil || !slices.Equal(b.Names, []string{"a", "b"}) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range [][]string{{"1", "1"}, {"1", "", "2"}} {
		if _, err := SuppliedFolds(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestTooManyFolds(t *testing.T) {
	for _, k := range []int{0, 1, 4} {
		if _, err := GroupKFold([]string{"a", "b", "b", "c"}, k); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%d folds of 3 subjects: %v", k, err)
		}
	}
}
