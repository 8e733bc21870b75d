// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"sort"
)

// Audited is what the leakage audit looks at: all rows with their folds.
type Audited struct {
	By      By
	Fold    []int
	Subject []string // nil when rows have no subject
	// Row is each row's position in the dataset; nil counts from 0.
	Row      []int64
	Features []Column
	Task     Task
	Classes  []string
	Class    []int     // of classes
	Target   []float64 // of a regression
}

// givesAway is the single-feature AUC, and oneNumber the correlation with a regression's target, that no honest feature reaches.
const (
	givesAway = 0.995
	oneNumber = 0.9999
)

// Audit looks for ways in which held-out rows are not new to the training: one subject on both sides of the split, rows whose
// features are equal on both sides, features that give the target away. It names subjects, rows and columns.
func Audit(a Audited) Leakage {
	var findings []Finding
	findings = append(findings, a.subjects()...)
	findings = append(findings, a.duplicates()...)
	findings = append(findings, a.telltales()...)
	verdict := None
	for _, f := range findings {
		if f.Severity == Block || verdict == None {
			verdict = f.Severity
		}
	}
	return Leakage{Verdict: verdict, Findings: findings}
}

// subjects finds those held out in more than one fold: while one of their rows is tested, another trains.
func (a Audited) subjects() []Finding {
	if a.Subject == nil {
		return nil
	}
	first, split := map[string]int{}, map[string]bool{}
	for i, subject := range a.Subject {
		if fold, known := first[subject]; known && fold != a.Fold[i] {
			split[subject] = true
		} else if !known {
			first[subject] = a.Fold[i]
		}
	}
	if len(split) == 0 {
		return nil
	}
	names := make([]string, 0, len(split))
	for subject := range split {
		names = append(names, subject)
	}
	slices.Sort(names)
	f := Finding{Kind: LeakSubject, Severity: Block, Count: len(names), Subjects: names[:min(len(names), FindingExamples)]}
	f.Message = fmt.Sprintf("%d of %d subjects have rows in several folds, so the model is tested on people it was trained on: %s. "+
		"Give all rows of a subject the same fold.", len(names), len(first), firstOf(names, 5))
	if a.By == ByRecord {
		f.Kind = LeakRecord
		f.Message = fmt.Sprintf("rows were split one by one although %d of %d subjects have several rows, so the model is tested on "+
			"people it was trained on: %s. Use evaluate.by: subject.", len(names), len(first), firstOf(names, 5))
	}
	for i, subject := range a.Subject {
		if split[subject] && len(f.Rows) < FindingExamples {
			f.Rows = append(f.Rows, a.row(i))
		}
	}
	return []Finding{f}
}

func (a Audited) row(i int) int64 {
	if a.Row == nil {
		return int64(i)
	}
	return a.Row[i]
}

// duplicates finds rows whose features all equal those of a row in another fold. Where features are so coarse that rows are
// equal by chance it warns only.
func (a Audited) duplicates() []Finding {
	if len(a.Features) == 0 {
		return nil
	}
	same := map[uint64][]int{}
	seed := maphash.MakeSeed()
	for i := range a.Fold {
		key := a.hash(seed, i)
		same[key] = append(same[key], i)
	}
	var rows []int
	for _, group := range same {
		if slices.ContainsFunc(group, func(i int) bool { return a.Fold[i] != a.Fold[group[0]] }) {
			rows = append(rows, group...)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	sort.Ints(rows)
	f := Finding{Kind: LeakDuplicate, Severity: Block, Count: len(rows)}
	subjects := map[string]bool{}
	for _, i := range rows {
		if len(f.Rows) < FindingExamples {
			f.Rows = append(f.Rows, a.row(i))
		}
		if a.Subject != nil && !subjects[a.Subject[i]] && len(subjects) < FindingExamples {
			subjects[a.Subject[i]] = true
			f.Subjects = append(f.Subjects, a.Subject[i])
		}
	}
	f.Message = fmt.Sprintf("%d rows have the same features as a row in another fold (rows %s). Remove copies of a row from the "+
		"dataset, or give the copies one subject.", len(rows), listRows(f.Rows, 5))
	if a.bits() < 2*math.Log2(float64(len(a.Fold)))+5 {
		f.Severity = Warn
		f.Message = fmt.Sprintf("%d rows have the same features as a row in another fold (rows %s). The features are so coarse that "+
			"this happens by chance.", len(rows), listRows(f.Rows, 5))
	}
	return []Finding{f}
}

// hash of a row's features; 64 bits make chance collisions negligible.
func (a Audited) hash(seed maphash.Seed, row int) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var b [8]byte
	for _, c := range a.Features {
		if c.IsText() {
			_, _ = h.WriteString(c.Texts[row])
			_ = h.WriteByte(0)
			continue
		}
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(c.Numbers[row]+0)) // -0 is 0
		if c.Missing(row) {
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(math.NaN()))
		}
		_, _ = h.Write(b[:])
	}
	return h.Sum64()
}

// bits is how much the features would tell about a row if they were independent: the sum of their entropies.
func (a Audited) bits() float64 {
	sum := 0.0
	for _, c := range a.Features {
		codes, values := c.codes()
		counts := make([]int, values)
		for _, code := range codes {
			counts[code]++
		}
		for _, n := range counts {
			if n == 0 {
				continue
			}
			p := float64(n) / float64(c.Len())
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

func listRows(rows []int64, n int) string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = fmt.Sprint(row)
	}
	if len(texts) > n {
		texts = append(texts[:n], "…")
	}
	return firstOf(texts, n+1)
}
