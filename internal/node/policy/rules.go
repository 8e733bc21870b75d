// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// Rules say for every pod, by address, which connections it may open and accept. An address that is not among them is
// nobody's: nothing passes.
type Rules map[netip.Addr]PodRules

// PodRules are those of one pod.
type PodRules struct{ Ingress, Egress Direction }

// Direction is what one pod may accept, or open. The zero value is everything.
type Direction struct {
	// Closed but for what Allow says: a policy selects the pod.
	Closed bool
	Allow  []Allow
}

// Allow admits connections with any of the peers on any of the ports.
type Allow struct {
	// Peers; nil is everybody.
	Peers []Range
	// Ports; nil is every port of every protocol.
	Ports []Ports
}

// Range of addresses, both ends included.
type Range struct{ First, Last netip.Addr }

// Ports of a protocol, both ends included.
type Ports struct {
	Protocol    byte
	First, Last uint16
}

// Allows tells whether a connection may be opened. A port is that of the accepting end; for protocols without ports it
// is 0.
func (r Rules) Allows(from, to netip.Addr, protocol byte, port uint16) bool {
	opens, known := r[from]
	accepts, found := r[to]
	return known && found && opens.Egress.admits(to, protocol, port) && accepts.Ingress.admits(from, protocol, port)
}

func (d Direction) admits(peer netip.Addr, protocol byte, port uint16) bool {
	if !d.Closed {
		return true
	}
	return slices.ContainsFunc(d.Allow, func(a Allow) bool {
		return (a.Peers == nil || slices.ContainsFunc(a.Peers, func(r Range) bool { return r.Contains(peer) })) &&
			(a.Ports == nil || slices.ContainsFunc(a.Ports, func(p Ports) bool {
				return p.Protocol == protocol && p.First <= port && port <= p.Last
			}))
	})
}

// Contains tells whether the address is within the range.
func (r Range) Contains(a netip.Addr) bool { return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 }

// merge sorts ranges and joins those that touch.
func merge(list []Range) []Range {
	slices.SortFunc(list, func(a, b Range) int { return a.First.Compare(b.First) })
	out := list[:0:0]
	for _, r := range list {
		if last := len(out) - 1; last >= 0 && touches(out[last].Last, r.First) {
			if out[last].Last.Less(r.Last) {
				out[last].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches tells whether nothing lies between the end of a range and the beginning of the next.
func touches(end, next netip.Addr) bool {
	after := end.Next()
	return !after.IsValid() || next.Compare(after) <= 0
}

// without cuts a range out of others.
func without(list []Range, cut Range) []Range {
	var out []Range
	for _, r := range list {
		if cut.Last.Less(r.First) || r.Last.Less(cut.First) {
			out = append(out, r)
			continue
		}
		if r.First.Less(cut.First) {
			out = append(out, Range{r.First, cut.First.Prev()})
		}
		if cut.Last.Less(r.Last) {
			out = append(out, Range{cut.Last.Next(), r.Last})
		}
	}
	return out
}

// rangeOf is the range of an IPv4 prefix.
func rangeOf(p netip.Prefix) Range {
	p = p.Masked()
	last := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return Range{p.Addr(), netip.AddrFrom4(last)}
}

func comparePorts(a, b Ports) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}
