// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fathom.dev/fathom/internal/ref"
)

// gate has metrics as the gateway's, and a clock.
type gate struct {
	requests, captured *prometheus.CounterVec
	seconds            *prometheus.HistogramVec
	now                time.Time
	log                *Log
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	of := []string{"workspace", "endpoint"}
	g.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fathom_endpoint_requests_total"}, append(of, "version", "code"))
	g.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fathom_endpoint_duration_seconds",
		Buckets: []float64{0.001, 0.01, 0.1}}, append(of, "version"))
	g.captured = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fathom_endpoint_captured_total"}, append(of, "result"))
	registry := prometheus.NewRegistry()
	registry.MustRegister(g.requests, g.seconds, g.captured)
	g.log = New(Options{From: registry, Now: func() time.Time { return g.now }})
	return g
}

func (g *gate) answer(version, code string, seconds float64, times int) {
	for range times {
		g.requests.WithLabelValues("clinic", "tremor", version, code).Inc()
		g.seconds.WithLabelValues("clinic", "tremor", version).Observe(seconds)
	}
}

func (g *gate) sample(t *testing.T) {
	t.Helper()
	if err := g.log.Sample(); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(Every)
}

var tremor = ref.Name{Workspace: "clinic", Name: "tremor"}

// of are the points in which something happened.
func (g *gate) of(span time.Duration) []Point {
	var out []Point
	for _, p := range g.log.Of(tremor, span).Points {
		if len(p.Versions) > 0 || p.Kept > 0 {
			out = append(out, p)
		}
	}
	return out
}

func TestSeriesTellsWhatWasAdded(t *testing.T) {
	g := newGate(t)
	g.answer("1", "200", 0.005, 98)
	g.answer("1", "503", 0.05, 2)
	g.captured.WithLabelValues("clinic", "tremor", "kept").Add(3)
	g.sample(t)
	g.sample(t) // nothing happened
	g.answer("1", "200", 0.005, 1)
	g.answer("2", "400", 5, 4) // longer than the last bound
	g.sample(t)
	got := g.of(10 * time.Minute)
	if len(got) != 2 {
		t.Fatalf("points with traffic: %+v", got)
	}
	first, second := got[0], got[1]
	if v := first.Versions[0]; len(first.Versions) != 1 || v.OK != 98 || v.Failed != 2 || v.Refused != 0 || first.Kept != 3 {
		t.Errorf("first: %+v", first)
	}
	// 100 answers, 98 between 1 and 10 ms: the 50th lies at 1 + 9·50/98 ms, the 99th halfway between 10 and 100 ms.
	if p50, p99 := *first.Versions[0].P50, *first.Versions[0].P99; math.Abs(p50-(0.001+0.009*50/98)) > 1e-9 || math.Abs(p99-0.055) > 1e-9 {
		t.Errorf("quantiles %v %v", p50, p99)
	}
	if len(second.Versions) != 2 || second.Versions[0].OK != 1 || second.Versions[1].Refused != 4 || *second.Versions[1].P99 != 0.1 || second.Kept != 0 {
		t.Errorf("second: %+v", second)
	}
}

func TestLongSpansAddUp(t *testing.T) {
	g := newGate(t)
	for range 12 {
		g.answer("1", "200", 0.005, 5)
		g.sample(t)
	}
	series := g.log.Of(tremor, Keep)
	total := 0.0
	for _, p := range series.Points {
		for _, v := range p.Versions {
			total += v.OK
		}
	}
	if series.Step != 240 || len(series.Points) > points+1 || total != 60 {
		t.Errorf("step %v, %d points, %v answers", series.Step, len(series.Points), total)
	}
}

func TestOldSamplesAndGoneEndpointsAreForgotten(t *testing.T) {
	g := newGate(t)
	g.answer("1", "200", 0.005, 1)
	g.sample(t)
	g.now = g.now.Add(Keep)
	g.answer("1", "200", 0.005, 2)
	g.sample(t)
	if n := len(g.log.endpoints[tremor].samples); n != 1 {
		t.Errorf("%d samples are kept", n)
	}
	for _, v := range []*prometheus.CounterVec{g.requests, g.captured} {
		v.Reset()
	}
	g.seconds.Reset()
	g.sample(t)
	if len(g.of(Keep)) != 0 {
		t.Error("the endpoint is gone, its traffic is still told")
	}
	g.answer("1", "200", 0.005, 3)
	g.sample(t)
	if got := g.of(Keep); len(got) != 1 || got[0].Versions[0].OK != 3 {
		t.Errorf("after it came back: %+v", got)
	}
}
