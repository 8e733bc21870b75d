// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"fathom.dev/fathom/internal/fault"
)

// pickSubnet returns a private /24 that overlaps none of the used prefixes. The seed spreads several Fathoms over the
// range so that they rarely have to search.
func pickSubnet(seed string, used []netip.Prefix) (netip.Prefix, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(seed))
	const total = 64 * 256 // 10.64.0.0 to 10.127.255.0
	start := int(h.Sum32() % total)
	for i := range total {
		n := (start + i) % total
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + n/256), byte(n % 256), 0}), 24)
		if !overlapsAny(p, used) {
			return p, nil
		}
	}
	return netip.Prefix{}, fault.New(fault.Exhausted, "node.network", "no free private /24 in 10.64.0.0/10")
}

func overlapsAny(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.Bits() > 0 && p.Overlaps(u) {
			return true
		}
	}
	return false
}

type savedSubnet struct {
	Subnet netip.Prefix `json:"subnet"`
}

// subnetOf reads the subnet chosen earlier, or picks one and saves it.
func subnetOf(dir string, used []netip.Prefix) (netip.Prefix, error) {
	file := filepath.Join(dir, "network.json")
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return netip.Prefix{}, fault.Wrap(fault.Internal, "node.network", err)
	}
	var saved savedSubnet
	if err == nil && json.Unmarshal(raw, &saved) == nil && saved.Subnet.Bits() == 24 && !overlapsAny(saved.Subnet, used) {
		return saved.Subnet, nil
	}
	if saved.Subnet, err = pickSubnet(dir, used); err != nil {
		return netip.Prefix{}, err
	}
	raw, err = json.Marshal(saved)
	if err != nil {
		return netip.Prefix{}, fault.Wrap(fault.Internal, "node.network", err)
	}
	return saved.Subnet, fault.Wrap(fault.Internal, "node.network", os.WriteFile(file, raw, 0o600))
}

// addresses hands out the hosts of a /24, the longest unused first, so that a name that still points at a pod which
// has just ended does not meet its successor.
type addresses struct {
	mu     sync.Mutex
	prefix netip.Prefix
	taken  map[netip.Addr]bool
	next   byte
}

func newAddresses(p netip.Prefix) *addresses {
	return &addresses{prefix: p, taken: map[netip.Addr]bool{}, next: 2}
}

func (a *addresses) gateway() netip.Addr { return a.host(1) }
func (a *addresses) router() netip.Addr  { return a.host(254) }

func (a *addresses) host(n byte) netip.Addr {
	b := a.prefix.Addr().As4()
	b[3] = n
	return netip.AddrFrom4(b)
}

func (a *addresses) take() (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range 252 {
		addr := a.host(a.next)
		if a.next++; a.next == 254 {
			a.next = 2
		}
		if !a.taken[addr] {
			a.taken[addr] = true
			return addr, nil
		}
	}
	return netip.Addr{}, fault.New(fault.Exhausted, "node.network", "all 252 pod addresses of %s are in use", a.prefix)
}

// claim takes a certain address.
func (a *addresses) claim(addr netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken[addr] || !a.prefix.Contains(addr) {
		return fault.New(fault.Conflict, "node.network", "address %s is not free", addr)
	}
	a.taken[addr] = true
	return nil
}

func (a *addresses) release(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, addr)
}
