// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
)

// Prefix is where the door's routes begin.
const Prefix = "/endpoints/"

// Headers of every answer.
const (
	// VersionHeader tells which version of the model answered.
	VersionHeader = "X-Fathom-Model-Version"
	// RequestHeader names the request; it is the key of captured rows. A client may choose it: at most 128 letters, digits,
	// '.', '_' and '-'.
	RequestHeader = "X-Request-Id"
)

// Target is where an endpoint's requests go now.
type Target struct {
	// Version of the model that is served.
	Version int64
	// Addresses of the ready replicas of that version, host:port, in any order. None: requests wait.
	Addresses []string
	// Concurrency is how many requests a replica gets at a time. Zero: no limit.
	Concurrency int
	// Sample is the share of requests that is captured, 0 to 1.
	Sample float64
}

// Options configures [New]. Backends, Authenticator and Authorizer are required.
type Options struct {
	// Backends tells where an endpoint's requests go; false when there is no such endpoint. It is called for every request
	// and must answer from memory.
	Backends func(ref.Name) (Target, bool)
	// Capture writes one request and its answer down. It must neither block nor keep the record. Nil: nothing is captured.
	Capture func(context.Context, ref.Name, capture.Record) error

	Authenticator identity.Authenticator
	Authorizer    identity.Authorizer
	Record        identity.Recorder

	// Hold is how long a request waits for a replica. Zero: 30 s.
	Hold time.Duration
	// Timeout is how long a replica may take to answer. Zero: 60 s.
	Timeout time.Duration
	// Queue is how many requests may wait, for each endpoint. Zero: 1024.
	Queue int
	// MaxBody is the largest request, in bytes. Zero: 8 MiB, as much as a model server takes.
	MaxBody int64
	// Memory bounds the bodies held at a time, in bytes; at least MaxBody. Zero: 16 × MaxBody.
	Memory int64
	// Metrics receives the door's metrics. Nil: none are kept.
	Metrics prometheus.Registerer
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

type gateway struct {
	Options
	wires   *wires
	memory  *semaphore.Weighted
	metrics *metrics

	mu    sync.Mutex
	pools map[ref.Name]*pool
}

// New builds the door. Its handler expects paths that begin with [Prefix]. Errors: Internal for missing or contradicting
// options.
func New(opt Options) (http.Handler, error) {
	if opt.Backends == nil {
		return nil, fault.New(fault.Internal, "gateway.New", "Backends is required")
	}
	opt = opt.withDefaults()
	if opt.Memory < opt.MaxBody || opt.Hold < 0 || opt.Timeout < 0 || opt.Queue < 0 {
		return nil, fault.New(fault.Internal, "gateway.New", "limits must not be negative, and Memory not smaller than MaxBody")
	}
	m, err := newMetrics(opt.Metrics)
	if err != nil {
		return nil, err
	}
	g := &gateway{
		Options: opt, memory: semaphore.NewWeighted(opt.Memory), metrics: m, pools: map[ref.Name]*pool{}, wires: newWires(),
	}
	return identity.NewMux(g.routes(), identity.MuxOptions{
		Authenticator: opt.Authenticator, Authorizer: opt.Authorizer, Record: opt.Record, Fail: fail,
	})
}

func (o Options) withDefaults() Options {
	if o.Hold == 0 {
		o.Hold = 30 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Queue == 0 {
		o.Queue = 1024
	}
	if o.MaxBody == 0 {
		o.MaxBody = 8 << 20
	}
	if o.Memory == 0 {
		o.Memory = 16 * o.MaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// routes is the door's whole table.
func (g *gateway) routes() []identity.Route {
	const base = Prefix + "{workspace}/{endpoint}/v2"
	routes := []identity.Route{
		{Pattern: "GET " + base, Handler: g.forward, Action: action("get")},
		{Pattern: "GET " + base + "/openapi.json", Handler: g.describe, Action: action("get")},
		{Pattern: "GET " + base + "/health/live", Handler: g.live, Action: action("get")},
		{Pattern: "GET " + base + "/health/ready", Handler: g.ready, Action: action("get")},
	}
	for _, model := range []string{base + "/models/{model}", base + "/models/{model}/versions/{version}"} {
		routes = append(routes,
			identity.Route{Pattern: "GET " + model, Handler: g.forward, Action: action("get")},
			identity.Route{Pattern: "GET " + model + "/ready", Handler: g.forward, Action: action("get")},
			identity.Route{Pattern: "POST " + model + "/infer", Handler: g.infer, Action: action("create")},
		)
	}
	return append(routes, g.grpcRoutes()...)
}

// action maps every request to endpoints/predict of the endpoint in its path; predicting is an access to data.
func action(verb string) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		name, err := endpoint(r)
		if err != nil {
			return identity.Action{}, err
		}
		return identity.Action{Verb: verb, Resource: "endpoints", Subresource: "predict", Namespace: name.Workspace, Name: name.Name,
			Data: verb == "create"}, nil
	}
}

func endpoint(r *http.Request) (ref.Name, error) {
	name := ref.Name{Workspace: r.PathValue("workspace"), Name: r.PathValue("endpoint")}
	return name, name.Validate()
}

// pool finds the state of an endpoint, and forgets endpoints that are gone when a new one comes.
func (g *gateway) pool(name ref.Name) (*pool, error) {
	target, found := g.Backends(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.pools[name]
	if !found {
		g.forget(name)
		return nil, noEndpoint(name)
	}
	if p == nil {
		for other := range g.pools {
			if _, still := g.Backends(other); !still {
				g.forget(other)
			}
		}
		p = newPool(g, name)
		g.pools[name] = p
	}
	p.refresh(target)
	return p, nil
}

func (g *gateway) forget(name ref.Name) {
	if g.pools[name] != nil {
		delete(g.pools, name)
		g.metrics.forget(name)
	}
}

func noEndpoint(name ref.Name) error {
	return fault.New(fault.NotFound, "", "there is no endpoint %s", name)
}
