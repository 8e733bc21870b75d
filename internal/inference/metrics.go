// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fathom.dev/fathom/internal/fault"
)

type metrics struct {
	requests *prometheus.CounterVec
	ok       prometheus.Counter // requests of code 200
	seconds  prometheus.Histogram
	rows     prometheus.Histogram
	inFlight prometheus.Gauge
	handler  http.Handler
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fathom_inference_requests_total", Help: "Inference requests by status code."}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fathom_inference_duration_seconds", Help: "Time from the request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18)}),
		rows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fathom_inference_batch_rows", Help: "Rows of a request.", Buckets: prometheus.ExponentialBuckets(1, 4, 10)}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fathom_inference_in_flight", Help: "Requests under way."}),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.rows, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, fault.Wrap(fault.Internal, "inference.New", err)
		}
	}
	m.ok = m.requests.WithLabelValues("200")
	return m, nil
}

func (m *metrics) show(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

func (m *metrics) done(status int, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	if status == http.StatusOK {
		m.ok.Inc()
		return
	}
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
}
