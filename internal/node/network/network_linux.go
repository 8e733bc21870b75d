// SPDX-License-Identifier: Apache-2.0

package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/policy"
)

// Network is the pods' side of the host.
type Network struct {
	router    *router
	rules     atomic.Pointer[policy.Rules] // nil before SetRules
	tag       string                       // distinguishes this state directory's links and filter from another's
	addresses *addresses
	forwards  []*forwarder
	names     *names
	hosts     map[string]netip.Addr
	filter    error
	directory Directory
	services  *services
}

// Open makes the router, the packet filters, the forwards and the DNS server. It needs the right to administer the
// host's network. Pods reach each other only as SetRules says, unless PolicyError tells that this cannot be enforced.
func Open(o Options) (*Network, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "node.network", err)
	}
	sum := sha256.Sum256([]byte(dir))
	n := &Network{tag: hex.EncodeToString(sum[:4]), directory: o.Directory}
	n.services = &services{network: n, proxies: map[ServiceName]*serviceProxy{}, joins: map[*join]bool{}}
	used, err := usedPrefixes(n.linkName())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.network", err)
	}
	subnet, err := subnetOf(dir, used)
	if err != nil {
		return nil, err
	}
	n.addresses = newAddresses(subnet)
	if n.router = adoptRouter(o.Router, n.linkName(), n.addresses.router()); n.router == nil {
		n.router, err = openRouter(n.linkName(), n.Gateway(), n.addresses.router(), subnet)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "node.network: router "+n.linkName(), err)
	}
	if n.router.openFilter(n.vethName(servicesID)); n.router.closed != nil && o.Logger != nil {
		o.Logger.Warn("NetworkPolicies cannot be enforced", "error", n.router.closed)
	}
	if err := n.openServices(o); err != nil {
		_ = n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Network) openServices(o Options) error {
	ports := []uint16{53}
	for _, f := range o.Forwards {
		fw, err := listenForward(n.Gateway(), f, n.addresses.prefix)
		if err != nil {
			return fault.Wrap(fault.Unavailable, "node.network: forward "+f.Name, err)
		}
		n.forwards = append(n.forwards, fw)
		ports = append(ports, uint16(f.Port)) //nolint:gosec // a TCP port that was just listened on
	}
	if n.filter = n.openFilter(ports); n.filter != nil && o.Logger != nil {
		o.Logger.Warn("packet filter is not available: pods can reach services that the host offers on all addresses", "error", n.filter)
	}
	n.hosts = forwardNames(o.Forwards, n.Gateway())
	var err error
	n.names, err = serveNames(net.JoinHostPort(n.Gateway().String(), "53"), withServices{o.Directory, n.services}, n.hosts)
	return fault.Wrap(fault.Unavailable, "node.network: DNS", err)
}

// Gateway is the host's address: where pods find the forwards and the DNS server.
func (n *Network) Gateway() netip.Addr { return n.addresses.gateway() }

// Hosts maps the names of forwards to their address.
func (n *Network) Hosts() map[string]netip.Addr { return n.hosts }

// FilterError tells why the packet filter is not in force; nil when it is.
func (n *Network) FilterError() error { return n.filter }

// linkName is that of the link to the router.
func (n *Network) linkName() string { return "fathom" + n.tag }

func (n *Network) vethName(id string) string {
	sum := sha256.Sum256([]byte(n.tag + id))
	return "fv" + hex.EncodeToString(sum[:6])
}

// usedPrefixes lists what the host's interfaces and routes use, except the link of that name.
func usedPrefixes(except string) ([]netip.Prefix, error) {
	own := -1
	if l, err := netlink.LinkByName(except); err == nil {
		own = l.Attrs().Index
	}
	var used []netip.Prefix
	add := func(index int, ipNet *net.IPNet) {
		if ipNet == nil || index == own {
			return
		}
		if a, ok := netip.AddrFromSlice(ipNet.IP); ok {
			ones, _ := ipNet.Mask.Size()
			used = append(used, netip.PrefixFrom(a.Unmap(), ones))
		}
	}
	addrs, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		add(a.LinkIndex, a.IPNet)
	}
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		add(r.LinkIndex, r.Dst)
	}
	return used, nil
}

// whole repeats a listing that the kernel interrupted because something on the host changed meanwhile. On a host that does
// not come to rest the last listing is used: what it may lack is looked at again.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	const tries = 20
	for try := 1; ; try++ {
		out, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
		if try == tries {
			return out, nil
		}
	}
}

// Attach gives the network namespace behind ns an interface eth0 with a free address.
func (n *Network) Attach(id string, ns *os.File) (netip.Addr, error) {
	address, err := n.addresses.take()
	if err != nil {
		return netip.Addr{}, err
	}
	if err := n.router.attach(n.vethName(id), netns.NsHandle(ns.Fd()), address, n.addresses.prefix); err != nil {
		n.router.detach(n.vethName(id))
		n.addresses.release(address)
		return netip.Addr{}, fault.Wrap(fault.Unavailable, "node.network: attach pod", err)
	}
	return address, nil
}

// awaitUp waits, briefly, until a link passes packets: the kernel enables it some time after it has
// been set up. What is sent before is lost and sent again a second later.
func awaitUp(find func() (netlink.Link, error)) {
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); time.Sleep(500 * time.Microsecond) {
		if l, err := find(); err != nil || l.Attrs().OperState == netlink.OperUp {
			return
		}
	}
}

// Detach removes a pod's interface and frees its address.
func (n *Network) Detach(id string, address netip.Addr) {
	n.router.detach(n.vethName(id))
	n.addresses.release(address)
}

// Close removes everything from the host.
func (n *Network) Close() error {
	for _, f := range n.forwards {
		f.close()
	}
	if n.names != nil {
		n.names.close()
	}
	n.services.close()
	n.closeFilter()
	link, err := netlink.LinkByName(n.linkName())
	if err == nil {
		err = netlink.LinkDel(link) // the router's end goes with it
	}
	n.router.close()
	return fault.Wrap(fault.Internal, "node.network: remove the router", err)
}

// disableIPv6 is best effort: without it the link-local address is still covered by the packet filter.
func disableIPv6(conf string) {
	_ = os.WriteFile(conf+"/disable_ipv6", []byte("1"), 0o644) //nolint:gosec // a kernel setting
}
