// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"encoding/json"
	"fmt"
	"net/http"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metrics "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// metricsRoot is the path of the resource metrics API, which `kubectl top` reads. The API server passes requests on to
// the node after it has authorized them.
const metricsRoot = "/apis/metrics.k8s.io/v1beta1"

func (s *Server) metricsRoutes() []route {
	return []route{
		{metricsRoot, "metrics", s.metricsResources},
		{metricsRoot + "/nodes", "metrics", s.nodeMetrics},
		{metricsRoot + "/nodes/{name}", "metrics", s.nodeMetrics},
		{metricsRoot + "/pods", "metrics", s.podMetrics},
		{metricsRoot + "/namespaces/{namespace}/pods", "metrics", s.podMetrics},
		{metricsRoot + "/namespaces/{namespace}/pods/{name}", "metrics", s.podMetrics},
	}
}

func (s *Server) metricsResources(w http.ResponseWriter, _ *http.Request) {
	verbs := metav1.Verbs{"get", "list"}
	answer(w, metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: metrics.SchemeGroupVersion.String(),
		APIResources: []metav1.APIResource{
			{Name: "nodes", SingularName: "", Kind: "NodeMetrics", Verbs: verbs},
			{Name: "pods", SingularName: "", Namespaced: true, Kind: "PodMetrics", Verbs: verbs},
		},
	})
}

func (s *Server) nodeMetrics(w http.ResponseWriter, q *http.Request) {
	before, last, selector, name, ok := s.read(w, q)
	if !ok {
		return
	}
	window := last.At.Sub(before.At)
	list := metrics.NodeMetricsList{TypeMeta: typeOf("NodeMetricsList"), Items: []metrics.NodeMetrics{}}
	if (name == "" || name == last.NodeName) && selector.Matches(labels.Set{v1.LabelHostname: last.NodeName}) {
		list.Items = append(list.Items, metrics.NodeMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: last.NodeName, CreationTimestamp: metav1.NewTime(last.At)},
			Timestamp:  metav1.NewTime(last.At), Window: metav1.Duration{Duration: window}, Usage: quantities(last.Node, rate(before.Node.CPU, last.Node.CPU, window)),
		})
	}
	if q.PathValue("name") == "" {
		answer(w, list)
		return
	}
	if len(list.Items) == 0 {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("nodes.metrics.k8s.io %q not found", name))
		return
	}
	list.Items[0].TypeMeta = typeOf("NodeMetrics")
	answer(w, list.Items[0])
}

func (s *Server) podMetrics(w http.ResponseWriter, q *http.Request) {
	before, last, selector, name, ok := s.read(w, q)
	if !ok {
		return
	}
	list := metrics.PodMetricsList{TypeMeta: typeOf("PodMetricsList"), Items: podItems(before, last, func(c ContainerUsage) bool {
		return selected(c, q.PathValue("namespace"), name, selector)
	})}
	if q.PathValue("name") == "" {
		answer(w, list)
		return
	}
	if len(list.Items) == 0 {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods.metrics.k8s.io %q not found: it does not run, or has just started", name))
		return
	}
	list.Items[0].TypeMeta = typeOf("PodMetrics")
	answer(w, list.Items[0])
}

// podItems joins the containers of each pod. One that has started between the two measurements is left out.
func podItems(before, last Measurement, wanted func(ContainerUsage) bool) []metrics.PodMetrics {
	window := last.At.Sub(before.At)
	items, index := []metrics.PodMetrics{}, map[[2]string]int{}
	for _, c := range last.Containers {
		earlier, known := find(before, c)
		if !known || !wanted(c) {
			continue
		}
		key := [2]string{c.Namespace, c.Pod}
		i, ok := index[key]
		if !ok {
			i = len(items)
			index[key] = i
			items = append(items, metrics.PodMetrics{
				ObjectMeta: metav1.ObjectMeta{Name: c.Pod, Namespace: c.Namespace, Labels: c.Labels, CreationTimestamp: metav1.NewTime(last.At)},
				Timestamp:  metav1.NewTime(last.At), Window: metav1.Duration{Duration: window},
			})
		}
		items[i].Containers = append(items[i].Containers, metrics.ContainerMetrics{Name: c.Container,
			Usage: quantities(c.Usage, rate(earlier.CPU, c.CPU, window))})
	}
	return items
}

// read measures and understands the query; ok is false when it has answered already.
func (s *Server) read(w http.ResponseWriter, q *http.Request) (before, last Measurement, selector labels.Selector, name string, ok bool) {
	if q.Method != http.MethodGet {
		refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "metrics can only be read")
		return
	}
	query := q.URL.Query()
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	name, known := nameOf(query.Get("fieldSelector"))
	if !known || query.Get("watch") == "true" || query.Get("watch") == "1" {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "metrics are selected by labels or by metadata.name, and are not watched")
		return
	}
	if own := q.PathValue("name"); own != "" {
		name = own
	}
	if before, last, err = s.meter.read(q.Context()); err != nil {
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, err.Error())
		return
	}
	return before, last, selector, name, true
}

func quantities(last Usage, milli int64) v1.ResourceList {
	return v1.ResourceList{
		v1.ResourceCPU:    *resource.NewMilliQuantity(milli, resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(int64(last.Memory), resource.BinarySI), //nolint:gosec // never that much
	}
}

func typeOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: schema.GroupVersion{Group: metrics.GroupName, Version: "v1beta1"}.String()}
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message}) //nolint:gosec // an HTTP status
}
