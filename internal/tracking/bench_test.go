// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
)

// BenchmarkLogBatch appends 1000 new points a batch, durably.
func BenchmarkLogBatch(b *testing.B) {
	for _, keys := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			w := in(b, open(b), "bench")
			run := newRun(b, w, "0")
			points := make([]Metric, 1000)
			step := int64(0)
			b.ResetTimer()
			for b.Loop() {
				for i := range points {
					points[i] = Metric{Key: "metric-" + strconv.Itoa(i%keys), Value: rand.Float64(), Time: 1_700_000_000_000 + step, Step: step}
					step++
				}
				if err := w.LogBatch(b.Context(), run.ID, Batch{Metrics: points}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "metrics/s")
		})
	}
}

// BenchmarkLogMetric appends single points from 64 callers, each durable before the call returns.
func BenchmarkLogMetric(b *testing.B) {
	w := in(b, open(b), "bench")
	run := newRun(b, w, "0")
	var step atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := step.Add(1)
			if err := w.LogBatch(b.Context(), run.ID, Batch{Metrics: []Metric{{Key: "loss", Value: 1, Time: n, Step: n}}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "metrics/s")
}

// BenchmarkSearch finds the first 100 of 100,000 runs, each with 5 metrics, 5 parameters and 3 tags.
func BenchmarkSearch(b *testing.B) {
	w := in(b, open(b), "bench")
	manyRuns(b, w, 100_000)
	for name, q := range map[string]Query{
		"newest":        {},
		"order":         {Order: []string{"metrics.m0 DESC"}},
		"filter":        {Filter: "metrics.m0 > 0.5 and params.p1 = '3'"},
		"filterAndSort": {Filter: "metrics.m1 > 0.9 and tags.t0 LIKE '%7%' and attributes.status = 'RUNNING'", Order: []string{"metrics.m0 DESC"}},
		"none":          {Filter: "metrics.m0 > 2"},
	} {
		b.Run(name, func(b *testing.B) {
			q.Experiments, q.Limit = []string{"0"}, 100
			if _, _, err := w.SearchRuns(b.Context(), q); err != nil { // reads the columns
				b.Fatal(err)
			}
			for b.Loop() {
				runs, _, err := w.SearchRuns(b.Context(), q)
				if err != nil || len(runs) != 100 && name != "none" {
					b.Fatal(len(runs), err)
				}
			}
		})
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			w.store.frames.dropAll()
			if _, _, err := w.SearchRuns(b.Context(), Query{Experiments: []string{"0"}, Filter: "metrics.m0 > 0.5", Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// manyRuns writes runs in few transactions.
func manyRuns(b *testing.B, w *Workspace, n int) {
	b.Helper()
	e := must(w.experiment(w.read(b.Context()), "0"))(b)
	for from := 0; from < n; from += 5000 {
		err := w.write(b.Context(), "bench", func(t *tx) error {
			for i := from; i < min(n, from+5000); i++ {
				row, err := t.insert("INSERT INTO runs (workspace, experiment, uuid, name, user, status, started) VALUES (?, ?, ?, ?, 'bench', 'RUNNING', ?)",
					w.id, e.row, newID(), "run-"+strconv.Itoa(i), 1_700_000_000_000+i)
				if err != nil {
					return err
				}
				run := runRow{row: row, experiment: e.row}
				var points []Metric
				var params, tags []Tag
				for k := range 5 {
					points = append(points, Metric{Key: "m" + strconv.Itoa(k), Value: rand.Float64()})
					params = append(params, Tag{"p" + strconv.Itoa(k), strconv.Itoa(rand.IntN(10))})
				}
				for k := range 3 {
					tags = append(tags, Tag{"t" + strconv.Itoa(k), strconv.Itoa(rand.IntN(1000))})
				}
				if err := w.addMetrics(t, run, points); err != nil {
					return err
				}
				if err := w.addParams(t, run, params); err != nil {
					return err
				}
				if err := w.setRunTags(t, run, tags); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
