// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// clock is a settable time.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func TestAuthenticatorCache(t *testing.T) {
	unauthenticated := fault.New(fault.Unauthenticated, "review", "no")
	tests := []struct {
		name      string
		err       error
		user      User
		wait      time.Duration
		wantKind  fault.Kind
		wantCalls int
	}{
		{"good answer is remembered", nil, User{Name: "ada"}, 9 * time.Second, "", 1},
		{"good answer is forgotten", nil, User{Name: "ada"}, 10 * time.Second, "", 2},
		{"clock stepped back", nil, User{Name: "ada"}, -time.Hour, "", 2},
		{"refusal is remembered", unauthenticated, User{}, time.Second, fault.Unauthenticated, 1},
		{"refusal is forgotten soon", unauthenticated, User{}, 2 * time.Second, fault.Unauthenticated, 2},
		{"unavailable is never remembered", fault.New(fault.Unavailable, "review", "down"), User{}, 0, fault.Unavailable, 2},
		{"unknown error is never remembered", errors.New("boom"), User{Name: "ada"}, 0, fault.Internal, 2},
		{"nobody", nil, User{}, 0, fault.Unauthenticated, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls, c := 0, newClock()
			a, err := NewAuthenticator(AuthenticatorOptions{Now: c.now, Review: func(_ context.Context, _ string, audiences []string) (User, error) {
				calls++
				if len(audiences) != 1 || audiences[0] != "fathom" {
					t.Errorf("audiences = %v", audiences)
				}
				return tt.user, tt.err
			}})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				u, err := a.Authenticate(t.Context(), "t")
				if fault.KindOf(err) != tt.wantKind || (err != nil && u.Name != "") {
					t.Fatalf("got %v, %v; want kind %q", u, err, tt.wantKind)
				}
				c.pass(tt.wait)
			}
			if calls != tt.wantCalls {
				t.Errorf("reviews = %d, want %d", calls, tt.wantCalls)
			}
		})
	}
}

func TestAuthenticatorKeepsItsAnswer(t *testing.T) {
	a, err := NewAuthenticator(AuthenticatorOptions{Review: func(context.Context, string, []string) (User, error) {
		return User{Name: "ada", Groups: []string{"viewers"}, Extra: map[string][]string{"pod": {"p"}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := a.Authenticate(t.Context(), "t")
	u.Groups[0], u.Extra["pod"][0], u.Extra["new"] = "stewards", "q", nil
	u, _ = a.Authenticate(t.Context(), "t")
	if u.Groups[0] != "viewers" || u.Extra["pod"][0] != "p" || len(u.Extra) != 1 {
		t.Errorf("a caller changed the remembered user: %+v", u)
	}
}

func TestAuthenticatorBounds(t *testing.T) {
	calls := 0
	a, err := NewAuthenticator(AuthenticatorOptions{Size: 2, Review: func(context.Context, string, []string) (User, error) {
		calls++
		return User{Name: "ada"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"a", "b", "c", "a"} {
		if _, err := a.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 4 {
		t.Errorf("reviews = %d, want 4: the cache holds two", calls)
	}
	for _, token := range []string{"", strings.Repeat("x", maxTokenBytes+1)} {
		if _, err := a.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) || calls != 4 {
			t.Errorf("token of %d bytes: %v", len(token), err)
		}
	}
}

func TestAuthenticatorSharesReviews(t *testing.T) {
	const n = 64
	var calls atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	a, err := NewAuthenticator(AuthenticatorOptions{Review: func(ctx context.Context, token string, _ []string) (User, error) {
		if calls.Add(1) == 1 {
			close(entered)
		}
		<-release
		return User{Name: "user of " + token}, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The first caller gives up; the answer still reaches the others.
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { _, err := a.Authenticate(ctx, "t"); gaveUp <- err }()
	<-entered
	cancel()
	if err := <-gaveUp; !fault.Is(err, fault.Unavailable) {
		t.Errorf("the caller that gave up got %v", err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() {
			u, err := a.Authenticate(t.Context(), "t")
			if err == nil && u.Name != "user of t" {
				err = fmt.Errorf("got %q", u.Name)
			}
			errs <- err
		})
	}
	close(release)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("reviews = %d, want 1", got)
	}
}

func TestAuthorizer(t *testing.T) {
	ada := User{Name: "ada", Groups: []string{"viewers"}}
	read := Action{Verb: "get", Resource: "datasets", Subresource: "data", Namespace: "ws", Name: "voice"}
	calls, c := 0, newClock()
	var fail error
	a, err := NewAuthorizer(AuthorizerOptions{Now: c.now, Access: func(_ context.Context, u User, action Action) (bool, string, error) {
		calls++
		if action.Group != "fathom.dev" {
			t.Errorf("group = %q", action.Group)
		}
		return u.InGroup("viewers") && action.Verb == "get" && action.Namespace == "ws", "ask a steward", fail
	}})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name      string
		user      User
		action    Action
		pass      time.Duration
		fail      error
		wantKind  fault.Kind
		wantCalls int
	}{
		{"asked", ada, read, 0, nil, "", 1},
		{"remembered", ada, read, 0, nil, "", 1},
		{"audit mark does not matter", ada, Action{Verb: "get", Group: "fathom.dev", Resource: "datasets", Subresource: "data", Namespace: "ws", Name: "voice", Data: true}, 0, nil, "", 1},
		{"other verb", ada, Action{Verb: "delete", Resource: "datasets", Namespace: "ws"}, 0, nil, fault.Forbidden, 2},
		{"other workspace", ada, Action{Verb: "get", Resource: "datasets", Subresource: "data", Namespace: "other", Name: "voice"}, 0, nil, fault.Forbidden, 3},
		{"same name, other groups", User{Name: "ada"}, read, 0, nil, fault.Forbidden, 4},
		{"fields do not run together", User{Name: "ada", Groups: []string{"view", "ers"}}, read, 0, nil, fault.Forbidden, 5},
		{"remembered while the API server is down", ada, read, 9 * time.Second, errors.New("down"), "", 5},
		{"forgotten: fails closed", ada, read, time.Second, errors.New("down"), fault.Unavailable, 6},
		{"an error is not remembered", ada, read, 0, nil, "", 7},
		{"nobody", User{Groups: []string{"viewers"}}, read, 0, nil, fault.Unauthenticated, 7},
		{"no verb", ada, Action{Resource: "datasets"}, 0, nil, fault.Internal, 7},
	}
	for _, s := range steps {
		c.pass(s.pass)
		fail = s.fail
		err := a.Authorize(t.Context(), s.user, s.action)
		if fault.KindOf(err) != s.wantKind || calls != s.wantCalls {
			t.Fatalf("%s: %v after %d calls, want kind %q after %d", s.name, err, calls, s.wantKind, s.wantCalls)
		}
		if s.wantKind == fault.Forbidden && !strings.Contains(err.Error(), "ask a steward") {
			t.Errorf("%s: the reason is missing in %q", s.name, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	review := func(context.Context, string, []string) (User, error) { return User{}, nil }
	for _, opt := range []AuthenticatorOptions{{}, {Review: review, TTL: 11 * time.Second}, {Review: review, TTL: -1}, {Review: review, Size: -1}} {
		if _, err := NewAuthenticator(opt); err == nil {
			t.Errorf("%+v was accepted", opt)
		}
	}
	if _, err := NewAuthorizer(AuthorizerOptions{}); err == nil {
		t.Error("an authorizer without Access was accepted")
	}
}
