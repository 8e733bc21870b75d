// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestBridgeKeepsItsHardwareAddress(t *testing.T) {
	needRoot(t)
	n, err := Open(Options{Dir: t.TempDir(), Directory: fakeDirectory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	address := func() string {
		l, err := netlink.LinkByName(n.bridgeName())
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().HardwareAddr.String()
	}
	first, want := address(), hardwareAddress(n.Gateway()).String()
	if first != want {
		t.Fatalf("the bridge has %s, want %s", first, want)
	}
	for i := range 4 {
		id := fmt.Sprintf("pod-%d", i)
		namespaces, err := NewNamespaces(id)
		if err != nil {
			t.Fatal(err)
		}
		defer namespaces.Close()
		ip, err := n.Attach(id, namespaces.Net)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Detach(id, ip)
		if got := address(); got != want {
			t.Errorf("with %d pods the bridge has %s, want %s", i+1, got, want)
		}
	}
}

// A pod that talks to the host goes on doing so when others end.
func TestPodsAreNotDisturbedByOthersThatEnd(t *testing.T) {
	needRoot(t)
	loopback := serve(t, "127.0.0.1:0")
	forward := Forward{Name: "store", Port: loopback, Target: net.JoinHostPort("127.0.0.1", strconv.Itoa(loopback))}
	n, err := Open(Options{Dir: t.TempDir(), Forwards: []Forward{forward}, Directory: fakeDirectory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	pods, addresses := make([]*Namespaces, 8), make([]netip.Addr, 8)
	for i := range pods {
		if pods[i], err = NewNamespaces(fmt.Sprintf("pod-%d", i)); err != nil {
			t.Fatal(err)
		}
		defer pods[i].Close()
		if addresses[i], err = n.Attach(strconv.Itoa(i), pods[i].Net); err != nil {
			t.Fatal(err)
		}
	}
	target := net.JoinHostPort(n.Gateway().String(), strconv.Itoa(loopback))
	for i := range pods {
		for j := i; j < len(pods); j++ {
			if err := dialPatiently(t, pods[j].Net, target, patience); err != nil {
				t.Fatalf("pod %d after %d others ended: %v", j, i, err)
			}
		}
		n.Detach(strconv.Itoa(i), addresses[i])
	}
}
