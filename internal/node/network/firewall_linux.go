// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: "fathom-" + n.tag}
}

// openFilter lets pods reach only the given ports of the host and lets the host forward nothing from or to them. Answers
// to connections that the host opened pass.
func (n *Network) openFilter(ports []uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	n.closeFilter()
	table := c.AddTable(n.table())
	accept := nftables.ChainPolicyAccept
	input := c.AddChain(&nftables.Chain{Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &accept})
	forward := c.AddChain(&nftables.Chain{Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept})
	rule := func(chain *nftables.Chain, verdict expr.VerdictKind, match ...expr.Any) {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Verdict{Kind: verdict})})
	}
	from := func(more ...expr.Any) []expr.Any { return append(linkIs(expr.MetaKeyIIFNAME, n.linkName()), more...) }

	rule(input, expr.VerdictAccept, from(established()...)...)
	rule(input, expr.VerdictAccept, from(protocol(unix.IPPROTO_ICMP)...)...)
	rule(input, expr.VerdictAccept, from(destination(unix.IPPROTO_UDP, 53)...)...)
	for _, p := range ports {
		rule(input, expr.VerdictAccept, from(destination(unix.IPPROTO_TCP, p)...)...)
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: input, Exprs: append(from(protocol(unix.IPPROTO_TCP)...), // refused, not just unanswered
		&expr.Reject{Type: unix.NFT_REJECT_TCP_RST})})
	rule(input, expr.VerdictDrop, from()...)
	rule(forward, expr.VerdictDrop, linkIs(expr.MetaKeyIIFNAME, n.linkName())...) // pods lead nowhere but to the host
	rule(forward, expr.VerdictDrop, linkIs(expr.MetaKeyOIFNAME, n.linkName())...)
	return c.Flush()
}

func (n *Network) closeFilter() {
	if c, err := nftables.New(); err == nil {
		c.DelTable(n.table())
		_ = c.Flush() // an error says that there was no such table
	}
}

// linkIs compares the name of the link that a packet came, or goes, by.
func linkIs(key expr.MetaKey, name string) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
	}
}

func established() []expr.Any { return state(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED) }

func state(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0, 0, 0, 0}},
	}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

func destination(number byte, port uint16) []expr.Any {
	return append(protocol(number),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)})
}
