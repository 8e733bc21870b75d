// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// RepeatWindow is how long one line stands for the same access again.
const RepeatWindow = time.Second

// Repeats writes one line for the first access of a kind, and one for how many of the same followed within
// [RepeatWindow]: a client that asks an endpoint ten thousand times a second is two lines a second, not ten thousand.
//
// The first line is on disk before its access is granted, and so is, for up to a window, a line that covers those that
// follow: the same caller, address, action, object and decision. What a crash can lose is the count of the last window,
// never that the access took place.
type Repeats struct {
	log   *Log
	after func(time.Duration, func()) // runs the function once, later

	mu     sync.Mutex
	series map[repeated]*series
	closed bool
}

// repeated is what equal accesses have in common, beside the caller's groups.
type repeated struct{ user, action, object, decision, reason, host, door string }

type series struct {
	first  Entry
	done   chan struct{} // closed when the first line is on disk, or err is set
	err    error
	more   uint64
	ending sync.Once
}

// NewRepeats writes to log. after runs a function once after a time; nil: time.AfterFunc.
func NewRepeats(log *Log, after func(time.Duration, func())) *Repeats {
	if after == nil {
		after = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	}
	return &Repeats{log: log, after: after, series: map[repeated]*series{}}
}

// Append returns when a line that covers the entry is on disk. Errors are those of [Log.Append].
func (r *Repeats) Append(ctx context.Context, e Entry) error {
	host, _, err := net.SplitHostPort(e.Remote)
	if err != nil {
		host = e.Remote
	}
	key := repeated{e.User, e.Action, e.Object, e.Decision, e.Reason, host, e.Door}
	r.mu.Lock()
	s := r.series[key]
	switch {
	case r.closed, s != nil && !slices.Equal(s.first.Groups, e.Groups):
		r.mu.Unlock()
		return r.log.Append(ctx, e)
	case s != nil:
		s.more++
		r.mu.Unlock()
		<-s.done
		return s.err
	}
	s = &series{first: e, done: make(chan struct{})}
	r.series[key] = s
	r.mu.Unlock()
	s.err = r.log.Append(context.WithoutCancel(ctx), e) // others wait for the same line
	if s.err != nil {
		r.forget(key, s)
	}
	close(s.done)
	if s.err == nil {
		r.after(RepeatWindow, func() { r.end(key, s) })
	}
	return s.err
}

// forget lets the next access be a first one again.
func (r *Repeats) forget(key repeated, s *series) (more uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.series[key] == s {
		delete(r.series, key)
	}
	return s.more
}

// end writes how many followed.
func (r *Repeats) end(key repeated, s *series) {
	s.ending.Do(func() {
		more := r.forget(key, s)
		if more == 0 {
			return
		}
		e := s.first
		e.Time = time.Time{}
		e.Reason = fmt.Sprintf("%d more of the same within %s", more, RepeatWindow)
		_ = r.log.Append(context.Background(), e) // the access itself is recorded; a broken log refuses the next
	})
}

// Close writes the counts that are not written yet. Entries that come later get a line each.
func (r *Repeats) Close() error {
	r.mu.Lock()
	r.closed = true
	left := make(map[repeated]*series, len(r.series))
	for key, s := range r.series {
		left[key] = s
	}
	r.mu.Unlock()
	for key, s := range left {
		<-s.done
		r.end(key, s)
	}
	return nil
}
