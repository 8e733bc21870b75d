// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"fathom.dev/fathom/internal/node/policy"
)

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

// Rules that are different for every pod of a full node are put in force at once.
func TestRulesOfAFullNode(t *testing.T) {
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
	if n.PolicyError() != nil {
		t.Skip("no packet filter:", n.PolicyError())
	}
	rules := policy.Rules{}
	for i := range 250 {
		own, next := n.addresses.host(byte(i+2)), n.addresses.host(byte((i+1)%250+2))
		d := policy.Direction{Closed: true, Allow: []policy.Allow{
			{Peers: []policy.Range{{First: next, Last: next}}, Ports: []policy.Ports{{Protocol: policy.TCP, First: 80, Last: 80 + uint16(i)}, {Protocol: policy.UDP, First: 53, Last: 53}}},
			{Peers: []policy.Range{{First: own, Last: own}}},
		}}
		rules[own] = policy.PodRules{Ingress: d, Egress: d}
	}
	for _, r := range []policy.Rules{rules, {}, rules} {
		began := time.Now()
		if err := n.SetRules(r); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d pods after %v", len(r), time.Since(began))
		if err := n.CutConnections(); err != nil {
			t.Fatal(err)
		}
	}
}
