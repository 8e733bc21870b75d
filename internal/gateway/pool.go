// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"container/list"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const (
	lookAgain = 20 * time.Millisecond  // for replicas, while requests wait
	distrust  = 500 * time.Millisecond // of a replica whose connection failed
)

// pool shares an endpoint's requests out among its replicas.
type pool struct {
	g    *gateway
	name ref.Name
	use  *usage
	meta metadata

	mu       sync.Mutex
	target   Target
	replicas map[string]*replica
	waiting  *list.List // of *waiter, the longest waiting first
	polling  bool
}

type replica struct {
	inFlight int
	suspect  time.Time // not chosen before, unless zero
}

// slot is the right to send one request to a replica; it has to be given back.
type slot struct {
	address string
	target  Target
}

type waiter struct {
	granted chan slot // closed without a slot when the endpoint is gone
}

func newPool(g *gateway, name ref.Name) *pool {
	return &pool{g: g, name: name, use: g.metrics.of(name), replicas: map[string]*replica{}, waiting: list.New()}
}

// refresh takes over where requests go now.
func (p *pool) refresh(target Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := slices.Equal(target.Addresses, p.target.Addresses)
	p.target = target
	if same {
		return
	}
	for address, r := range p.replicas {
		if r.inFlight == 0 && !slices.Contains(target.Addresses, address) {
			delete(p.replicas, address)
		}
	}
	for _, address := range target.Addresses {
		if p.replicas[address] == nil {
			p.replicas[address] = &replica{}
		}
	}
}

// acquire waits for a replica with room, until hold, which is set at the first wait. Errors: Unavailable when ctx or the time
// ends first, Exhausted when too many wait already, NotFound when the endpoint goes.
func (p *pool) acquire(ctx context.Context, hold *time.Time) (slot, error) {
	p.mu.Lock()
	if p.waiting.Len() == 0 {
		if s, ok := p.choose(); ok {
			p.mu.Unlock()
			return s, nil
		}
	}
	if p.waiting.Len() >= p.g.Queue {
		p.mu.Unlock()
		return slot{}, fault.New(fault.Exhausted, "", "%d requests wait for endpoint %s already", p.g.Queue, p.name).
			WithHint("send again later, or raise the endpoint's scale")
	}
	w := &waiter{granted: make(chan slot, 1)}
	place := p.waiting.PushBack(w)
	if !p.polling {
		p.polling = true
		go p.poll()
	}
	p.mu.Unlock()
	p.use.waiting.Inc()
	defer p.use.waiting.Dec()
	if hold.IsZero() {
		*hold = time.Now().Add(p.g.Hold)
	}
	patience := time.NewTimer(time.Until(*hold))
	defer patience.Stop()
	select {
	case s, ok := <-w.granted:
		if !ok {
			return slot{}, noEndpoint(p.name)
		}
		return s, nil
	case <-patience.C:
		return slot{}, p.leave(nil, w, place)
	case <-ctx.Done():
		return slot{}, p.leave(ctx.Err(), w, place)
	}
}

// leave gives up waiting, because of err or because it was held too long; a slot that was granted meanwhile goes to the next.
func (p *pool) leave(err error, w *waiter, place *list.Element) error {
	p.mu.Lock()
	p.waiting.Remove(place)
	ready := len(p.target.Addresses)
	p.mu.Unlock()
	select {
	case s, ok := <-w.granted:
		if ok {
			p.release(s)
		}
	default:
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, "", err)
	}
	return fault.New(fault.Unavailable, "", "endpoint %s has no free replica (%d are ready) after %s", p.name, ready, p.g.Hold).
		WithHint("see why with `fathom status`")
}

func (p *pool) release(s slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.replicas[s.address]; r != nil {
		r.inFlight--
		if r.inFlight == 0 && !slices.Contains(p.target.Addresses, s.address) {
			delete(p.replicas, s.address)
		}
	}
	p.grant()
}

// distrust keeps requests away from a replica for a moment.
func (p *pool) distrust(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.replicas[address]; r != nil {
		r.suspect = p.g.Now().Add(distrust)
	}
}

// grant serves those who wait, in order. The caller holds p.mu.
func (p *pool) grant() {
	for first := p.waiting.Front(); first != nil; first = p.waiting.Front() {
		s, ok := p.choose()
		if !ok {
			return
		}
		p.waiting.Remove(first).(*waiter).granted <- s
	}
}

// choose takes the less busy of two replicas at random, or any with room. The caller holds p.mu.
func (p *pool) choose() (slot, bool) {
	addresses := p.target.Addresses
	n := len(addresses)
	if n == 0 {
		return slot{}, false
	}
	first := rand.IntN(n)
	best := p.free(addresses[first])
	at := addresses[first]
	if n > 1 {
		second := (first + 1 + rand.IntN(n-1)) % n
		if other := p.free(addresses[second]); other != nil && (best == nil || other.inFlight < best.inFlight) {
			best, at = other, addresses[second]
		}
	}
	for i := 0; best == nil && i < n; i++ {
		best, at = p.free(addresses[i]), addresses[i]
	}
	if best == nil {
		return slot{}, false
	}
	best.inFlight++
	return slot{address: at, target: p.target}, true
}

// free returns the replica if it may get a request, else nil.
func (p *pool) free(address string) *replica {
	r := p.replicas[address]
	if r == nil || (p.target.Concurrency > 0 && r.inFlight >= p.target.Concurrency) {
		return nil
	}
	if !r.suspect.IsZero() {
		if p.g.Now().Before(r.suspect) {
			return nil
		}
		r.suspect = time.Time{}
	}
	return r
}

// poll looks for replicas while requests wait, and ends with the last of them.
func (p *pool) poll() {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for range ticker.C {
		target, found := p.g.Backends(p.name)
		if found {
			p.refresh(target)
		}
		p.mu.Lock()
		if found {
			p.grant()
		} else {
			for first := p.waiting.Front(); first != nil; first = p.waiting.Front() {
				close(p.waiting.Remove(first).(*waiter).granted)
			}
		}
		if p.waiting.Len() == 0 {
			p.polling = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}
