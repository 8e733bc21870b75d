// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
)

// people are who the tests' tokens belong to; only ada may predict.
type people struct{}

func (people) Authenticate(_ context.Context, token string) (identity.User, error) {
	if token == "ada" || token == "eve" {
		return identity.User{Name: token}, nil
	}
	return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "unknown token")
}

func (people) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	if u.Name == "ada" && a.Resource == "endpoints" && a.Subresource == "predict" && a.Namespace == "neurology" {
		return nil
	}
	return fault.New(fault.Forbidden, "authorize", "%s may not %s", u.Name, a)
}

// backends is a settable Options.Backends.
type backends struct {
	mu      sync.Mutex
	targets map[ref.Name]Target
	asked   atomic.Int64
}

func (b *backends) get(name ref.Name) (Target, bool) {
	b.asked.Add(1)
	defer tell()
	b.mu.Lock()
	defer b.mu.Unlock()
	t, found := b.targets[name]
	return t, found
}

func (b *backends) set(name ref.Name, t Target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets[name] = t
}

func (b *backends) remove(name ref.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.targets, name)
}

var parkinsons = ref.Name{Workspace: "neurology", Name: "parkinsons"}

const inferPath = "/endpoints/neurology/parkinsons/v2/models/m/infer"

// fixture is a gateway over HTTP.
type fixture struct {
	*testing.T
	*backends
	server   *httptest.Server
	registry *prometheus.Registry
}

func start(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{T: t, backends: &backends{targets: map[ref.Name]Target{}}, registry: prometheus.NewRegistry()}
	opt := Options{Backends: f.get, Authenticator: people{}, Authorizer: people{}, Metrics: f.registry}
	if change != nil {
		change(&opt)
	}
	h, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(h)
	t.Cleanup(f.server.Close)
	return f
}

// model is a stand-in for a model server.
func model(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, s.Listener.Addr().String()
}

func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", name, r.URL.Path, body)
	}
}

func (f *fixture) do(method, path, body string, header http.Header) (int, string, http.Header) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ada")
	for k, v := range header {
		r.Header[k] = v
	}
	response, err := f.server.Client().Do(r)
	if err != nil {
		f.Error(err)
		return 0, "", nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.Error(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestRoutes(t *testing.T) {
	f := start(t, nil)
	_, address := model(t, echo("a"))
	f.set(parkinsons, Target{Version: 3, Addresses: []string{address}})
	f.set(ref.Name{Workspace: "neurology", Name: "cold"}, Target{Version: 1})
	f.set(ref.Name{Workspace: "other", Name: "parkinsons"}, Target{Version: 1, Addresses: []string{address}})
	const base = "/endpoints/neurology/parkinsons/v2"
	cases := []struct {
		method, path, token string
		want                int
		text                string
	}{
		{"GET", base, "ada", 200, "a /v2 "},
		{"GET", base + "/health/live", "ada", 200, ""},
		{"GET", base + "/health/ready", "ada", 200, ""},
		{"GET", base + "/models/m", "ada", 200, "a /v2/models/m "},
		{"GET", base + "/models/m/ready", "ada", 200, "a /v2/models/m/ready "},
		{"GET", base + "/models/m/versions/3", "ada", 200, "a /v2/models/m/versions/3 "},
		{"POST", base + "/models/m/infer", "ada", 200, "a /v2/models/m/infer body"},
		{"POST", base + "/models/m/versions/3/infer", "ada", 200, "a /v2/models/m/versions/3/infer body"},
		{"GET", "/endpoints/neurology/cold/v2/health/ready", "ada", 503, "no replica is ready"},
		{"GET", "/endpoints/neurology/cold/v2/health/live", "ada", 200, ""},
		{"POST", base + "/models/m/infer", "eve", 403, "may not create endpoints/predict parkinsons in neurology"},
		{"GET", base + "/health/live", "eve", 403, ""},
		{"POST", base + "/models/m/infer", "nobody", 401, ""},
		{"POST", "/endpoints/other/parkinsons/v2/models/m/infer", "ada", 403, ""},
		{"POST", "/endpoints/neurology/none/v2/models/m/infer", "ada", 404, "no endpoint"},
		{"POST", "/endpoints/Neurology/parkinsons/v2/models/m/infer", "ada", 400, "not a name"},
		{"POST", base + "/models/m/load", "ada", 404, ""},
		{"GET", "/endpoints/neurology/parkinsons/metrics", "ada", 404, ""},
		{"POST", base + "/models/..%2f..%2fmetrics/infer", "ada", 400, ""},
	}
	for _, c := range cases {
		status, text, _ := f.do(c.method, c.path, "body", http.Header{"Authorization": {"Bearer " + c.token}})
		if status != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%s %s as %s: %d %s, want %d %s", c.method, c.path, c.token, status, text, c.want, c.text)
		}
	}
}

// TestHeaders: credentials stay here, the answer names version and request.
func TestHeaders(t *testing.T) {
	f := start(t, func(o *Options) { o.MaxBody = 1 << 16 })
	var got atomic.Value
	_, address := model(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Clone())
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	})
	f.set(parkinsons, Target{Version: 7, Addresses: []string{address}})
	status, _, head := f.do("POST", inferPath, "{}", http.Header{"Cookie": {"session=x"}, "X-Forwarded-User": {"root"},
		"X-Request-Id": {"visit-12"}, "Inference-Header-Content-Length": {"2"}, "Content-Type": {"application/octet-stream"}})
	if status != 200 || head.Get(VersionHeader) != "7" || head.Get(RequestHeader) != "visit-12" || head.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", status, head)
	}
	seen := got.Load().(http.Header)
	if seen.Get("Authorization")+seen.Get("Cookie")+seen.Get("X-Forwarded-User") != "" {
		t.Errorf("a replica saw %v", seen)
	}
	if seen.Get("Inference-Header-Content-Length") != "2" || seen.Get("Content-Type") != "application/octet-stream" || seen.Get(RequestHeader) != "visit-12" {
		t.Errorf("a replica saw %v", seen)
	}
	if _, _, head = f.do("POST", inferPath, "{}", nil); len(head.Get(RequestHeader)) != 36 {
		t.Errorf("made id %q", head.Get(RequestHeader))
	}
	for _, id := range []string{"a b", "ä", strings.Repeat("x", 129), "a\"b"} {
		if status, _, _ := f.do("POST", inferPath, "{}", http.Header{"X-Request-Id": {id}}); status != 400 {
			t.Errorf("id %q: %d", id, status)
		}
	}
	if status, _, _ := f.do("POST", inferPath, strings.Repeat("x", 1<<16+1), nil); status != 413 {
		t.Errorf("large body: %d", status)
	}
}

// TestCold holds requests until a replica is there, and gives up after a while.
func TestCold(t *testing.T) {
	f := start(t, nil)
	f.set(parkinsons, Target{Version: 1})
	answers := make(chan int, 20)
	for range 20 {
		go func() {
			status, _, _ := f.do("POST", inferPath, "x", nil)
			answers <- status
		}()
	}
	await(t, "requests wait", func() bool { return gauge(t, f.registry, "fathom_endpoint_waiting_requests") == 20 })
	_, address := model(t, echo("a"))
	f.set(parkinsons, Target{Version: 1, Addresses: []string{address}, Concurrency: 3})
	for range 20 {
		if status := <-answers; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	asked := f.asked.Load()
	f.set(parkinsons, Target{Version: 1, Addresses: []string{address}})
	if status, _, _ := f.do("POST", inferPath, "x", nil); status != 200 {
		t.Errorf("status %d", status)
	}
	if n := f.asked.Load() - asked; n > 3 {
		t.Errorf("nobody waits, but the replicas were looked up %d times", n)
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestHoldEnds(t *testing.T) {
	f := start(t, func(o *Options) { o.Hold, o.Queue = 50*time.Millisecond, 2 })
	f.set(parkinsons, Target{Version: 1})
	status, text, head := f.do("POST", inferPath, "x", nil)
	if status != 503 || head.Get("Retry-After") == "" || head.Get(RequestHeader) == "" || !strings.Contains(text, "no free replica") {
		t.Errorf("%d %s %v", status, text, head)
	}
	// A replica that refuses connections is one that is not there yet.
	gone, address := model(t, echo(""))
	gone.Close()
	f.set(parkinsons, Target{Version: 1, Addresses: []string{address}})
	if status, _, _ := f.do("POST", inferPath, "x", nil); status != 503 {
		t.Errorf("%d", status)
	}
	f.set(parkinsons, Target{Version: 1})
	statuses := make(chan int, 10)
	for range 10 {
		go func() { s, _, _ := f.do("POST", inferPath, "x", nil); statuses <- s }()
	}
	busy := 0
	for range 10 {
		if s := <-statuses; s == 429 {
			busy++
		} else if s != 503 {
			t.Errorf("status %d", s)
		}
	}
	if busy == 0 {
		t.Error("ten requests wait in a queue of two")
	}
}

// TestRemoved: requests that wait for an endpoint that is deleted get an answer.
func TestRemoved(t *testing.T) {
	f := start(t, nil)
	f.set(parkinsons, Target{Version: 1})
	status := make(chan int)
	go func() { s, _, _ := f.do("POST", inferPath, "x", nil); status <- s }()
	await(t, "it waits", func() bool { return gauge(t, f.registry, "fathom_endpoint_waiting_requests") == 1 })
	f.remove(parkinsons)
	if s := <-status; s != 404 {
		t.Errorf("status %d", s)
	}
}

// TestPoison: a request that breaks replicas is not tried on all of them.
func TestPoison(t *testing.T) {
	f := start(t, nil)
	var hits atomic.Int64
	var addresses []string
	for range 6 {
		_, address := model(t, func(http.ResponseWriter, *http.Request) {
			hits.Add(1)
			panic(http.ErrAbortHandler)
		})
		addresses = append(addresses, address)
	}
	f.set(parkinsons, Target{Version: 1, Addresses: addresses})
	if status, _, _ := f.do("POST", inferPath, "x", nil); status != 503 || hits.Load() != attempts {
		t.Errorf("%d after %d tries", status, hits.Load())
	}
}

// TestLeastLoaded: a slow replica gets fewer requests, and none beyond its concurrency.
func TestLeastLoaded(t *testing.T) {
	f := start(t, nil)
	release := make(chan struct{})
	var slow, most atomic.Int64
	_, a := model(t, func(w http.ResponseWriter, r *http.Request) {
		n := slow.Add(1)
		defer slow.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		tell()
		<-release
		echo("slow")(w, r)
	})
	fast := &count{h: echo("fast")}
	_, b := model(t, fast.ServeHTTP)
	f.set(parkinsons, Target{Version: 1, Addresses: []string{a, b}, Concurrency: 2})
	stop := make(chan struct{})
	wait := f.load(8, stop)
	await(t, "load", func() bool { return fast.Load() > 200 && slow.Load() == 2 })
	close(stop)
	close(release)
	if _, failed := wait(); failed > 0 || most.Load() != 2 {
		t.Errorf("%d failed, the slow replica had %d at a time", failed, most.Load())
	}
}

// TestStopping: a replica that says it is stopping is left alone.
func TestStopping(t *testing.T) {
	f := start(t, nil)
	_, a := model(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	_, b := model(t, echo("b"))
	f.set(parkinsons, Target{Version: 1, Addresses: []string{a, b}})
	for range 20 {
		if status, _, _ := f.do("POST", inferPath, "x", nil); status != 200 {
			t.Errorf("status %d", status)
		}
	}
}

func TestTimeoutAndLargeAnswers(t *testing.T) {
	f := start(t, func(o *Options) { o.Timeout = 100 * time.Millisecond })
	_, slow := model(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	f.set(parkinsons, Target{Version: 1, Addresses: []string{slow}})
	if status, text, _ := f.do("POST", inferPath, "x", nil); status != 503 || !strings.Contains(text, "has not answered within") {
		t.Errorf("%d %s", status, text)
	}
	f = start(t, nil)
	_, large := model(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 3<<20))
	})
	f.set(parkinsons, Target{Version: 1, Addresses: []string{large}, Concurrency: 1})
	for range 3 {
		if status, text, _ := f.do("POST", inferPath, "x", nil); status != 200 || len(text) != 3<<20 {
			t.Errorf("%d, %d bytes", status, len(text))
		}
	}
}
