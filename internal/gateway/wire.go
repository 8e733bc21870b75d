// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	idleFor     = 30 * time.Second // kept connections are closed after this
	idleMost    = 64               // kept connections to one replica
	inOneWrite  = 16 << 10         // bytes of a body that are copied behind the header
	bufferMost  = 64 << 10         // larger buffers are not kept
	dialPatient = 2 * time.Second
)

// past is a deadline that ends whatever a connection does.
var past = time.Unix(1, 0)

// wires are kept HTTP/1.1 connections to replicas. The caller's own goroutine writes the request and reads the answer, where
// net/http's transport hands both to goroutines of the connection: under load that is half of the cost of passing on.
type wires struct {
	dialer net.Dialer

	mu       sync.Mutex
	idle     map[string][]*wire // by address, the last used last
	sweeping bool
}

// wire is one connection; while a request is on it, it belongs to that request.
type wire struct {
	net.Conn
	address string
	in      *bufio.Reader
	since   time.Time // when it was put back
	kept    bool      // it has answered before
	stop    func() bool
}

func newWires() *wires {
	return &wires{dialer: net.Dialer{Timeout: dialPatient, KeepAlive: 15 * time.Second}, idle: map[string][]*wire{}}
}

// ask sends a request and reads the answer's header. The wire has to be given to [wires.done] when the body is read. A kept
// connection that turns out to be closed is replaced. Errors are the network's.
func (ws *wires) ask(ctx context.Context, address string, head, body []byte, limit time.Time) (*reply, *wire, error) {
	for {
		w, err := ws.take(ctx, address)
		if err != nil {
			return nil, nil, err
		}
		answer, heard, err := w.ask(ctx, head, body, limit)
		if err == nil {
			return answer, w, nil
		}
		w.stop()
		_ = w.Close()
		if heard || !w.kept || ctx.Err() != nil || !time.Now().Before(limit) {
			return nil, nil, err
		}
	}
}

// ask tells beside the answer whether any of it came.
func (w *wire) ask(ctx context.Context, head, body []byte, limit time.Time) (answer *reply, heard bool, err error) {
	_ = w.SetDeadline(limit) // an error comes back from what follows
	w.stop = context.AfterFunc(ctx, func() { _ = w.SetDeadline(past) })
	parts := net.Buffers{head, body}
	if len(body) <= inOneWrite {
		parts = net.Buffers{append(head, body...)}
	}
	if _, err := parts.WriteTo(w.Conn); err != nil {
		return nil, false, err
	}
	if _, err := w.in.Peek(1); err != nil {
		return nil, false, err
	}
	answer, err = readReply(w.in)
	return answer, true, err
}

// take gives a kept connection or makes one.
func (ws *wires) take(ctx context.Context, address string) (*wire, error) {
	ws.mu.Lock()
	if list := ws.idle[address]; len(list) > 0 {
		w := list[len(list)-1]
		ws.idle[address] = list[:len(list)-1]
		ws.mu.Unlock()
		return w, nil
	}
	ws.mu.Unlock()
	conn, err := ws.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, address: address, in: bufio.NewReaderSize(conn, 4<<10)}, nil
}

// done keeps the connection if the answer was read to its end and both sides want to go on.
func (ws *wires) done(w *wire, whole bool) {
	if unharmed := w.stop(); !unharmed || !whole || w.in.Buffered() > 0 {
		_ = w.Close()
		return
	}
	w.kept, w.since = true, time.Now()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if list := ws.idle[w.address]; len(list) < idleMost {
		ws.idle[w.address] = append(list, w)
	} else {
		_ = w.Close()
	}
	if !ws.sweeping {
		ws.sweeping = true
		time.AfterFunc(idleFor, ws.sweep)
	}
}

// sweep closes what has not been used for a while, and comes again as long as anything is kept.
func (ws *wires) sweep() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	old := time.Now().Add(-idleFor)
	for address, list := range ws.idle {
		first := slices.IndexFunc(list, func(w *wire) bool { return w.since.After(old) })
		if first < 0 {
			first = len(list)
		}
		for _, w := range list[:first] {
			_ = w.Close()
		}
		if ws.idle[address] = slices.Delete(list, 0, first); len(ws.idle[address]) == 0 {
			delete(ws.idle, address)
		}
	}
	if ws.sweeping = len(ws.idle) > 0; ws.sweeping {
		time.AfterFunc(idleFor, ws.sweep)
	}
}

// appendHead writes a request's header, with the fields of the client's that a replica may see. Their values come from a
// request that net/http has checked: none holds a line's end.
func appendHead(dst []byte, verb, path, address, id string, from http.Header, length int) []byte {
	dst = append(append(dst, verb...), ' ')
	dst = append(dst, (&url.URL{Path: path}).EscapedPath()...)
	dst = append(append(dst, " HTTP/1.1\r\nHost: "...), address...)
	dst = append(append(dst, "\r\n"+RequestHeader+": "...), id...)
	for _, name := range passed {
		if values := from[name]; len(values) > 0 {
			dst = append(append(append(append(dst, "\r\n"...), name...), ": "...), values[0]...)
		}
	}
	if verb != http.MethodGet {
		dst = strconv.AppendInt(append(dst, "\r\nContent-Length: "...), int64(length), 10)
	}
	return append(dst, "\r\n\r\n"...)
}

// buffers are reused by requests that follow each other.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// borrow gives a buffer of a length; its content is of no meaning.
func borrow(n int) *[]byte {
	b := buffers.Get().(*[]byte)
	*b = slices.Grow((*b)[:0], n)[:n]
	return b
}

func giveBack(b *[]byte) {
	if cap(*b) <= bufferMost {
		buffers.Put(b)
	}
}
