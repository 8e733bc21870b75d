// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Compile works out the rules of all pods. Namespaces maps the names of namespaces to their labels; one that is missing
// has none. Pods with an invalid address are left out.
func Compile(policies []*networkingv1.NetworkPolicy, pods []Pod, namespaces map[string]map[string]string) Rules {
	c := compiler{pods: slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return !p.Address.Is4() }), namespaces: namespaces}
	slices.SortFunc(c.pods, func(a, b Pod) int { return a.Address.Compare(b.Address) })
	policies = slices.Clone(policies)
	slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int { // the same objects give the same rules
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	compiled := make([]compiledPolicy, len(policies))
	for i, p := range policies {
		compiled[i] = c.policy(p)
	}
	rules := Rules{}
	for _, pod := range c.pods {
		rules[pod.Address] = c.pod(pod, compiled)
	}
	return rules
}

// Closed tells whether policies close a pod in both directions. Further policies can then only open it.
func Closed(policies []*networkingv1.NetworkPolicy, pod Pod) bool {
	var ingress, egress bool
	for _, p := range policies {
		if p.Namespace != pod.Namespace {
			continue
		}
		if s, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector); err == nil && s.Matches(labels.Set(pod.Labels)) {
			i, e := directions(&p.Spec)
			ingress, egress = ingress || i, egress || e
		}
	}
	return ingress && egress
}

type compiler struct {
	pods       []Pod
	namespaces map[string]map[string]string
}

// compiledPolicy is a policy whose peers are addresses. Named ports of ingress depend on the pod that accepts, so they
// wait until it is known.
type compiledPolicy struct {
	namespace       string
	selects         labels.Selector
	ingress, egress bool
	accepts         []ingressRule
	opens           []Allow
}

type ingressRule struct {
	peers []Range
	ports []networkingv1.NetworkPolicyPort
}

func (c compiler) pod(pod Pod, policies []compiledPolicy) PodRules {
	var r PodRules
	for _, p := range policies {
		if p.namespace != pod.Namespace || !p.selects.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if p.ingress {
			r.Ingress.Closed = true
			for _, rule := range p.accepts {
				if ports, some := portsAt(rule.ports, pod); some {
					r.Ingress.Allow = append(r.Ingress.Allow, Allow{rule.peers, ports})
				}
			}
		}
		if p.egress {
			r.Egress.Closed = true
			r.Egress.Allow = append(r.Egress.Allow, p.opens...)
		}
	}
	return r
}

func (c compiler) policy(p *networkingv1.NetworkPolicy) compiledPolicy {
	out := compiledPolicy{namespace: p.Namespace}
	var err error
	if out.selects, err = metav1.LabelSelectorAsSelector(&p.Spec.PodSelector); err != nil {
		out.selects = labels.Everything() // what cannot be read closes
	}
	out.ingress, out.egress = directions(&p.Spec)
	for _, rule := range p.Spec.Ingress {
		if peers, some := c.peers(p.Namespace, rule.From); some {
			out.accepts = append(out.accepts, ingressRule{peers, rule.Ports})
		}
	}
	for _, rule := range p.Spec.Egress {
		out.opens = append(out.opens, c.egress(p.Namespace, rule)...)
	}
	return out
}

// directions are those that the policy closes: without policyTypes ingress always, egress if it has rules for it.
func directions(s *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(s.PolicyTypes) == 0 {
		return true, len(s.Egress) > 0
	}
	return slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeIngress), slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeEgress)
}

// egress gives one Allow for the ports with numbers and one for each pod that has a port of a wanted name.
func (c compiler) egress(namespace string, rule networkingv1.NetworkPolicyEgressRule) []Allow {
	peers, some := c.peers(namespace, rule.To)
	if !some {
		return nil
	}
	numbers, names := splitPorts(rule.Ports)
	if len(names) == 0 {
		ports, _ := portsAt(numbers, Pod{})
		return []Allow{{peers, ports}}
	}
	var out []Allow
	if ports, some := portsAt(numbers, Pod{}); some && len(numbers) > 0 {
		out = append(out, Allow{peers, ports})
	}
	for _, pod := range c.pods {
		if peers != nil && !slices.ContainsFunc(peers, func(r Range) bool { return r.Contains(pod.Address) }) {
			continue
		}
		if ports, some := portsAt(names, pod); some {
			out = append(out, Allow{[]Range{{pod.Address, pod.Address}}, ports})
		}
	}
	return out
}

func splitPorts(list []networkingv1.NetworkPolicyPort) (numbers, names []networkingv1.NetworkPolicyPort) {
	for _, p := range list {
		if p.Port != nil && p.Port.Type == intstr.String {
			names = append(names, p)
		} else {
			numbers = append(numbers, p)
		}
	}
	return numbers, names
}

// portsAt resolves ports at the pod that accepts; nil ports are all. some is false when ports are asked for and the pod
// has none of them.
func portsAt(list []networkingv1.NetworkPolicyPort, pod Pod) (ports []Ports, some bool) {
	if len(list) == 0 {
		return nil, true
	}
	for _, p := range list {
		protocol := protocolNumber(p.Protocol)
		switch {
		case p.Port == nil:
			ports = append(ports, Ports{protocol, 0, 65535})
		case p.Port.Type == intstr.Int:
			first := uint16(p.Port.IntVal) //nolint:gosec // a port
			last := first
			if p.EndPort != nil {
				last = uint16(*p.EndPort) //nolint:gosec // a port
			}
			ports = append(ports, Ports{protocol, first, last})
		default:
			for _, n := range pod.Ports {
				if n.Name == p.Port.StrVal && n.Protocol == protocol {
					ports = append(ports, Ports{protocol, n.Port, n.Port})
				}
			}
		}
	}
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports), len(ports) > 0
}

// peers resolves peers to addresses; nil peers are everybody. some is false when peers are asked for and there is none.
func (c compiler) peers(namespace string, list []networkingv1.NetworkPolicyPeer) (peers []Range, some bool) {
	if len(list) == 0 {
		return nil, true
	}
	for _, p := range list {
		if p.IPBlock != nil {
			peers = append(peers, block(p.IPBlock)...)
		} else {
			peers = append(peers, c.selected(namespace, p)...)
		}
	}
	peers = merge(peers)
	return peers, len(peers) > 0
}

// block is the ranges of an IPv4 block; pods have no other addresses. An exception that cannot be read excepts all.
func block(b *networkingv1.IPBlock) []Range {
	whole, err := netip.ParsePrefix(b.CIDR)
	if err != nil || !whole.Addr().Is4() {
		return nil
	}
	list := []Range{rangeOf(whole)}
	for _, text := range b.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || !except.Addr().Is4() {
			return nil
		}
		list = without(list, rangeOf(except))
	}
	return list
}

// selected is the addresses of the pods of a peer: of the policy's own namespace, or of those that it selects.
func (c compiler) selected(own string, p networkingv1.NetworkPolicyPeer) []Range {
	pods, err := selectorOr(p.PodSelector, labels.Everything())
	if err != nil {
		return nil
	}
	namespaces, err := selectorOr(p.NamespaceSelector, nil)
	if err != nil {
		return nil
	}
	var list []Range
	for _, pod := range c.pods {
		here := pod.Namespace == own
		if namespaces != nil {
			here = namespaces.Matches(labels.Set(c.namespaces[pod.Namespace]))
		}
		if here && pods.Matches(labels.Set(pod.Labels)) {
			list = append(list, Range{pod.Address, pod.Address})
		}
	}
	return list
}

func selectorOr(s *metav1.LabelSelector, otherwise labels.Selector) (labels.Selector, error) {
	if s == nil {
		return otherwise, nil
	}
	return metav1.LabelSelectorAsSelector(s)
}
