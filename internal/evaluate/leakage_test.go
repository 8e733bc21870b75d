// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// audited is an honest dataset of 60 subjects with 5 rows each, held out by subject, to plant leaks in.
func audited(seed uint64) Audited {
	random := rand.New(rand.NewPCG(seed, 2))
	a := Audited{By: BySubject, Task: Binary, Classes: []string{"0", "1"}}
	for i := range 300 {
		s := i / 5
		a.Subject, a.Fold, a.Class = append(a.Subject, fmt.Sprintf("s%02d", s)), append(a.Fold, s%5), append(a.Class, s/5%2)
	}
	for j := range 4 {
		a.Features = append(a.Features, number(fmt.Sprintf("x%d", j), 300, func(i int) float64 { return random.NormFloat64() + 0.5*float64(a.Class[i]) }))
	}
	a.Features = append(a.Features, text("site", 300, func(i int) string { return []string{"A", "B", "C"}[i/5%3] }))
	return a
}

func number(name string, n int, f func(i int) float64) Column {
	c := Column{Feature: Feature{Name: name, Type: "number"}}
	for i := range n {
		c.Numbers = append(c.Numbers, f(i))
	}
	return c
}

func text(name string, n int, f func(i int) string) Column {
	c := Column{Feature: Feature{Name: name, Type: "text"}}
	for i := range n {
		c.Texts = append(c.Texts, f(i))
	}
	return c
}

func TestAudit(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	cases := []struct {
		name     string
		plant    func(a *Audited)
		kind     string // of the only finding; "" for none
		severity Severity
		count    int
		names    []string // in the message
	}{
		{"honest", func(*Audited) {}, "", None, 0, nil},
		{"subject on both sides", func(a *Audited) { a.Fold[7] = (a.Fold[7] + 1) % 5 }, LeakSubject, Block, 1, []string{"s01", "1 of 60"}},
		{"by record", func(a *Audited) {
			a.By = ByRecord
			for i := range a.Fold {
				a.Fold[i] = i % 5
			}
		}, LeakRecord, Block, 60, []string{"by: subject", "s00"}},
		{"by record, one row each", func(a *Audited) {
			a.By = ByRecord
			for i := range a.Subject {
				a.Subject[i] = fmt.Sprint(i)
			}
		}, "", None, 0, nil},
		{"copied rows", func(a *Audited) {
			for j := range a.Features {
				copyRow(&a.Features[j], 0, 299)
			}
			a.Row = nil
		}, LeakDuplicate, Block, 2, []string{"rows 0, 299"}},
		{"copied rows, dataset positions", func(a *Audited) {
			for j := range a.Features {
				copyRow(&a.Features[j], 0, 299)
			}
			for i := range a.Fold {
				a.Row = append(a.Row, int64(i+1000))
			}
		}, LeakDuplicate, Block, 2, []string{"rows 1000, 1299"}},
		{"copies within a fold", func(a *Audited) {
			for j := range a.Features {
				copyRow(&a.Features[j], 0, 1)
			}
		}, "", None, 0, nil},
		{"coarse features", func(a *Audited) {
			a.Features = []Column{text("sex", 300, func(i int) string { return "fm"[i%2 : i%2+1] })}
		}, LeakDuplicate, Warn, 300, []string{"by chance"}},
		{"the target as a number", func(a *Audited) {
			a.Features[1] = number("score", 300, func(i int) float64 { return float64(a.Class[i])*10 + random.Float64() })
		}, LeakTarget, Block, 1, []string{`"score"`, "AUC of 1", "data.ignore"}},
		{"the target upside down, some wrong", func(a *Audited) {
			a.Features[1] = number("score", 300, func(i int) float64 {
				if i == 3 {
					return 0.5
				}
				return -float64(a.Class[i]) + 0.1*random.Float64()
			})
		}, LeakTarget, Block, 1, []string{`"score"`}},
		{"the target as a text", func(a *Audited) {
			a.Features[4] = text("diagnosis", 300, func(i int) string {
				return map[int][]string{0: {"healthy", "control"}, 1: {"PD early", "PD late"}}[a.Class[i]][i%2]
			})
		}, LeakTarget, Block, 1, []string{`"diagnosis"`, "one class only"}},
		{"a subject's own text", func(a *Audited) {
			a.Features[4] = text("nickname", 300, func(i int) string { return a.Subject[i] })
		}, "", None, 0, nil},
		{"missing for one class", func(a *Audited) {
			a.Features[4] = text("therapy", 300, func(i int) string {
				if a.Class[i] == 0 {
					return ""
				}
				return a.Subject[i]
			})
		}, LeakTarget, Block, 1, []string{`"therapy"`, "missing for one class only"}},
		{"few subjects separate by chance", func(a *Audited) {
			keep := []int{0, 1, 25, 26, 27, 50, 51}
			a.Subject, a.Fold, a.Class = pick(a.Subject, keep), pick(a.Fold, keep), pick(a.Class, keep)
			a.Features = []Column{number("x", len(keep), func(i int) float64 { return float64(a.Class[i]) + 0.001*float64(i) })}
		}, LeakTarget, Warn, 1, []string{"chance"}},
		{"a regression's target, scaled", func(a *Audited) {
			a.Task = Regression
			a.Target = number("y", 300, func(int) float64 { return random.NormFloat64() }).Numbers
			a.Features[2] = number("y_mmol", 300, func(i int) float64 {
				if i == 9 {
					return math.NaN()
				}
				return 3*a.Target[i] + 2
			})
		}, LeakTarget, Block, 1, []string{`"y_mmol"`, "correlation"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := audited(11)
			c.plant(&a)
			got := Audit(a)
			if got.Verdict != c.severity {
				t.Errorf("verdict %s, want %s: %+v", got.Verdict, c.severity, got.Findings)
			}
			if c.kind == "" {
				if len(got.Findings) > 0 {
					t.Errorf("findings %+v", got.Findings)
				}
				return
			}
			if len(got.Findings) != 1 || got.Findings[0].Kind != c.kind || got.Findings[0].Count != c.count {
				t.Fatalf("findings %+v", got.Findings)
			}
			for _, name := range c.names {
				if !strings.Contains(got.Findings[0].Message, name) {
					t.Errorf("message %q lacks %q", got.Findings[0].Message, name)
				}
			}
		})
	}
}

func copyRow(c *Column, from, to int) {
	if c.IsText() {
		c.Texts[to] = c.Texts[from]
	} else {
		c.Numbers[to] = c.Numbers[from]
	}
}

func TestAuditNamesAtMostTwenty(t *testing.T) {
	a := audited(1)
	for i := range a.Fold {
		a.Fold[i] = i % 5
	}
	f := Audit(a).Findings[0]
	if len(f.Subjects) != FindingExamples || len(f.Rows) != FindingExamples || f.Count != 60 {
		t.Errorf("%d subjects, %d rows, count %d", len(f.Subjects), len(f.Rows), f.Count)
	}
}
