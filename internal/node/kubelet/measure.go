// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Usage is what something has used so far and uses now.
type Usage struct {
	// CPU is the time of processors since the start.
	CPU time.Duration
	// Memory is the working set, in bytes: what cannot be given back at once.
	Memory uint64
}

// ContainerUsage is that of a running container.
type ContainerUsage struct {
	Namespace, Pod, Container string
	Labels                    labels.Set // of the pod
	Started                   time.Time
	Usage
}

// Measurement is the usage of everything at one time.
type Measurement struct {
	At         time.Time
	NodeName   string
	Node       Usage
	Containers []ContainerUsage
}

// resourceMetrics serves /metrics/resource in the text format, under the names that a kubelet has.
func (s *Server) resourceMetrics(w http.ResponseWriter, _ *http.Request) {
	m := s.options.Pods.Measure()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeMetrics(w, m)
}

func writeMetrics(w io.Writer, m Measurement) {
	at := m.At.UnixMilli()
	family := func(name, help, kind string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	containers := func(name string, value func(c ContainerUsage) float64) {
		for _, c := range m.Containers {
			fmt.Fprintf(w, "%s{container=%q,namespace=%q,pod=%q} %v %d\n", name, c.Container, c.Namespace, c.Pod, value(c), at)
		}
	}
	pods := sumByPod(m.Containers)
	perPod := func(name string, value func(c ContainerUsage) float64) {
		for _, p := range pods {
			fmt.Fprintf(w, "%s{namespace=%q,pod=%q} %v %d\n", name, p.Namespace, p.Pod, value(p), at)
		}
	}
	seconds := func(c ContainerUsage) float64 { return c.CPU.Seconds() }
	bytes := func(c ContainerUsage) float64 { return float64(c.Memory) }
	family("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", "counter")
	containers("container_cpu_usage_seconds_total", seconds)
	family("container_memory_working_set_bytes", "Current working set of the container in bytes", "gauge")
	containers("container_memory_working_set_bytes", bytes)
	family("container_start_time_seconds", "Start time of the container since unix epoch in seconds", "gauge")
	containers("container_start_time_seconds", func(c ContainerUsage) float64 { return float64(c.Started.UnixMilli()) / 1000 })
	family("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", "counter")
	fmt.Fprintf(w, "node_cpu_usage_seconds_total %v %d\n", m.Node.CPU.Seconds(), at)
	family("node_memory_working_set_bytes", "Current working set of the node in bytes", "gauge")
	fmt.Fprintf(w, "node_memory_working_set_bytes %d %d\n", m.Node.Memory, at)
	family("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", "counter")
	perPod("pod_cpu_usage_seconds_total", seconds)
	family("pod_memory_working_set_bytes", "Current working set of the pod in bytes", "gauge")
	perPod("pod_memory_working_set_bytes", bytes)
	family("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", "gauge")
	fmt.Fprintln(w, "resource_scrape_error 0")
}

func sumByPod(list []ContainerUsage) []ContainerUsage {
	var pods []ContainerUsage
	for _, c := range list {
		i := slices.IndexFunc(pods, func(p ContainerUsage) bool { return p.Namespace == c.Namespace && p.Pod == c.Pod })
		if i < 0 {
			c.Container = ""
			pods = append(pods, c)
			continue
		}
		pods[i].CPU, pods[i].Memory = pods[i].CPU+c.CPU, pods[i].Memory+c.Memory
	}
	return pods
}

// Rates come from two measurements. They are taken when somebody asks, so that nobody's asking costs nothing.
const (
	rateWindow = 500 * time.Millisecond // the least time between two measurements that are compared
	rateAge    = 10 * time.Second       // how long an answer is given again
)

// meter remembers the last two measurements.
type meter struct {
	measure      func() Measurement
	mu           sync.Mutex
	before, last Measurement
}

// read gives two measurements that are far enough apart; it waits half a second when the last ones are old.
func (m *meter) read(ctx context.Context) (before, last Measurement, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.measure()
	if now.At.Sub(m.last.At) < rateAge && !m.before.At.IsZero() {
		return m.before, m.last, nil
	}
	select {
	case <-ctx.Done():
		return now, now, ctx.Err()
	case <-time.After(rateWindow):
	}
	m.before, m.last = now, m.measure()
	return m.before, m.last, nil
}

// rate is the processor time per time, in thousandths of a core, rounded up so that what runs is never 0.
func rate(before, last time.Duration, window time.Duration) int64 {
	if window <= 0 || last < before {
		return 0
	}
	return int64((last - before + window/1000 - 1) * 1000 / window)
}

func find(m Measurement, c ContainerUsage) (ContainerUsage, bool) {
	for _, other := range m.Containers {
		if other.Namespace == c.Namespace && other.Pod == c.Pod && other.Container == c.Container && other.Started.Equal(c.Started) {
			return other, true
		}
	}
	return ContainerUsage{}, false
}

// selected tells whether a pod is one that a query asks for.
func selected(c ContainerUsage, namespace, name string, selector labels.Selector) bool {
	return (namespace == "" || c.Namespace == namespace) && (name == "" || c.Pod == name) && selector.Matches(c.Labels)
}

// nameOf reads the one field that a field selector may name.
func nameOf(fieldSelector string) (string, bool) {
	if fieldSelector == "" {
		return "", true
	}
	name, ok := strings.CutPrefix(fieldSelector, "metadata.name=")
	return strings.TrimPrefix(name, "="), ok
}
