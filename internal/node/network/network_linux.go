// SPDX-License-Identifier: Apache-2.0

package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

// Network is the pods' side of the host.
type Network struct {
	bridge    *netlink.Bridge
	tag       string // distinguishes this state directory's links and filter from another's
	addresses *addresses
	forwards  []*forwarder
	names     *names
	hosts     map[string]netip.Addr
	filter    error
	directory Directory
	services  *services
}

// Open makes the bridge, its packet filter, the forwards and the DNS server. It needs the right to administer the
// host's network. A bridge that a former run left is reused.
func Open(o Options) (*Network, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "node.network", err)
	}
	sum := sha256.Sum256([]byte(dir))
	n := &Network{tag: hex.EncodeToString(sum[:4]), directory: o.Directory}
	n.services = &services{network: n, proxies: map[ServiceName]*serviceProxy{}}
	used, err := usedPrefixes(n.bridgeName())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.network", err)
	}
	subnet, err := subnetOf(dir, used)
	if err != nil {
		return nil, err
	}
	n.addresses = newAddresses(subnet)
	if err := n.openBridge(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "node.network: bridge "+n.bridgeName(), err)
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

// Gateway is the bridge's address: where pods find the forwards and the DNS server.
func (n *Network) Gateway() netip.Addr { return n.addresses.gateway() }

// Hosts maps the names of forwards to their address.
func (n *Network) Hosts() map[string]netip.Addr { return n.hosts }

// FilterError tells why the packet filter is not in force; nil when it is.
func (n *Network) FilterError() error { return n.filter }

func (n *Network) bridgeName() string { return "fathom" + n.tag }

func (n *Network) vethName(id string) string {
	sum := sha256.Sum256([]byte(n.tag + id))
	return "fv" + hex.EncodeToString(sum[:6])
}

func (n *Network) openBridge() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.bridgeName()
	n.bridge = &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(n.bridge); err != nil && !os.IsExist(err) {
		return err
	}
	link, err := netlink.LinkByName(n.bridgeName())
	if err != nil {
		return err
	}
	bridge, ok := link.(*netlink.Bridge)
	if !ok {
		return fmt.Errorf("%s exists and is a %s", n.bridgeName(), link.Type())
	}
	n.bridge = bridge
	if err := netlink.LinkSetHardwareAddr(bridge, hardwareAddress(n.Gateway())); err != nil {
		return err
	}
	disableIPv6("/proc/sys/net/ipv6/conf/" + n.bridgeName())
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: n.Gateway().AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrReplace(bridge, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(bridge)
}

// usedPrefixes lists what the host's interfaces and routes use, except the bridge itself.
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
	if err := n.attach(id, netns.NsHandle(ns.Fd()), address); err != nil {
		n.addresses.release(address)
		return netip.Addr{}, fault.Wrap(fault.Unavailable, "node.network: attach pod", err)
	}
	return address, nil
}

func (n *Network) attach(id string, ns netns.NsHandle, address netip.Addr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.vethName(id)
	attrs.MasterIndex = n.bridge.Attrs().Index
	attrs.Flags = net.FlagUp
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns),
		PeerHardwareAddr: hardwareAddress(address)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	host, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(host); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := configureInside(inside, address); err != nil {
		return err
	}
	awaitUp(func() (netlink.Link, error) { return inside.LinkByName("eth0") })
	awaitUp(func() (netlink.Link, error) { return netlink.LinkByName(attrs.Name) })
	return nil
}

// awaitUp waits, briefly, until a link passes packets: the kernel enables it, and its port of the bridge, some time
// after it has been set up. What is sent before is lost and sent again a second later.
func awaitUp(find func() (netlink.Link, error)) {
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); time.Sleep(500 * time.Microsecond) {
		if l, err := find(); err != nil || l.Attrs().OperState == netlink.OperUp {
			return
		}
	}
}

func configureInside(h *netlink.Handle, address netip.Addr) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := h.AddrAdd(eth, addr); err != nil {
		return err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return err
	}
	return h.LinkSetUp(eth)
}

// Detach removes a pod's interface and frees its address.
func (n *Network) Detach(id string, address netip.Addr) {
	if l, err := netlink.LinkByName(n.vethName(id)); err == nil {
		_ = netlink.LinkDel(l)
	}
	n.addresses.release(address)
}

// Sweep removes the interfaces of pods of a former run.
func (n *Network) Sweep() error {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return fault.Wrap(fault.Internal, "node.network: sweep", err)
	}
	for _, l := range links {
		if l.Attrs().MasterIndex == n.bridge.Attrs().Index && strings.HasPrefix(l.Attrs().Name, "fv") {
			_ = netlink.LinkDel(l)
		}
	}
	return nil
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
	if err := n.Sweep(); err != nil {
		return err
	}
	return fault.Wrap(fault.Internal, "node.network: remove bridge", netlink.LinkDel(n.bridge))
}

// disableIPv6 is best effort: without it the link-local address is still covered by the packet filter.
func disableIPv6(conf string) {
	_ = os.WriteFile(conf+"/disable_ipv6", []byte("1"), 0o644) //nolint:gosec // a kernel setting
}
