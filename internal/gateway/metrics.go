// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	waiting  *prometheus.GaugeVec
	retries  *prometheus.CounterVec
	captured *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	endpoint := []string{"workspace", "endpoint"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fathom_endpoint_requests_total", Help: "Predictions asked for, by the model's version and status code."},
			append(endpoint, "version", "code")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fathom_endpoint_duration_seconds", Help: "Time from a request's header to its answer, waiting included.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 20)}, append(endpoint, "version")),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fathom_endpoint_waiting_requests", Help: "Requests that wait for a free replica."}, endpoint),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fathom_endpoint_retries_total", Help: "Requests sent to another replica because one did not answer."}, endpoint),
		captured: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fathom_endpoint_captured_total", Help: "Requests kept as data, and those that were not though they should have been."},
			append(endpoint, "result")),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.waiting, m.retries, m.captured} {
		if err := registry.Register(c); err != nil {
			return nil, fault.Wrap(fault.Internal, "gateway.New", err)
		}
	}
	return m, nil
}

func (m *metrics) forget(name ref.Name) {
	labels := prometheus.Labels{"workspace": name.Workspace, "endpoint": name.Name}
	m.requests.DeletePartialMatch(labels)
	m.seconds.DeletePartialMatch(labels)
	m.waiting.DeletePartialMatch(labels)
	m.retries.DeletePartialMatch(labels)
	m.captured.DeletePartialMatch(labels)
}

// usage is one endpoint's part of the metrics.
type usage struct {
	requests *prometheus.CounterVec
	seconds  prometheus.ObserverVec
	waiting  prometheus.Gauge
	retries  prometheus.Counter
	kept     prometheus.Counter
	dropped  prometheus.Counter
	// last is where the most common outcome is counted: an answer of the version of the last request.
	last atomic.Pointer[answered]
}

// answered counts the predictions of a version that were answered with 200.
type answered struct {
	version int64
	count   prometheus.Counter
	seconds prometheus.Observer
}

func (m *metrics) of(name ref.Name) *usage {
	labels := prometheus.Labels{"workspace": name.Workspace, "endpoint": name.Name}
	captured := m.captured.MustCurryWith(labels)
	return &usage{
		requests: m.requests.MustCurryWith(labels), seconds: m.seconds.MustCurryWith(labels),
		waiting: m.waiting.With(labels), retries: m.retries.With(labels),
		kept: captured.WithLabelValues("kept"), dropped: captured.WithLabelValues("dropped"),
	}
}

func (u *usage) done(version int64, status int, took time.Duration) {
	if status != http.StatusOK {
		number := strconv.FormatInt(version, 10)
		u.requests.WithLabelValues(number, strconv.Itoa(status)).Inc()
		u.seconds.WithLabelValues(number).Observe(took.Seconds())
		return
	}
	last := u.last.Load()
	if last == nil || last.version != version {
		number := strconv.FormatInt(version, 10)
		last = &answered{version, u.requests.WithLabelValues(number, "200"), u.seconds.WithLabelValues(number)}
		u.last.Store(last)
	}
	last.count.Inc()
	last.seconds.Observe(took.Seconds())
}
