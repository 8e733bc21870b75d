// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// hostLink is the router's interface towards the host.
const hostLink = "host"

// router joins the pods with each other and with the host: every pod's link ends in it, and what goes from one to
// another is routed, so that the packet filter sees it. It has a network namespace of its own: neither rules that
// others make for the host's forwarding nor whether the host forwards at all matter to pods, and everything in it ends
// with this process.
type router struct {
	ns      *Namespaces
	handle  *netlink.Handle
	address netip.Addr
	// closed is why the filter between pods is not in force.
	closed  error
	adopted bool

	mu     sync.Mutex
	filter *nftables.Conn // stays open: the kernel makes the end of a connection wait some 15 ms
}

// openRouter makes the namespace and its link to the host, which is called name there.
func openRouter(name string, gateway, address netip.Addr, subnet netip.Prefix) (*router, error) {
	ns, err := NewNamespaces("router")
	if err != nil {
		return nil, err
	}
	r := &router{ns: ns, address: address}
	if r.handle, err = netlink.NewHandleAt(netns.NsHandle(ns.Net.Fd()), unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		ns.Close()
		return nil, err
	}
	if err := r.connectHost(name, gateway, subnet); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// routing is the kernel settings of a router that lets nobody send under another's address.
var routing = map[string]string{"ipv4/conf/all/rp_filter": "1", "ipv4/conf/default/rp_filter": "1", "ipv4/ip_forward": "1"}

func (r *router) connectHost(name string, gateway netip.Addr, subnet netip.Prefix) error {
	if err := r.settings(routing); err != nil {
		return err
	}
	lo, err := r.handle.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := r.handle.AddrAdd(lo, hostAddress(r.address)); err != nil {
		return err
	}
	if err := r.handle.LinkSetUp(lo); err != nil {
		return err
	}
	if old, err := netlink.LinkByName(name); err == nil { // of a run that was killed
		_ = netlink.LinkDel(old)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: hostLink, PeerNamespace: netlink.NsFd(r.ns.Net.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	if err := r.route(hostLink, gateway); err != nil {
		return err
	}
	disableIPv6("/proc/sys/net/ipv6/conf/" + name)
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer host.Close()
	return configureEnd(host, name, gateway, r.address, subnet)
}

// configureEnd gives the far end of a link its address and routes: to the router, and through it to the subnet.
func configureEnd(h *netlink.Handle, name string, address, router netip.Addr, subnet netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	if err := h.AddrAdd(link, hostAddress(address)); err != nil {
		return err
	}
	if err := h.LinkSetUp(link); err != nil {
		return err
	}
	index := link.Attrs().Index
	if err := h.RouteReplace(&netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: hostAddress(router).IPNet, Src: address.AsSlice()}); err != nil {
		return err
	}
	return h.RouteReplace(&netlink.Route{LinkIndex: index, Gw: router.AsSlice(), Src: address.AsSlice(),
		Dst: &net.IPNet{IP: subnet.Addr().AsSlice(), Mask: net.CIDRMask(subnet.Bits(), 32)}})
}

// attach links the network namespace behind ns, where the link is eth0.
func (r *router) attach(name string, ns netns.NsHandle, address netip.Addr, subnet netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
	if err := r.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := inside.LinkSetUp(lo); err != nil {
		return err
	}
	if err := configureEnd(inside, "eth0", address, r.address, subnet); err != nil {
		return err
	}
	if err := r.route(name, address); err != nil {
		return err
	}
	awaitUp(func() (netlink.Link, error) { return inside.LinkByName("eth0") })
	awaitUp(func() (netlink.Link, error) { return r.handle.LinkByName(name) })
	return nil
}

// route sends what is for the address to the link.
func (r *router) route(name string, address netip.Addr) error {
	link, err := r.handle.LinkByName(name)
	if err != nil {
		return err
	}
	if err := r.handle.LinkSetUp(link); err != nil {
		return err
	}
	return r.handle.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: hostAddress(address).IPNet, Src: r.address.AsSlice()})
}

// unroute forgets an address that a link which stays had beside its own.
func (r *router) unroute(address netip.Addr) {
	_ = r.handle.RouteDel(&netlink.Route{Scope: netlink.SCOPE_LINK, Dst: hostAddress(address).IPNet})
}

func (r *router) detach(name string) {
	if l, err := r.handle.LinkByName(name); err == nil {
		_ = r.handle.LinkDel(l)
	}
}

// settings writes kernel settings below /proc/sys/net as the router's namespace has them.
func (r *router) settings(values map[string]string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Setns(int(r.ns.Net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		for name, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil { //nolint:gosec // a kernel setting
				done <- err
				return
			}
		}
		done <- nil
	}()
	return <-done
}

func (r *router) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.filter != nil {
		_ = r.filter.CloseLasting()
	}
	r.handle.Close()
	r.ns.Close()
}

// hostAddress is the address alone, as a network.
func hostAddress(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}}
}
