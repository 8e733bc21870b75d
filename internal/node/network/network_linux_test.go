// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/node/policy"
)

type fakeDirectory map[string][]netip.Addr

func (d fakeDirectory) Resolve(host, service, namespace string) ([]netip.Addr, bool) {
	a, ok := d[host+"/"+service+"/"+namespace]
	return a, ok
}

func (d fakeDirectory) Backends(s ServiceName, port int) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range d["/"+s.Name+"/"+s.Namespace] {
		list = append(list, netip.AddrPortFrom(a, uint16(port+1)))
	}
	return list
}

func (d fakeDirectory) NamespaceOf(netip.Addr) string { return "neurology" }

// inside runs do on a thread that is in the namespace.
func inside(t *testing.T, ns *os.File, do func() error) error {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- do()
	}()
	return <-result
}

// dialFrom tries for a second: long enough for what must not be reached.
func dialFrom(t *testing.T, ns *os.File, address string) error {
	t.Helper()
	return dialPatiently(t, ns, address, time.Second)
}

// patience is what a busy machine may need for what must be reached.
const patience = 15 * time.Second

func dialPatiently(t *testing.T, ns *os.File, address string, limit time.Duration) error {
	t.Helper()
	return inside(t, ns, func() error {
		c, err := net.DialTimeout("tcp", address, limit)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.ReadAll(c)
		return err
	})
}

func serve(t *testing.T, address string) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "hello")
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
}

func TestPodsReachForwardsAndEachOtherAndNothingElse(t *testing.T) {
	needRoot(t)
	loopback := serve(t, "127.0.0.1:0")
	wildcard := serve(t, "0.0.0.0:0")
	forwarded := Forward{Name: "store", Port: loopback, Target: net.JoinHostPort("127.0.0.1", strconv.Itoa(loopback))}
	n, err := Open(Options{Dir: t.TempDir(), Forwards: []Forward{forwarded}, Directory: fakeDirectory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if n.FilterError() != nil {
		t.Skip("no packet filter:", n.FilterError())
	}
	pods := make([]*Namespaces, 2)
	var addr [2]netip.Addr
	for i := range pods {
		if pods[i], err = NewNamespaces("pod-" + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		defer pods[i].Close()
		if addr[i], err = n.Attach(strconv.Itoa(i), pods[i].Net); err != nil {
			t.Fatal(err)
		}
	}
	gateway := n.Gateway().String()
	if err := dialPatiently(t, pods[0].Net, net.JoinHostPort(gateway, strconv.Itoa(loopback)), patience); err != nil {
		t.Errorf("forward: %v", err)
	}
	for name, address := range map[string]string{
		"the host's wildcard service": net.JoinHostPort(gateway, strconv.Itoa(wildcard)),
		"the host's loopback":         net.JoinHostPort("127.0.0.1", strconv.Itoa(loopback)),
		"the outside":                 "192.0.2.1:80",
	} {
		if err := dialFrom(t, pods[0].Net, address); err == nil {
			t.Errorf("a pod reached %s at %s", name, address)
		}
	}
	port := 0
	if err := inside(t, pods[1].Net, func() error { port = serve(t, "0.0.0.0:0"); return nil }); err != nil {
		t.Fatal(err)
	}
	other := net.JoinHostPort(addr[1].String(), strconv.Itoa(port))
	if n.PolicyError() != nil {
		t.Fatal("no filter between pods:", n.PolicyError())
	}
	if err := dialFrom(t, pods[0].Net, other); err == nil {
		t.Error("a pod reached another one before there were rules")
	}
	if err := n.SetRules(policy.Rules{addr[0]: {}, addr[1]: {}}); err != nil {
		t.Fatal(err)
	}
	if err := dialPatiently(t, pods[0].Net, other, patience); err != nil {
		t.Errorf("pod to pod: %v", err)
	}
	if c, err := net.DialTimeout("tcp", other, time.Second); err != nil {
		t.Errorf("host to pod: %v", err)
	} else {
		c.Close()
	}
}

func TestNames(t *testing.T) {
	one, two := netip.MustParseAddr("10.64.0.2"), netip.MustParseAddr("10.64.0.3")
	gateway := netip.MustParseAddr("10.64.0.1")
	directory := fakeDirectory{
		"/parkinsons/neurology": {one}, "/train/neurology": {one, two}, "train-1/train/neurology": {two}, "/idle/other": {},
	}
	forwards := forwardNames([]Forward{{Name: "kubernetes"}, {Name: "store"}}, gateway)
	n, err := serveNames("127.0.0.1:0", directory, forwards)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	for _, c := range []struct {
		name      string
		qtype     uint16
		want      int
		wantRcode int
	}{
		{name: "parkinsons.neurology.svc.cluster.local.", qtype: dns.TypeA, want: 1},
		{name: "parkinsons.neurology.svc.", qtype: dns.TypeA, want: 1},
		{name: "parkinsons.neurology.", qtype: dns.TypeA, want: 1},
		{name: "parkinsons.", qtype: dns.TypeA, want: 1},
		{name: "PARKINSONS.", qtype: dns.TypeA, want: 1},
		{name: "train.neurology.svc.cluster.local.", qtype: dns.TypeA, want: 2},
		{name: "train-1.train.", qtype: dns.TypeA, want: 1},
		{name: "train-1.train.neurology.svc.cluster.local.", qtype: dns.TypeA, want: 1},
		{name: "train-1.train.neurology.svc.cluster.local.", qtype: dns.TypeAAAA, want: 0},
		{name: "idle.other.", qtype: dns.TypeA, want: 0},
		{name: "kubernetes.default.svc.cluster.local.", qtype: dns.TypeA, want: 1},
		{name: "store.fathom.internal.", qtype: dns.TypeA, want: 1},
		{name: "train-9.train.", qtype: dns.TypeA, wantRcode: dns.RcodeNameError},
		{name: "example.org.", qtype: dns.TypeA, wantRcode: dns.RcodeNameError},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			client := &dns.Client{Net: transport}
			q := new(dns.Msg).SetQuestion(c.name, c.qtype)
			reply, _, err := client.ExchangeContext(context.Background(), q, n.udp.PacketConn.LocalAddr().String())
			if err != nil {
				t.Fatalf("%s over %s: %v", c.name, transport, err)
			}
			if len(reply.Answer) != c.want || reply.Rcode != c.wantRcode {
				t.Errorf("%s over %s: %d answers, rcode %d; want %d, %d", c.name, transport, len(reply.Answer), reply.Rcode, c.want, c.wantRcode)
			}
		}
	}
}

func TestSubnetAvoidsWhatTheHostUses(t *testing.T) {
	first, err := pickSubnet("seed", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pickSubnet("seed", []netip.Prefix{first})
	if err != nil || second.Overlaps(first) {
		t.Fatalf("second subnet %s, %v; want one apart from %s", second, err, first)
	}
	if _, err := pickSubnet("seed", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err == nil {
		t.Error("a subnet was found where everything is used")
	}
	a := newAddresses(first)
	one, _ := a.take()
	a.release(one)
	if two, _ := a.take(); two == one {
		t.Errorf("address %s was handed out again at once", two)
	}
}
