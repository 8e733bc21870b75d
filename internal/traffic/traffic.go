// SPDX-License-Identifier: Apache-2.0

// Package traffic remembers how endpoints were used in the last hours: it reads the gateway's metrics at a steady pace and keeps
// what was added since, in memory. It is for pages; who wants more lets Prometheus read the same metrics.
package traffic

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Defaults of [Options].
const (
	Every = 10 * time.Second
	Keep  = 6 * time.Hour
)

// Options configures [New]. From is required.
type Options struct {
	// From has the gateway's metrics.
	From prometheus.Gatherer
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Every is how often Sample is called; Keep how long samples are kept. Zero: the defaults.
	Every, Keep time.Duration
}

// Log is what was remembered. It is safe for concurrent use.
type Log struct {
	Options
	mu        sync.Mutex
	endpoints map[ref.Name]*endpoint
}

type endpoint struct {
	last    counters // as read last
	samples []sample // oldest first; none where nothing happened
}

// counters are an endpoint's metrics, or what was added to them.
type counters struct {
	waiting, retries, kept, dropped float64
	versions                        map[int64]*answers
}

// answers of one version. buckets[i] counts answers that took at most bounds[i] seconds and longer than the bound before; the
// last those that took longer than all.
type answers struct {
	codes   map[int]float64
	bounds  []float64
	buckets []float64
}

type sample struct {
	at time.Time
	counters
}

// New makes an empty log.
func New(o Options) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every == 0 {
		o.Every = Every
	}
	if o.Keep == 0 {
		o.Keep = Keep
	}
	return &Log{Options: o, endpoints: map[ref.Name]*endpoint{}}
}

// Sample reads the metrics and keeps what was added since the call before.
func (l *Log) Sample() error {
	families, err := l.From.Gather()
	if err != nil {
		return fault.Wrap(fault.Internal, "traffic", err)
	}
	read := map[ref.Name]*counters{}
	for _, family := range families {
		for _, m := range family.Metric {
			into(read, family.GetName(), m)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for name := range l.endpoints {
		if read[name] == nil {
			delete(l.endpoints, name) // the gateway forgets endpoints that are gone
		}
	}
	for name, c := range read {
		e := l.endpoints[name]
		if e == nil {
			e = &endpoint{}
			l.endpoints[name] = e
		}
		if added, some := c.since(e.last); some {
			e.samples = append(e.samples, sample{now, added})
		}
		e.last = *c
		old := slices.IndexFunc(e.samples, func(s sample) bool { return now.Sub(s.at) <= l.Keep })
		if old < 0 {
			old = len(e.samples)
		}
		e.samples = slices.Delete(e.samples, 0, old)
	}
	return nil
}

// into adds one metric of the gateway to the endpoint it is about.
func into(read map[ref.Name]*counters, family string, m *dto.Metric) {
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	name := ref.Name{Workspace: labels["workspace"], Name: labels["endpoint"]}
	if name.Name == "" {
		return
	}
	c := read[name]
	if c == nil {
		c = &counters{versions: map[int64]*answers{}}
		read[name] = c
	}
	number, _ := strconv.ParseInt(labels["version"], 10, 64) // metrics without a version do not use it
	switch family {
	case "fathom_endpoint_requests_total":
		if code, err := strconv.Atoi(labels["code"]); err == nil {
			c.version(number).codes[code] += m.Counter.GetValue()
		}
	case "fathom_endpoint_duration_seconds":
		c.version(number).read(m.Histogram)
	case "fathom_endpoint_waiting_requests":
		c.waiting = m.Gauge.GetValue()
	case "fathom_endpoint_retries_total":
		c.retries = m.Counter.GetValue()
	case "fathom_endpoint_captured_total":
		if labels["result"] == "kept" {
			c.kept = m.Counter.GetValue()
		} else {
			c.dropped = m.Counter.GetValue()
		}
	}
}

func (c *counters) version(number int64) *answers {
	if c.versions[number] == nil {
		c.versions[number] = &answers{codes: map[int]float64{}}
	}
	return c.versions[number]
}

// read takes apart a histogram, whose buckets count everything below them.
func (a *answers) read(h *dto.Histogram) {
	below := 0.0
	for _, b := range h.Bucket {
		a.bounds = append(a.bounds, b.GetUpperBound())
		a.buckets = append(a.buckets, float64(b.GetCumulativeCount())-below)
		below = float64(b.GetCumulativeCount())
	}
	a.buckets = append(a.buckets, float64(h.GetSampleCount())-below)
}

// since is what was added after an earlier reading, and whether that is anything. Counters begin at 0 again with an endpoint
// that was forgotten and came back.
func (c *counters) since(before counters) (counters, bool) {
	out := counters{
		waiting: c.waiting, retries: grown(c.retries, before.retries), kept: grown(c.kept, before.kept),
		dropped: grown(c.dropped, before.dropped), versions: map[int64]*answers{},
	}
	some := out.waiting+out.retries+out.kept+out.dropped > 0
	for number, a := range c.versions {
		was := before.versions[number]
		if was == nil {
			was = &answers{}
		}
		added := &answers{codes: map[int]float64{}, bounds: a.bounds, buckets: slices.Clone(a.buckets)}
		total := 0.0
		for code, n := range a.codes {
			if more := grown(n, was.codes[code]); more > 0 {
				added.codes[code] = more
				total += more
			}
		}
		for i := range min(len(added.buckets), len(was.buckets)) {
			added.buckets[i] = grown(added.buckets[i], was.buckets[i])
		}
		if total > 0 {
			out.versions[number] = added
			some = true
		}
	}
	return out, some
}

func grown(now, before float64) float64 {
	if now < before {
		return now
	}
	return now - before
}
