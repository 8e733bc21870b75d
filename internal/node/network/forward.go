// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// forwarder accepts connections at the pods' side and joins each with a connection to the host's loopback.
type forwarder struct {
	listener net.Listener
	target   string
	allowed  netip.Prefix

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func listenForward(address netip.Addr, f Forward, allowed netip.Prefix) (*forwarder, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(f.Port)))
	if err != nil {
		return nil, err
	}
	fw := &forwarder{listener: l, target: f.Target, allowed: allowed, conns: map[net.Conn]struct{}{}}
	fw.wg.Go(fw.serve)
	return fw, nil
}

func (f *forwarder) serve() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() { f.join(c) })
	}
}

// join copies both ways until both sides have finished; a half-closed connection stays usable in the other direction.
func (f *forwarder) join(pod net.Conn) {
	if !f.track(pod) {
		return
	}
	defer f.untrack(pod)
	if from, err := netip.ParseAddrPort(pod.RemoteAddr().String()); err != nil || !f.allowed.Contains(from.Addr().Unmap()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	host, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.target)
	cancel()
	if err != nil || !f.track(host) {
		return
	}
	defer f.untrack(host)
	var wg sync.WaitGroup
	wg.Go(func() { pipe(host, pod) })
	pipe(pod, host)
	wg.Wait()
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// track remembers a connection for close; it closes it at once when the forwarder is already closed.
func (f *forwarder) track(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		_ = c.Close()
		return false
	}
	f.conns[c] = struct{}{}
	return true
}

func (f *forwarder) untrack(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

func (f *forwarder) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.wg.Wait()
}
