// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkIntervals is one evaluation's metrics with 1000 resamples of 20,000 rows of 2,000 subjects.
func BenchmarkIntervals(b *testing.B) {
	p := study(rand.New(rand.NewPCG(1, 1)), 2000, 10)
	for b.Loop() {
		if _, _, err := MeasureWithIntervals(p, 0.5, nil, Resampling{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAudit is the audit of 100,000 rows with 20 features.
func BenchmarkAudit(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	p := study(random, 20000, 5)
	a := Audited{By: BySubject, Task: Binary, Classes: p.Classes, Class: p.Class, Subject: p.Subject}
	for i := range p.Class {
		a.Fold = append(a.Fold, i/5%5)
	}
	for range 20 {
		a.Features = append(a.Features, number("x", p.Len(), func(int) float64 { return random.NormFloat64() }))
	}
	for b.Loop() {
		Audit(a)
	}
}
