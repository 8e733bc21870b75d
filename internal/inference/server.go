// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"context"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

// Options configures [New]. Session and Name are required.
type Options struct {
	Session *predict.Session
	// Name and Version of the model, as clients call it.
	Name, Version string
	// Signature names the features; without features only the ONNX file's own inputs can be sent.
	Signature evaluate.Signature
	// Classes in the order of the probabilities; none for a regression.
	Classes []string
	// Ready is asked by the readiness routes. Nil: always.
	Ready func() bool
	// Concurrency is how many requests are computed at a time; others wait. Zero: 8.
	Concurrency int
	// MaxBody is the largest request in bytes. Zero: 8 MiB.
	MaxBody int64
	// Memory bounds the bodies held at a time, in bytes; at least MaxBody. A body takes up to nine times its length while it
	// is decoded and computed. Zero: 2 × MaxBody, which fits a pod of 256 MiB.
	Memory int64
	// Metrics receives the door's metrics; GET /metrics shows them. Nil: a registry of its own.
	Metrics *prometheus.Registry
}

type server struct {
	Options
	limits   oip.Limits
	inputs   *assembler
	metadata oip.Metadata
	running  chan struct{}
	memory   *semaphore.Weighted
	metrics  *metrics
}

// New builds the door. Errors: Internal for missing or contradicting options.
func New(opt Options) (http.Handler, error) {
	if opt.Session == nil || opt.Name == "" || opt.Concurrency < 0 || opt.MaxBody < 0 {
		return nil, fault.New(fault.Internal, "inference.New", "a session and a name are required, limits must not be negative")
	}
	if opt.Ready == nil {
		opt.Ready = func() bool { return true }
	}
	if opt.Concurrency == 0 {
		opt.Concurrency = 8
	}
	if opt.MaxBody == 0 {
		opt.MaxBody = 8 << 20
	}
	if opt.Memory == 0 {
		opt.Memory = 2 * opt.MaxBody
	}
	if opt.Memory < opt.MaxBody {
		return nil, fault.New(fault.Internal, "inference.New", "Memory is smaller than MaxBody")
	}
	if opt.Metrics == nil {
		opt.Metrics = prometheus.NewRegistry()
	}
	limits := opt.Session.Limits()
	s := &server{
		Options: opt, limits: oip.Limits{Elements: limits.Elements, Tensors: limits.Names},
		running: make(chan struct{}, opt.Concurrency), memory: semaphore.NewWeighted(opt.Memory),
	}
	var err error
	if s.inputs, err = newAssembler(opt.Session.Signature().Inputs, opt.Signature); err != nil {
		return nil, err
	}
	s.metadata = s.describe()
	if s.metrics, err = newMetrics(opt.Metrics); err != nil {
		return nil, err
	}
	return identity.NewMux(s.routes(), identity.MuxOptions{Authenticator: nobody{}, Authorizer: nobody{}, Fail: s.fail})
}

const public = "the pods' network; the gateway asks who is calling"

// routes is the door's whole table.
func (s *server) routes() []identity.Route {
	routes := []identity.Route{
		{Pattern: "GET /v2", Handler: s.server},
		{Pattern: "GET /v2/health/live", Handler: s.live},
		{Pattern: "GET /v2/health/ready", Handler: s.ready},
		{Pattern: "GET /metrics", Handler: s.metrics.show},
	}
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		routes = append(routes,
			identity.Route{Pattern: "GET " + model, Handler: s.named(s.model)},
			identity.Route{Pattern: "GET " + model + "/ready", Handler: s.named(s.ready)},
			identity.Route{Pattern: "POST " + model + "/infer", Handler: s.named(s.infer)},
		)
	}
	for i := range routes {
		routes[i].Public = public
	}
	return routes
}

// named refuses requests for another model or version than the one that is loaded.
func (s *server) named(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		model, version := r.PathValue("model"), r.PathValue("version")
		if model != s.Name || (version != "" && version != s.Version) {
			s.fail(w, r, fault.New(fault.NotFound, "", "there is no model %q of version %q here, only %q of version %q",
				clip(model), clip(version), s.Name, s.Version))
			return
		}
		next(w, r)
	}
}

// nobody is who the door knows: all its routes are public.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (identity.User, error) {
	return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "a model server knows nobody")
}

func (nobody) Authorize(context.Context, identity.User, identity.Action) error {
	return fault.New(fault.Forbidden, "authorize", "a model server decides nothing")
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
