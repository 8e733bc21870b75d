// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"slices"
	"time"

	"fathom.dev/fathom/internal/ref"
)

// points of a series, at most.
const points = 90

// Series is an endpoint's use over time, in steps of equal length; the last one is still going on.
type Series struct {
	// Step is the length of a step in seconds.
	Step   float64 `json:"step"`
	Points []Point `json:"points"`
}

// Point is one step.
type Point struct {
	// At is when the step began.
	At time.Time `json:"at"`
	// Waiting is the most requests that were seen waiting for a replica at a time.
	Waiting  float64   `json:"waiting"`
	Retries  float64   `json:"retries"`
	Kept     float64   `json:"kept"`    // requests captured as data
	Dropped  float64   `json:"dropped"` // requests that should have been
	Versions []Version `json:"versions"`
}

// Version is what one version of the model answered within a step.
type Version struct {
	Version int64 `json:"version"` // 0: no version was served
	// OK, Refused and Failed count requests answered with 2xx, 4xx and 5xx.
	OK      float64 `json:"ok"`
	Refused float64 `json:"refused"`
	Failed  float64 `json:"failed"`
	// P50 and P99 are quantiles of the time to answer in seconds, interpolated within the metric's buckets; nil without answers.
	P50 *float64 `json:"p50,omitempty"`
	P99 *float64 `json:"p99,omitempty"`
}

// Of is the endpoint's use in the last span, at most as long as samples are kept; without traffic all points are empty.
func (l *Log) Of(name ref.Name, span time.Duration) Series {
	span = min(max(span, 10*l.Every), l.Keep)
	step := max(l.Every, (span / points).Round(l.Every))
	l.mu.Lock()
	defer l.mu.Unlock()
	var samples []sample
	if e := l.endpoints[name]; e != nil {
		samples = e.samples
	}
	now := l.Now()
	out := Series{Step: step.Seconds()}
	at := now.Add(-span).Truncate(step)
	for next := 0; !at.After(now); at = at.Add(step) {
		for next < len(samples) && samples[next].at.Before(at) {
			next++
		}
		first := next
		for next < len(samples) && samples[next].at.Before(at.Add(step)) {
			next++
		}
		out.Points = append(out.Points, together(at, samples[first:next]))
	}
	return out
}

// together adds samples up.
func together(at time.Time, samples []sample) Point {
	p := Point{At: at.UTC(), Versions: []Version{}}
	all := map[int64]*answers{}
	for _, s := range samples {
		p.Waiting = max(p.Waiting, s.waiting)
		p.Retries += s.retries
		p.Kept += s.kept
		p.Dropped += s.dropped
		for number, a := range s.versions {
			if all[number] == nil {
				all[number] = &answers{codes: map[int]float64{}}
			}
			all[number].add(a)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(all)) {
		p.Versions = append(p.Versions, all[number].told(number))
	}
	return p
}

func (a *answers) add(other *answers) {
	for code, n := range other.codes {
		a.codes[code] += n
	}
	if a.buckets == nil {
		a.bounds, a.buckets = other.bounds, make([]float64, len(other.buckets))
	}
	for i := range min(len(a.buckets), len(other.buckets)) {
		a.buckets[i] += other.buckets[i]
	}
}

func (a *answers) told(number int64) Version {
	v := Version{Version: number, P50: a.quantile(0.5), P99: a.quantile(0.99)}
	for code, n := range a.codes {
		switch {
		case code < 400:
			v.OK += n
		case code < 500:
			v.Refused += n
		default:
			v.Failed += n
		}
	}
	return v
}

// quantile is found as Prometheus' histogram_quantile does: linearly within the bucket it falls into; beyond the last bound it
// is that bound.
func (a *answers) quantile(q float64) *float64 {
	total := 0.0
	for _, n := range a.buckets {
		total += n
	}
	if total == 0 || len(a.bounds) == 0 {
		return nil
	}
	rank, below, lower := q*total, 0.0, 0.0
	for i, bound := range a.bounds {
		if n := a.buckets[i]; n > 0 && below+n >= rank {
			found := lower + (bound-lower)*(rank-below)/n
			return &found
		}
		below += a.buckets[i]
		lower = bound
	}
	return &lower
}
