// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/policy"
)

// PolicyError tells why rules between pods are not in force; nil when they are.
func (n *Network) PolicyError() error { return n.router.closed }

// SetRules puts the rules in force, all at once, and then ends the connections that they no longer allow. When it
// fails with kind Unavailable the former rules stay. It does nothing when PolicyError is not nil.
func (n *Network) SetRules(rules policy.Rules) error {
	if n.router.closed != nil {
		return nil
	}
	if err := n.router.apply(rules, n.vethName(servicesID)); err != nil {
		return fault.Wrap(fault.Unavailable, "node.network: rules between pods", err)
	}
	n.rules.Store(&rules)
	return nil
}

// CutConnections ends those between pods that the present rules do not allow.
func (n *Network) CutConnections() error {
	rules := n.rules.Load()
	if n.router.closed != nil || rules == nil {
		return nil
	}
	n.services.cut()
	_, err := whole(func() ([]struct{}, error) {
		_, err := n.router.handle.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, forbidden{*rules})
		return nil, err
	})
	return fault.Wrap(fault.Unavailable, "node.network: connections that are no longer allowed", err)
}

// allows tells whether a pod may connect to another; everything may while rules are not in force.
func (n *Network) allows(from, to netip.Addr, port uint16) bool {
	rules := n.rules.Load()
	return n.router.closed != nil || rules != nil && rules.Allows(from, to, policy.TCP, port)
}

// forbidden matches what conntrack knows of connections between two pods that the rules do not allow.
type forbidden struct{ rules policy.Rules }

// MatchConntrackFlow is called for every connection.
func (f forbidden) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	from, _ := netip.AddrFromSlice(flow.Forward.SrcIP)
	to, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	from, to = from.Unmap(), to.Unmap()
	_, opens := f.rules[from]
	_, accepts := f.rules[to]
	return opens && accepts && !f.rules.Allows(from, to, flow.Forward.Protocol, flow.Forward.DstPort)
}

// probe exercises everything that rules are made of.
func probe(a netip.Addr) policy.Rules {
	one := policy.Direction{Closed: true, Allow: []policy.Allow{
		{Peers: []policy.Range{{First: a, Last: a}}, Ports: []policy.Ports{{Protocol: policy.SCTP, First: 1, Last: 2}}},
	}}
	return policy.Rules{a: {Ingress: one, Egress: one}}
}

// openFilter closes the way between pods until there are rules.
func (r *router) openFilter(services string) {
	if r.filtered() {
		return // the former rules hold until there are new ones
	}
	if r.closed = r.apply(probe(r.address), services); r.closed == nil {
		r.closed = r.apply(policy.Rules{}, services)
	}
	if r.closed != nil {
		if c, err := nftables.New(nftables.WithNetNSFd(int(r.ns.Net.Fd()))); err == nil {
			c.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: policyTable})
			_ = c.Flush() // an error says that there was no such table
		}
		return
	}
	// Packets of a connection that conntrack has been told to forget are not the beginning of a new one; those that
	// merely look late are still its packets. Both are best effort: without, the former are judged as new ones.
	for name, value := range map[string]string{"nf_conntrack_tcp_loose": "0", "nf_conntrack_tcp_be_liberal": "1"} {
		_ = r.settings(map[string]string{"netfilter/" + name: value})
	}
}

const policyTable = "fathom-policies"

// apply replaces the filter in one transaction.
func (r *router) apply(rules policy.Rules, services string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.filter
	if c == nil {
		var err error
		if c, err = nftables.New(nftables.WithNetNSFd(int(r.ns.Net.Fd())), nftables.WithSockOptions(wide), nftables.AsLasting()); err != nil {
			return err
		}
		r.filter = c
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: policyTable}
	c.AddTable(table) // so that there is one to delete
	c.DelTable(table)
	b := &filterBuilder{c: c, table: c.AddTable(table), chains: map[string]string{}}
	err := b.build(rules, services)
	if err == nil {
		err = c.Flush()
	}
	if err != nil { // what is left in the connection is unknown
		r.filter = nil
		_ = c.CloseLasting()
	}
	return err
}

// buffered is a netlink socket.
type buffered interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// wide makes room for a transaction, which is one message, and for the answers to it: the rules of about a hundred gangs
// exceed the usual limits. Bytes; the kernel takes memory as it is used.
func wide[C buffered](c C) error {
	const room = 32 << 20
	return errors.Join(c.SetReadBuffer(room), c.SetWriteBuffer(room))
}

// filterBuilder writes rules as chains: forward judges what is not a pod's business and goes on to egress, which sends
// each pod's packets to what it may open; what may be opened goes on to ingress, which sends it to what the receiver
// accepts. What falls through, and whoever is unknown, is refused. Pods of the same rules share a chain.
type filterBuilder struct {
	c      *nftables.Conn
	table  *nftables.Table
	chains map[string]string // name by content
}

func (b *filterBuilder) build(rules policy.Rules, services string) error {
	drop := nftables.ChainPolicyDrop
	forward := b.c.AddChain(&nftables.Chain{Name: "forward", Table: b.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	refuse, ingress, egress := b.chain("refuse"), b.chain("ingress"), b.chain("egress")
	b.refusal(refuse)
	accept, jump := verdict(expr.VerdictAccept, ""), func(to string) *expr.Verdict { return verdict(expr.VerdictGoto, to) }
	for _, link := range []string{hostLink, services} {
		b.rule(forward, accept, linkIs(expr.MetaKeyIIFNAME, link)...)
		b.rule(forward, accept, linkIs(expr.MetaKeyOIFNAME, link)...)
	}
	b.rule(forward, accept, established()...)
	b.rule(forward, jump("refuse"), state(expr.CtStateBitINVALID)...)
	b.rule(forward, jump("egress"), ipv4()...)

	opens := make([]nftables.SetElement, 0, len(rules))
	accepts := make([]nftables.SetElement, 0, len(rules))
	for address, r := range rules {
		opens = append(opens, nftables.SetElement{Key: address.AsSlice(), VerdictData: b.direction("e", r.Egress, 16, jump("ingress"))})
		accepts = append(accepts, nftables.SetElement{Key: address.AsSlice(), VerdictData: b.direction("i", r.Ingress, 12, accept)})
	}
	if err := b.byAddress(egress, "opens", 12, opens); err != nil {
		return err
	}
	b.rule(egress, jump("refuse"))
	if err := b.byAddress(ingress, "accepts", 16, accepts); err != nil {
		return err
	}
	b.rule(ingress, jump("refuse"))
	return nil
}

func (b *filterBuilder) chain(name string) *nftables.Chain {
	return b.c.AddChain(&nftables.Chain{Name: name, Table: b.table})
}

func (b *filterBuilder) rule(chain *nftables.Chain, v *expr.Verdict, match ...expr.Any) {
	b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: append(match, v)})
}

// refusal answers, so that programs need not wait for what will not come.
func (b *filterBuilder) refusal(chain *nftables.Chain) {
	add := func(exprs ...expr.Any) { b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: exprs}) }
	add(append(protocol(unix.IPPROTO_TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})...)
	add(&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
}

// byAddress looks the address at offset of the IPv4 header up.
func (b *filterBuilder) byAddress(chain *nftables.Chain, name string, offset uint32, elements []nftables.SetElement) error {
	set := &nftables.Set{Table: b.table, Name: name, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeVerdict}
	if err := b.c.AddSet(set, elements); err != nil {
		return err
	}
	b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: []expr.Any{
		addressAt(offset), &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, DestRegister: 0, IsDestRegSet: true},
	}})
	return nil
}

// direction makes the chain of a direction, unless there is one, and says where to go on. The peer's address is at
// offset of the IPv4 header.
func (b *filterBuilder) direction(kind string, d policy.Direction, offset uint32, next *expr.Verdict) *expr.Verdict {
	if !d.Closed {
		return next
	}
	content := fmt.Sprint(kind, d.Allow)
	name, made := b.chains[content]
	if !made {
		name = fmt.Sprint(kind, len(b.chains))
		b.chains[content] = name
		chain := b.chain(name)
		for _, a := range d.Allow {
			b.allow(chain, a, offset, next)
		}
		b.rule(chain, verdict(expr.VerdictGoto, "refuse"))
	}
	return verdict(expr.VerdictGoto, name)
}

// allow writes a rule for every pair of a range and ports.
func (b *filterBuilder) allow(chain *nftables.Chain, a policy.Allow, offset uint32, next *expr.Verdict) {
	peers := [][]expr.Any{nil}
	if a.Peers != nil {
		peers = peers[:0]
		for _, r := range a.Peers {
			peers = append(peers, []expr.Any{addressAt(offset), within(r.First.AsSlice(), r.Last.AsSlice())})
		}
	}
	ports := [][]expr.Any{nil}
	if a.Ports != nil {
		ports = ports[:0]
		for _, p := range a.Ports {
			ports = append(ports, append(protocol(p.Protocol),
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
				within(binaryutil.BigEndian.PutUint16(p.First), binaryutil.BigEndian.PutUint16(p.Last))))
		}
	}
	for _, peer := range peers {
		for _, port := range ports {
			b.rule(chain, next, append(append([]expr.Any{}, peer...), port...)...)
		}
	}
}

func within(first, last []byte) expr.Any {
	if bytes.Equal(first, last) {
		return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: first}
	}
	return &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: first, ToData: last}
}

func addressAt(offset uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

func ipv4() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
	}
}

func verdict(kind expr.VerdictKind, chain string) *expr.Verdict {
	return &expr.Verdict{Kind: kind, Chain: chain}
}
