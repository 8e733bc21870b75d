// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// services gives an address of its own to every Service whose ports differ from those of its pods, and joins
// connections to it with a ready pod. The addresses live in a network namespace apart, so that they lead to nothing
// else of the host.
type services struct {
	network *Network
	ns      *Namespaces
	handle  *netlink.Handle
	eth     netlink.Link

	mu      sync.Mutex
	proxies map[ServiceName]*serviceProxy
	joins   map[*join]bool
	closed  bool
}

type serviceProxy struct {
	address   netip.Addr
	listeners map[int]net.Listener
}

// servicesID is that of the services among the pods' links.
const servicesID = "services"

// SetServices replaces the set of Services that need an address of their own.
func (n *Network) SetServices(wanted []Service) error {
	return n.services.set(wanted)
}

func (s *services) set(wanted []Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(wanted) == 0 && s.ns == nil {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	names := map[ServiceName]bool{}
	var all error
	for _, w := range wanted {
		names[w.ServiceName] = true
		all = errors.Join(all, s.apply(w))
	}
	for name, p := range s.proxies {
		if !names[name] {
			s.drop(name, p)
		}
	}
	return all
}

// open makes the namespace when the first Service needs it.
func (s *services) open() error {
	if s.ns != nil {
		return nil
	}
	ns, err := NewNamespaces("services")
	if err != nil {
		return err
	}
	if _, err := s.network.Attach(servicesID, ns.Net); err != nil {
		ns.Close()
		return err
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(ns.Net.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return err
	}
	s.eth, err = handle.LinkByName("eth0")
	s.ns, s.handle = ns, handle
	return err
}

func (s *services) apply(w Service) error {
	p := s.proxies[w.ServiceName]
	if p == nil {
		address, err := s.network.addresses.take()
		if err != nil {
			return err
		}
		if err := errors.Join(s.handle.AddrAdd(s.eth, hostAddress(address)), s.network.router.route(s.network.vethName(servicesID), address)); err != nil {
			s.network.addresses.release(address)
			return err
		}
		p = &serviceProxy{address: address, listeners: map[int]net.Listener{}}
		s.proxies[w.ServiceName] = p
	}
	keep := map[int]bool{}
	for _, port := range w.Ports {
		keep[port] = true
		if p.listeners[port] == nil {
			l, err := s.listen(net.JoinHostPort(p.address.String(), strconv.Itoa(port)))
			if err != nil {
				return err
			}
			p.listeners[port] = l
			go s.serve(l, w.ServiceName, port)
		}
	}
	for port, l := range p.listeners {
		if !keep[port] {
			_ = l.Close()
			delete(p.listeners, port)
		}
	}
	return nil
}

func (s *services) drop(name ServiceName, p *serviceProxy) {
	for _, l := range p.listeners {
		_ = l.Close()
	}
	_ = s.handle.AddrDel(s.eth, hostAddress(p.address))
	s.network.router.unroute(p.address)
	s.network.addresses.release(p.address)
	delete(s.proxies, name)
}

// listen opens a socket inside of the namespace; a socket stays where it was made.
func (s *services) listen(address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Setns(int(s.ns.Net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		l, err := net.Listen("tcp", address)
		done <- result{l, err}
	}()
	r := <-done
	return r.l, r.err
}

func (s *services) serve(l net.Listener, name ServiceName, port int) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go s.join(client, name, port)
	}
}

// join is a connection on its way through a Service's address.
type join struct {
	from   netip.Addr
	to     netip.AddrPort
	client net.Conn
}

// permitted tells whether the client may connect to the pod itself: a Service's address leads round no policy.
func (s *services) permitted(j *join) bool {
	return j.from == s.network.Gateway() || s.network.allows(j.from, j.to.Addr(), j.to.Port())
}

func (s *services) begin(j *join) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.permitted(j) {
		return false
	}
	s.joins[j] = true
	return true
}

func (s *services) finish(j *join) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.joins, j)
}

// cut ends the connections that are no longer permitted.
func (s *services) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range s.joins {
		if !s.permitted(j) {
			_ = j.client.Close()
		}
	}
}

// join tries, in random order, the ready pods that the client may connect to.
func (s *services) join(client net.Conn, name ServiceName, port int) {
	defer func() { _ = client.Close() }()
	backends := s.network.directory.Backends(name, port)
	rand.Shuffle(len(backends), func(i, j int) { backends[i], backends[j] = backends[j], backends[i] })
	from, err := netip.ParseAddrPort(client.RemoteAddr().String())
	if err != nil {
		return
	}
	for _, b := range backends {
		j := &join{from: from.Addr().Unmap(), to: b, client: client}
		if !s.begin(j) {
			continue
		}
		defer s.finish(j)
		pod, err := net.DialTimeout("tcp", b.String(), 2*time.Second)
		if err != nil {
			continue
		}
		defer func() { _ = pod.Close() }()
		var wg sync.WaitGroup
		wg.Go(func() { pipe(pod, client) })
		pipe(client, pod)
		wg.Wait()
		return
	}
	if tcp, ok := client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // refused, as far as that is still possible
	}
}

// address is the Service's own; ok is false when its name leads to its pods.
func (s *services) address(name ServiceName) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.proxies[name]; p != nil {
		return p.address, true
	}
	return netip.Addr{}, false
}

// withServices is a directory in which such Services have their own address.
type withServices struct {
	Directory
	services *services
}

// Resolve prefers the Service's own address.
func (w withServices) Resolve(host, service, namespace string) ([]netip.Addr, bool) {
	if a, ok := w.services.address(ServiceName{namespace, service}); ok && host == "" {
		return []netip.Addr{a}, true
	}
	return w.Directory.Resolve(host, service, namespace)
}

func (s *services) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for name, p := range s.proxies {
		s.drop(name, p)
	}
	if s.ns != nil {
		s.handle.Close()
		s.ns.Close()
	}
}
