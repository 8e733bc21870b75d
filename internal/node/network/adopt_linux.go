// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

// Permitted tells why pods cannot have a network here: some systems permit namespaces, but not the kernel settings that a
// router needs (/proc/sys is read-only in many containers).
func Permitted() error {
	ns, err := NewNamespaces("probe")
	if err != nil {
		return err
	}
	defer ns.Close()
	return fault.Wrap(fault.Forbidden, "node.network: kernel settings of a router", (&router{ns: ns}).settings(routing))
}

// adoptRouter takes over the router of a former run, as long as it still has its link to the host; nil otherwise.
func adoptRouter(ns *os.File, link string, address netip.Addr) *router {
	if ns == nil {
		return nil
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		_ = ns.Close()
		return nil
	}
	r := &router{ns: &Namespaces{Net: ns}, handle: handle, address: address, adopted: true}
	_, inside := handle.LinkByName(hostLink)
	if _, outside := netlink.LinkByName(link); inside != nil || outside != nil {
		r.close()
		return nil
	}
	return r
}

// filtered tells whether an adopted router still has its rules.
func (r *router) filtered() bool {
	if !r.adopted {
		return false
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(r.ns.Net.Fd())))
	if err != nil {
		return false
	}
	_, err = c.ListTable(policyTable)
	return err == nil
}

// Adopted tells whether the router is that of a former run.
func (n *Network) Adopted() bool { return n.router.adopted }

// Router is the network namespace of the router.
func (n *Network) Router() *os.File { return n.router.ns.Net }

// Reattach takes over a pod of a former run that is attached to an adopted router.
func (n *Network) Reattach(id string, address netip.Addr) error {
	if _, err := n.router.handle.LinkByName(n.vethName(id)); err != nil {
		return fault.Wrap(fault.NotFound, "node.network: link of the pod", err)
	}
	return n.addresses.claim(address)
}

// Leave stops serving, and leaves the router, its rules and the pods' links as they are.
func (n *Network) Leave() {
	for _, f := range n.forwards {
		f.close()
	}
	if n.names != nil {
		n.names.close()
	}
	n.services.close()
	n.router.close()
}
