// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// load sends requests from clients goroutines until stop, and counts those that were not answered with 200.
func (f *fixture) load(clients int, stop <-chan struct{}) (wait func() (sent, failed int64)) {
	var sent, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				want := fmt.Sprintf("body %d %d", i, n)
				status, text, _ := f.do("POST", inferPath, want, nil)
				sent.Add(1)
				if status != 200 || !strings.HasSuffix(text, want) {
					failed.Add(1)
					f.Errorf("%d %s", status, text)
				}
			}
		})
	}
	return func() (int64, int64) { wg.Wait(); return sent.Load(), failed.Load() }
}

// count counts what a replica answers, and tells of it.
type count struct {
	atomic.Int64
	h http.HandlerFunc
}

func (c *count) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.Add(1)
	tell()
	c.h(w, r)
}

// happened is told by the stand-ins: a replica was asked, or the gateway asked where requests go, as it does while some wait.
var happened = sync.NewCond(&sync.Mutex{})

func tell() {
	happened.L.Lock()
	defer happened.L.Unlock()
	happened.Broadcast()
}

// await waits for a condition that other goroutines bring about, and looks whenever something happened.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := false
	patience := time.AfterFunc(10*time.Second, func() {
		happened.L.Lock()
		defer happened.L.Unlock()
		late = true
		happened.Broadcast()
	})
	defer patience.Stop()
	happened.L.Lock()
	defer happened.L.Unlock()
	for !done() {
		if late {
			t.Fatalf("waited in vain: %s", what)
		}
		happened.Wait()
	}
}

// TestSwitch changes versions under load, the old replicas going away at once.
func TestSwitch(t *testing.T) {
	f := start(t, nil)
	stop := make(chan struct{})
	first := &count{h: echo("v1")}
	old, address := model(t, first.ServeHTTP)
	f.set(parkinsons, Target{Version: 1, Addresses: []string{address}, Concurrency: 4})
	wait := f.load(8, stop)
	current := first
	for version := int64(2); version < 8; version++ {
		await(t, "load", func() bool { return current.Load() > 100 })
		next := &count{h: echo("v")}
		server, address := model(t, next.ServeHTTP)
		f.set(parkinsons, Target{Version: version, Addresses: []string{address}, Concurrency: 4})
		old.Config.SetKeepAlivesEnabled(false)
		old.Close() // ends connections once their requests are answered
		old, current = server, next
	}
	await(t, "load", func() bool { return current.Load() > 100 })
	close(stop)
	sent, failed := wait()
	if failed > 0 || sent < 700 {
		t.Errorf("%d of %d failed", failed, sent)
	}
}

// TestKilled kills replicas under load, in the middle of their answers, while the gateway still believes in them.
func TestKilled(t *testing.T) {
	f := start(t, nil)
	stop := make(chan struct{})
	var addresses []string
	var servers []*httptest.Server
	var counts []*count
	for range 3 {
		c := &count{h: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:len(body)/2])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(body[len(body)/2:])
		}}
		s, address := model(t, c.ServeHTTP)
		addresses, servers, counts = append(addresses, address), append(servers, s), append(counts, c)
	}
	f.set(parkinsons, Target{Version: 1, Addresses: addresses, Concurrency: 4})
	wait := f.load(8, stop)
	for i := range 2 {
		await(t, "load", func() bool { return counts[i].Load() > 100 })
		servers[i].CloseClientConnections()
		_ = servers[i].Listener.Close()
	}
	seen := counts[2].Load()
	await(t, "the last replica", func() bool { return counts[2].Load() > seen+200 })
	close(stop)
	if sent, failed := wait(); failed > 0 {
		t.Errorf("%d of %d failed", failed, sent)
	}
	if n := testutil.CollectAndCount(f.registry, "fathom_endpoint_retries_total"); n != 1 {
		t.Errorf("%d counters of retries", n)
	}
}
