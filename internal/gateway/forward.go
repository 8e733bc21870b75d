// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/ref"
)

const (
	attempts = 3       // replicas that may break while they hold one request: it may be what breaks them
	whole    = 1 << 20 // bytes of an answer that are held back until it is complete
)

// passed are the request headers a replica gets; credentials never reach it.
var passed = []string{"Content-Type", "Content-Encoding", "Accept", oip.HeaderLength}

// nosniff is never changed.
var nosniff = []string{"nosniff"}

// exchange is one request on its way.
type exchange struct {
	name ref.Name
	pool *pool
	id   string
	path string      // below the replica's root
	head http.Header // the client's
	body []byte
	verb string
	// of the answer
	slot slot
	*reply
	answer   []byte // whole, unless rest is set
	rest     io.ReadCloser
	borrowed []*[]byte // given back when the exchange is over
}

// borrow takes a buffer until the exchange is over.
func (x *exchange) borrow(n int) []byte {
	b := borrow(n)
	x.borrowed = append(x.borrowed, b)
	return *b
}

// over gives the buffers back: nothing of the request or answer may be used any more.
func (x *exchange) over() {
	for _, b := range x.borrowed {
		giveBack(b)
	}
	x.borrowed = nil
}

func (g *gateway) live(w http.ResponseWriter, r *http.Request) {
	if _, err := g.lookup(r); err != nil {
		fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// ready tells whether a request would be answered without waiting for a replica to start.
func (g *gateway) ready(w http.ResponseWriter, r *http.Request) {
	target, err := g.lookup(r)
	if err == nil && len(target.Addresses) == 0 {
		err = fault.New(fault.Unavailable, "", "no replica is ready")
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (g *gateway) lookup(r *http.Request) (Target, error) {
	name, err := endpoint(r)
	if err != nil {
		return Target{}, err
	}
	target, found := g.Backends(name)
	if !found {
		return Target{}, noEndpoint(name)
	}
	return target, nil
}

// forward passes on a request without a body.
func (g *gateway) forward(w http.ResponseWriter, r *http.Request) {
	x, err := g.exchange(r)
	if err == nil {
		defer x.over()
		err = g.deliver(r.Context(), x)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	x.write(w)
}

// infer passes on a prediction, counts it and keeps it.
func (g *gateway) infer(w http.ResponseWriter, r *http.Request) {
	start := g.Now()
	x, err := g.exchange(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer x.over()
	free, err := g.read(r, x)
	if err == nil {
		defer free()
		err = g.deliver(r.Context(), x)
	}
	if err != nil {
		w.Header().Set(RequestHeader, x.id)
		fail(w, r, err)
		x.pool.use.done(x.slot.target.Version, code(r.Context(), err), g.Now().Sub(start))
		return
	}
	x.write(w)
	x.pool.use.done(x.slot.target.Version, x.status, g.Now().Sub(start))
	g.keep(r.Context(), w, x, start)
}

// code is the status that is counted for an error; 499 as nginx has it when the client left.
func code(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		return 499
	}
	return fault.HTTPStatus(fault.KindOf(err))
}

func (g *gateway) exchange(r *http.Request) (*exchange, error) {
	name, err := endpoint(r)
	if err != nil {
		return nil, err
	}
	id, err := requestID(r)
	if err != nil {
		return nil, err
	}
	p, err := g.pool(name)
	if err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(r.URL.Path, Prefix+name.Workspace+"/"+name.Name)
	return &exchange{name: name, pool: p, id: id, verb: r.Method, path: path, head: r.Header}, nil
}

// deliver sends the request to replicas until one has answered.
func (g *gateway) deliver(ctx context.Context, x *exchange) error {
	var hold time.Time // when it gives up waiting for a free replica; counted from the first wait
	for broken := 0; ; {
		s, err := x.pool.acquire(ctx, &hold)
		if err != nil {
			return err
		}
		x.slot = s
		verdict, err := g.try(ctx, x)
		if verdict == broke {
			broken++
		}
		if verdict == final || broken == attempts {
			return err
		}
		x.pool.use.retries.Inc()
	}
}

// verdict on one try.
type verdict int

const (
	final   verdict = iota // answered, or nothing can help
	refused                // the replica never had the request
	broke                  // the replica had the request, or a part of it, and did not answer
)

// try sends the request to one replica.
func (g *gateway) try(ctx context.Context, x *exchange) (verdict, error) {
	limit := time.Now().Add(g.Timeout)
	head := borrow(512 + min(len(x.body), inOneWrite))
	*head = appendHead((*head)[:0], x.verb, x.path, x.slot.address, x.id, x.head, len(x.body))
	answer, wire, err := g.wires.ask(ctx, x.slot.address, *head, x.body, limit)
	giveBack(head)
	if err == nil {
		if x.answer, err = x.read(answer); err != nil {
			g.wires.done(wire, false)
		}
	}
	if err != nil {
		defer x.pool.release(x.slot)
		return g.failed(ctx, x, err)
	}
	if answer.status == http.StatusServiceUnavailable {
		g.wires.done(wire, false)
		x.pool.distrust(x.slot.address)
		x.pool.release(x.slot)
		return refused, fault.New(fault.Unavailable, "", "the replicas of endpoint %s are stopping", x.name)
	}
	x.reply = answer
	if len(x.answer) < whole {
		g.wires.done(wire, !answer.closing)
		x.pool.release(x.slot)
		return final, nil
	}
	x.rest = &closer{answer.body, func(complete bool) {
		g.wires.done(wire, complete && !answer.closing)
		x.pool.release(x.slot)
	}}
	return final, nil
}

// read takes the answer, or its beginning.
func (x *exchange) read(r *reply) ([]byte, error) {
	if r.length < 0 || r.length >= whole {
		return io.ReadAll(io.LimitReader(r.body, whole))
	}
	answer := x.borrow(int(r.length))
	_, err := io.ReadFull(r.body, answer)
	return answer, err
}

// failed says what an error of the connection means.
func (g *gateway) failed(ctx context.Context, x *exchange, err error) (verdict, error) {
	switch {
	case ctx.Err() != nil:
		return final, fault.Wrap(fault.Unavailable, "", ctx.Err())
	case errors.Is(err, os.ErrDeadlineExceeded) && !isDial(err):
		return final, fault.New(fault.Unavailable, "", "version %d of endpoint %s has not answered within %s", x.slot.target.Version, x.name, g.Timeout)
	}
	x.pool.distrust(x.slot.address)
	v := broke
	if isDial(err) {
		v = refused
	}
	return v, fault.New(fault.Unavailable, "", "the replicas of endpoint %s break their connections", x.name)
}

// write sends the answer to the client.
func (x *exchange) write(w http.ResponseWriter) {
	head := w.Header()
	setIf(head, "Content-Type", x.kind)
	setIf(head, "Retry-After", x.retry)
	setIf(head, oip.HeaderLength, x.json)
	head.Set(VersionHeader, strconv.FormatInt(x.slot.target.Version, 10))
	head.Set(RequestHeader, x.id)
	head["X-Content-Type-Options"] = nosniff
	if x.rest == nil {
		head.Set("Content-Length", strconv.Itoa(len(x.answer)))
	} else if x.length >= 0 {
		head.Set("Content-Length", strconv.FormatInt(x.length, 10))
	}
	w.WriteHeader(x.status)
	_, err := w.Write(x.answer)
	if x.rest == nil {
		return // nobody is left to tell about err
	}
	defer func() { _ = x.rest.Close() }()
	if err == nil {
		_, err = io.Copy(w, x.rest)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // a cut answer must not look like a whole one
	}
}

func setIf(head http.Header, name, value string) {
	if value != "" {
		head.Set(name, value)
	}
}

// closer gives the connection and the slot back when the rest of the answer has been read, or will not be.
type closer struct {
	io.Reader
	done func(complete bool)
}

// Close asks for one byte more, to know whether the end was reached.
func (c *closer) Close() error {
	n, err := c.Read(make([]byte, 1))
	c.done(n == 0 && errors.Is(err, io.EOF))
	return nil
}

// isDial reports whether no connection came about.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
