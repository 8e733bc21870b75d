// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// later collects what is to run when time passes.
type later struct {
	mu  sync.Mutex
	fns []func()
}

func (l *later) after(_ time.Duration, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fns = append(l.fns, f)
}

func (l *later) pass() {
	l.mu.Lock()
	fns := l.fns
	l.fns = nil
	l.mu.Unlock()
	for _, f := range fns {
		f()
	}
}

// told is the log from its beginning: who, what was decided, and why.
func told(t *testing.T, l *Log) []string {
	t.Helper()
	entries, err := l.Tail(t.Context(), Filter{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := len(entries) - 1; i >= 0; i-- {
		out = append(out, fmt.Sprint(entries[i].User, " ", entries[i].Decision, " ", entries[i].Reason))
	}
	return out
}

func TestRepeats(t *testing.T) {
	dir := t.TempDir()
	l, clock := open(t, Options{Dir: dir}), &later{}
	r := NewRepeats(l, clock.after)
	add := func(user, remote, decision string, groups ...string) {
		t.Helper()
		e := Entry{User: user, Groups: groups, Action: "create endpoints/predict", Object: "ws/e", Decision: decision, Remote: remote, Door: "gateway"}
		if err := r.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		add("ada", fmt.Sprint("10.0.0.1:", 1000+i), Allowed, "viewers")
	}
	add("ada", "10.0.0.2:1", Allowed, "viewers") // another address
	add("ada", "10.0.0.1:1", Refused, "viewers") // another decision
	add("ada", "10.0.0.1:1", Allowed, "nobody")  // other groups
	add("bob", "10.0.0.1:1", Allowed)
	clock.pass()
	add("ada", "10.0.0.1:1", Allowed, "viewers") // the window is over
	add("ada", "10.0.0.1:1", Allowed, "viewers")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	add("ada", "10.0.0.1:1", Allowed, "viewers")
	clock.pass() // what has ended does not end again
	want := []string{"ada allowed ", "ada allowed ", "ada refused ", "ada allowed ", "bob allowed ", "ada allowed 4 more of the same within 1s",
		"ada allowed ", "ada allowed 1 more of the same within 1s", "ada allowed "}
	if got := told(t, l); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if report := verify(t, dir); !report.OK() {
		t.Errorf("%+v", report)
	}
}

// TestRepeatsWait: nobody is let in before a line that covers them is on disk, and all are counted.
func TestRepeatsWait(t *testing.T) {
	dir := t.TempDir()
	l, clock := open(t, Options{Dir: dir}), &later{}
	r := NewRepeats(l, clock.after)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if err := r.Append(t.Context(), entry(1)); err != nil {
				t.Error(err)
			}
			if report, err := Verify(dir); err != nil || report.Entries < 1 {
				t.Errorf("let in with %d lines on disk, %v", report.Entries, err)
			}
		})
	}
	all.Wait()
	clock.pass()
	if got := told(t, l); fmt.Sprint(got) != "[ada allowed  ada allowed 99 more of the same within 1s]" {
		t.Errorf("%q", got)
	}
}

// TestRepeatsFail: a log that cannot write lets nobody in, and is asked again.
func TestRepeatsFail(t *testing.T) {
	l, clock := open(t, Options{Dir: t.TempDir()}), &later{}
	r := NewRepeats(l, clock.after)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Append(t.Context(), entry(1)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("let in: %v", err)
		}
	}
	if len(clock.fns) != 0 {
		t.Error("a failed entry began a window")
	}
}
