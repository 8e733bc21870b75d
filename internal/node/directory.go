// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/network"
)

// startServices keeps the Services at hand, for names.
func (n *Node) startServices(ctx context.Context) error {
	source := cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "services", metav1.NamespaceAll, fields.Everything())
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &v1.Service{}, Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { n.servicesChanged() }, UpdateFunc: func(any, any) { n.servicesChanged() }, DeleteFunc: func(any) { n.servicesChanged() },
		},
	})
	n.mu.Lock()
	n.services = store
	n.mu.Unlock()
	go controller.RunWithContext(n.ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return fault.Wrap(fault.Unavailable, "node.Start: list services", ctx.Err())
	}
	return nil
}

// servicesChanged tells the runtime, if it gives Services addresses, which need one.
func (n *Node) servicesChanged() {
	runtime, ok := n.runtime.(interface{ SetServices([]network.Service) error })
	if !ok {
		return
	}
	var wanted []network.Service
	for _, object := range n.services.List() {
		s := object.(*v1.Service)
		if ports := mappedPorts(s); len(ports) > 0 {
			wanted = append(wanted, network.Service{ServiceName: network.ServiceName{Namespace: s.Namespace, Name: s.Name}, Ports: ports})
		}
	}
	if err := runtime.SetServices(wanted); err != nil {
		n.options.Logger.Warn("a Service could not be given an address", "error", err)
	}
}

// service finds a Service; there is none before they have been listed.
func (n *Node) service(name network.ServiceName) (*v1.Service, bool) {
	n.mu.Lock()
	store := n.services
	n.mu.Unlock()
	if store == nil {
		return nil, false
	}
	object, found, err := store.GetByKey(name.Namespace + "/" + name.Name)
	if err != nil || !found {
		return nil, false
	}
	s, ok := object.(*v1.Service)
	return s, ok
}

// mappedPorts lists the TCP ports of a Service if any of them is not simply that of its pods.
func mappedPorts(s *v1.Service) []int {
	if s.Spec.ClusterIP == v1.ClusterIPNone || len(s.Spec.Selector) == 0 {
		return nil
	}
	var ports []int
	mapped := false
	for _, p := range s.Spec.Ports {
		if p.Protocol == "" || p.Protocol == v1.ProtocolTCP {
			ports = append(ports, int(p.Port))
			mapped = mapped || p.TargetPort.Type == intstr.String || p.TargetPort.IntVal != 0 && p.TargetPort.IntVal != p.Port
		}
	}
	if !mapped {
		return nil
	}
	return ports
}

// directory answers the pods' DNS server from the node's own workers: it knows a pod's address and readiness before
// the API does.
type directory struct{ node *Node }

// Resolve finds the pods behind a Service by its selector.
func (d directory) Resolve(host, service, namespace string) ([]netip.Addr, bool) {
	s, ok := d.node.service(network.ServiceName{Namespace: namespace, Name: service})
	if !ok {
		return nil, false
	}
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

// Backends finds the ready pods of a Service and the port that they listen on.
func (d directory) Backends(name network.ServiceName, port int) []netip.AddrPort {
	s, ok := d.node.service(name)
	if !ok {
		return nil
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	var list []netip.AddrPort
	for _, p := range d.node.shownPods() {
		if p.sandbox == nil || !p.ready || p.pod.Namespace != name.Namespace || !selector.Matches(labels.Set(p.pod.Labels)) {
			continue
		}
		if target, ok := targetPort(s, p.pod, port); ok {
			list = append(list, netip.AddrPortFrom(p.address, target))
		}
	}
	return list
}

func targetPort(s *v1.Service, pod *v1.Pod, port int) (uint16, bool) {
	for _, sp := range s.Spec.Ports {
		switch {
		case int(sp.Port) != port:
			continue
		case sp.TargetPort.Type == intstr.Int && sp.TargetPort.IntVal == 0:
			return uint16(port), true //nolint:gosec // a port
		case sp.TargetPort.Type == intstr.Int:
			return uint16(sp.TargetPort.IntVal), true //nolint:gosec // a port
		}
		return namedPort(pod, sp.TargetPort.StrVal)
	}
	return 0, false
}

func namedPort(pod *v1.Pod, name string) (uint16, bool) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return uint16(p.ContainerPort), true //nolint:gosec // a port
			}
		}
	}
	return 0, false
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
