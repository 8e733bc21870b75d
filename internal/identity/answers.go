// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"fathom.dev/fathom/internal/fault"
)

type cacheOptions struct {
	ttl, negativeTTL time.Duration
	size             int
	now              func() time.Time
	remember         fault.Kind // the one kind of error that is an answer
}

// question is a hash, so that no token lies in memory longer than its request.
type question [sha256.Size]byte

type answer[V any] struct {
	value V
	err   error
	since time.Time
}

// answers remembers what the API server said, for a short time and a bounded number of questions.
type answers[V any] struct {
	opt    cacheOptions
	known  *lru.Cache[question, answer[V]]
	flight singleflight.Group
}

func newAnswers[V any](opt cacheOptions) (*answers[V], error) {
	if opt.ttl < 0 || opt.ttl > maxTTL || opt.negativeTTL < 0 || opt.size < 0 {
		return nil, fault.New(fault.Internal, "identity", "TTL must be between 0 and %s, Size must not be negative", maxTTL)
	}
	if opt.ttl == 0 {
		opt.ttl = maxTTL
	}
	if opt.negativeTTL == 0 {
		opt.negativeTTL = 2 * time.Second
	}
	opt.negativeTTL = min(opt.negativeTTL, opt.ttl)
	if opt.size == 0 {
		opt.size = 4096
	}
	if opt.now == nil {
		opt.now = time.Now
	}
	known, err := lru.New[question, answer[V]](opt.size)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "identity", err)
	}
	return &answers[V]{opt: opt, known: known}, nil
}

// get returns the remembered answer or asks. The question outlives a caller that gives up, since others may wait for
// the same answer.
func (c *answers[V]) get(ctx context.Context, key question, ask func(context.Context) (V, error)) (V, error) {
	if a, ok := c.known.Get(key); ok && c.fresh(a) {
		return a.value, a.err
	}
	result := c.flight.DoChan(string(key[:]), func() (any, error) {
		asked := c.opt.now() // the answer is as old as the question
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		value, err := ask(ctx)
		a := answer[V]{value: value, err: err, since: asked}
		if err == nil || fault.Is(err, c.opt.remember) {
			c.known.Add(key, a)
		} else {
			c.known.Remove(key)
		}
		return a, nil
	})
	select {
	case <-ctx.Done():
		var zero V
		return zero, fault.Wrap(fault.Unavailable, "identity", ctx.Err())
	case r := <-result:
		a := r.Val.(answer[V])
		return a.value, a.err
	}
}

// fresh is false also for answers from the future: after a clock step the question is asked again.
func (c *answers[V]) fresh(a answer[V]) bool {
	ttl := c.opt.ttl
	if a.err != nil {
		ttl = c.opt.negativeTTL
	}
	age := c.opt.now().Sub(a.since)
	return age >= 0 && age < ttl
}
