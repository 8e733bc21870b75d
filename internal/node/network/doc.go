// SPDX-License-Identifier: Apache-2.0

// Package network gives each pod of the local node a network namespace, an address and names.
//
// One router, in a network namespace of its own, and one /24 of private addresses per state directory; one veth pair
// per pod, from the pod to the router. Pods reach the node's forwards and, as far as the rules of package policy let
// them, each other; they have no route to anything else, and a packet filter keeps them from the host's own services. A
// small DNS server answers the names of Services and of pods of headless Services, and nothing outside the cluster's
// domain.
//
// Packets between pods are routed, not switched: a packet filter sees them without br_netfilter and tracks connections
// without nf_conntrack_bridge, which many kernels lack, and the router's own namespace keeps them from the host's
// forwarding rules, which often drop everything. The router passes packets only under the address of the pod that they
// come from.
package network

import (
	"log/slog"
	"net/netip"
	"os"
)

// ClusterDomain is the domain under which Services have names.
const ClusterDomain = "cluster.local"

// Forward makes a TCP service of the host's loopback reachable for pods.
type Forward struct {
	// Name resolves to the address of the forward inside pods, as it is and below ForwardDomain.
	Name string
	// Port pods connect to.
	Port int
	// Target is the host's address, for example 127.0.0.1:6443.
	Target string
}

// ForwardDomain is the domain below which forwards have names.
const ForwardDomain = "fathom.internal"

// KubernetesForward is the Name of the forward to the Kubernetes API; it also answers to kubernetes.default.svc.
const KubernetesForward = "kubernetes"

// Names lists every name of the forward.
func (f Forward) Names() []string {
	names := []string{f.Name, f.Name + "." + ForwardDomain}
	if f.Name == KubernetesForward {
		names = append(names, "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc."+ClusterDomain)
	}
	return names
}

// ServiceName is that of a Service.
type ServiceName struct{ Namespace, Name string }

// Service is one that needs an address of its own, because a port of it is not that of its pods.
type Service struct {
	ServiceName
	Ports []int
}

// Directory knows Services and pods.
type Directory interface {
	// Backends lists the ready pods behind a port of a Service, with the port that they listen on.
	Backends(s ServiceName, port int) []netip.AddrPort
	// Resolve gives the addresses behind a Service, or behind the pod with that hostname of a headless Service when
	// host is not empty. found is false when there is no such name; a known name may have no addresses.
	Resolve(host, service, namespace string) (addresses []netip.Addr, found bool)
	// NamespaceOf gives the namespace of the pod with that address, or "".
	NamespaceOf(address netip.Addr) string
}

// Options of Open.
type Options struct {
	// Dir keeps the chosen subnet between starts; its path also names the link to the router.
	Dir string
	// Router is the network namespace of a former run's router, to be used again with the pods that it joins.
	Router    *os.File
	Forwards  []Forward
	Directory Directory
	Logger    *slog.Logger
}
