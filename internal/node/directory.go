// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"fathom.dev/fathom/internal/fault"
)

// startServices keeps the Services at hand, for names.
func (n *Node) startServices(ctx context.Context) error {
	source := cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "services", metav1.NamespaceAll, fields.Everything())
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &v1.Service{}, Handler: cache.ResourceEventHandlerFuncs{},
	})
	n.services = store
	go controller.RunWithContext(n.ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return fault.Wrap(fault.Unavailable, "node.Start: list services", ctx.Err())
	}
	return nil
}

// directory answers the pods' DNS server from the node's own workers: it knows a pod's address and readiness before
// the API does.
type directory struct{ node *Node }

// Resolve finds the pods behind a Service by its selector.
func (d directory) Resolve(host, service, namespace string) ([]netip.Addr, bool) {
	if d.node.services == nil {
		return nil, false
	}
	object, found, err := d.node.services.GetByKey(namespace + "/" + service)
	if err != nil || !found {
		return nil, false
	}
	s := object.(*v1.Service)
	var addresses []netip.Addr
	known := host == ""
	if len(s.Spec.Selector) == 0 {
		return nil, known
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	for _, p := range d.node.shownPods() {
		if !p.address.IsValid() || !p.is(host, service, namespace) || !selector.Matches(labels.Set(p.pod.Labels)) {
			continue
		}
		known = true
		if p.sandbox != nil && (p.ready || s.Spec.PublishNotReadyAddresses) {
			addresses = append(addresses, p.address)
		}
	}
	return addresses, known
}

// is tells whether the pod is of the namespace and, when a host is asked for, has that name below the subdomain.
func (p *shownPod) is(host, subdomain, namespace string) bool {
	return p.pod.Namespace == namespace && (host == "" || hostname(p.pod) == host && p.pod.Spec.Subdomain == subdomain)
}

// NamespaceOf finds the running pod with an address.
func (d directory) NamespaceOf(address netip.Addr) string {
	for _, p := range d.node.shownPods() {
		if p.sandbox != nil && p.address == address {
			return p.pod.Namespace
		}
	}
	return ""
}

func (n *Node) shownPods() []*shownPod {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*shownPod, 0, len(n.workers))
	for _, w := range n.workers {
		list = append(list, w.shown.Load())
	}
	return list
}
