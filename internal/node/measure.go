// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/kubelet"
)

// Measure tells what the node and the running containers use.
func (k *kubeletServer) Measure() kubelet.Measurement {
	m := kubelet.Measurement{At: k.node.now(), NodeName: k.node.options.Name}
	m.Node.CPU, m.Node.Memory = hostUsage()
	for _, p := range k.node.shownPods() {
		for name, process := range p.processes {
			used, err := process.Usage()
			if err != nil {
				continue // it has just ended
			}
			m.Containers = append(m.Containers, kubelet.ContainerUsage{Namespace: p.pod.Namespace, Pod: p.pod.Name, Container: name,
				Labels: p.pod.Labels, Started: p.started[name], Usage: kubelet.Usage{CPU: used.CPU, Memory: used.Memory}})
		}
	}
	return m
}

// The resource metrics API is aggregated: an APIService leads to a Service, and that to the node's own server.
const (
	metricsAPI       = "v1beta1.metrics.k8s.io"
	metricsService   = "fathom-node-metrics"
	apiServices      = "/apis/apiregistration.k8s.io/v1/apiservices"
	metricsPatience  = 10 * time.Second
	metricsNamespace = metav1.NamespaceSystem
)

// startMetrics has the API server pass requests for resource metrics on to the node, until the node is closed: discovery of
// an API that nobody serves would disturb others.
func (n *Node) startMetrics(ctx context.Context) error {
	service := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: metricsService}, Spec: v1.ServiceSpec{Type: v1.ServiceTypeExternalName, ExternalName: "localhost"}}
	_, err := n.client.CoreV1().Services(metricsNamespace).Create(ctx, service, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fault.Wrap(fault.Unavailable, "node.Start: Service of resource metrics", err)
	}
	api := n.client.CoreV1().RESTClient()
	if err := removeMetrics(ctx, api); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": metricsAPI},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
			"caBundle": n.server.server.MetricsCA(),
			"service":  map[string]any{"namespace": metricsNamespace, "name": metricsService, "port": n.server.port()},
		},
	})
	if err != nil {
		return fault.Wrap(fault.Internal, "node.Start: resource metrics", err)
	}
	if err := api.Post().AbsPath(apiServices).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error(); err != nil {
		return fault.Wrap(fault.Unavailable, "node.Start: APIService of resource metrics", err)
	}
	n.stops = append(n.stops, func() {
		ctx, cancel := context.WithTimeout(context.Background(), metricsPatience)
		defer cancel()
		if err := removeMetrics(ctx, api); err != nil {
			n.options.Logger.Warn("the APIService of resource metrics stays, though nobody serves it", "error", err)
		}
	})
	return nil
}

func removeMetrics(ctx context.Context, api rest.Interface) error {
	err := api.Delete().AbsPath(apiServices, metricsAPI).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fault.Wrap(fault.Unavailable, "node: APIService of resource metrics", err)
}
