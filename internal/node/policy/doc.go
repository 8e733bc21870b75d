// SPDX-License-Identifier: Apache-2.0

// Package policy works out which pods of the local node may open connections to which.
//
// [Compile] turns NetworkPolicies, pods and the labels of namespaces into [Rules]; it is pure. A pod that no policy
// selects is open in both directions; a pod that a policy selects is closed in that policy's directions but for what
// the union of its policies allows, as the API of networking.k8s.io/v1 says. A connection needs the leave of both ends.
//
// Rules are about connections between pods. The host reaches every pod, and every pod the node's forwards and its DNS
// server, whatever the policies say; that is the business of package network, which puts Rules in force.
package policy

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
)

// Numbers of protocols.
const (
	TCP  byte = 6
	UDP  byte = 17
	SCTP byte = 132
)

// Pod is what policies see of a pod.
type Pod struct {
	Namespace string
	Labels    map[string]string
	Address   netip.Addr
	// Ports are the ports that its containers name.
	Ports []NamedPort
}

// NamedPort is a port of a container that has a name.
type NamedPort struct {
	Name     string
	Protocol byte
	Port     uint16
}

// NamedPorts lists those of a pod's containers.
func NamedPorts(pod *v1.Pod) []NamedPort {
	var list []NamedPort
	for _, containers := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			for _, p := range c.Ports {
				if p.Name != "" {
					list = append(list, NamedPort{p.Name, protocolNumber(&p.Protocol), uint16(p.ContainerPort)}) //nolint:gosec // a port
				}
			}
		}
	}
	return list
}

func protocolNumber(p *v1.Protocol) byte {
	if p == nil {
		return TCP
	}
	switch *p {
	case v1.ProtocolUDP:
		return UDP
	case v1.ProtocolSCTP:
		return SCTP
	case v1.ProtocolTCP:
	}
	return TCP
}
