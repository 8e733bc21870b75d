// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
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
