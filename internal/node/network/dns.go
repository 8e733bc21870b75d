// SPDX-License-Identifier: Apache-2.0

package network

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// answerTTL is short: the answer is the set of pods that are ready now. Seconds.
const answerTTL = 1

// names answers the questions of pods.
type names struct {
	directory Directory
	forwards  map[string]netip.Addr
	udp, tcp  *dns.Server
}

// forwardNames maps every name of the forwards to the address at which pods reach them.
func forwardNames(forwards []Forward, address netip.Addr) map[string]netip.Addr {
	all := map[string]netip.Addr{}
	for _, f := range forwards {
		for _, name := range f.Names() {
			all[strings.ToLower(name)] = address
		}
	}
	return all
}

// serveNames starts a DNS server, over UDP and TCP, at address (host:port).
func serveNames(address string, directory Directory, forwards map[string]netip.Addr) (*names, error) {
	n := &names{directory: directory, forwards: forwards}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		_ = packets.Close()
		return nil, err
	}
	ready := make(chan struct{}, 2)
	started := func() { ready <- struct{}{} }
	n.udp = &dns.Server{PacketConn: packets, Handler: n, NotifyStartedFunc: started}
	n.tcp = &dns.Server{Listener: listener, Handler: n, NotifyStartedFunc: started}
	go func() { _ = n.udp.ActivateAndServe() }()
	go func() { _ = n.tcp.ActivateAndServe() }()
	<-ready
	<-ready
	return n, nil
}

func (n *names) close() {
	_ = n.udp.Shutdown()
	_ = n.tcp.Shutdown()
}

// ServeDNS answers one question: addresses, an empty answer for a known name without any (or for IPv6), or NXDOMAIN.
func (n *names) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg).SetReply(q)
	reply.Authoritative = true
	reply.RecursionAvailable = true
	defer func() { _ = w.WriteMsg(reply) }()
	if len(q.Question) != 1 {
		reply.Rcode = dns.RcodeFormatError
		return
	}
	question := q.Question[0]
	addresses, found := n.lookup(question.Name, clientNamespace(w, n.directory))
	if !found {
		reply.Rcode = dns.RcodeNameError
		return
	}
	if question.Qtype != dns.TypeA && question.Qtype != dns.TypeANY {
		return
	}
	addresses = slices.Clone(addresses)
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	for _, a := range addresses {
		reply.Answer = append(reply.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: answerTTL},
			A:   a.AsSlice(),
		})
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		reply.Truncate(udpSize(q))
	}
}

func udpSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil && opt.UDPSize() > dns.MinMsgSize {
		return int(opt.UDPSize())
	}
	return dns.MinMsgSize
}

func clientNamespace(w dns.ResponseWriter, d Directory) string {
	from, err := netip.ParseAddrPort(w.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return d.NamespaceOf(from.Addr().Unmap())
}

// lookup resolves a fully qualified name, or a short one as the pod's search domains would: svc, svc.ns, host.svc,
// host.svc.ns, each with or without ".svc" and ".svc.cluster.local".
func (n *names) lookup(name, namespace string) ([]netip.Addr, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if a, ok := n.forwards[name]; ok {
		return []netip.Addr{a}, true
	}
	name = strings.TrimSuffix(name, "."+ClusterDomain)
	name = strings.TrimSuffix(name, ".svc")
	switch l := strings.Split(name, "."); len(l) {
	case 1:
		return n.directory.Resolve("", l[0], namespace)
	case 2:
		if found, ok := n.directory.Resolve("", l[0], l[1]); ok {
			return found, true
		}
		return n.directory.Resolve(l[0], l[1], namespace)
	case 3:
		return n.directory.Resolve(l[0], l[1], l[2])
	}
	return nil, false
}
