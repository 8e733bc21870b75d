// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/inference"
	"fathom.dev/fathom/internal/predict"
)

// Times of a model server.
const (
	serveNotice = 2 * time.Second  // between turning unready and refusing connections
	serveDrain  = 10 * time.Second // for requests under way; the pod's grace period is longer
)

// serve is the model server of an Endpoint's pod: it fetches one version of a model, checks it against the answers that were
// written down when it was evaluated, and answers the Open Inference Protocol until it is told to stop. It speaks plain
// HTTP to whoever reaches it: the pods' network is the gateway's, which asks callers who they are.
//
// Environment: FATHOM_MODEL_URL (below it model.onnx and evaluation.json), FATHOM_MODEL_NAME, FATHOM_MODEL_VERSION,
// FATHOM_TOKEN_FILE, FATHOM_CA_FILE, FATHOM_SERVE_HOST (default 127.0.0.1), FATHOM_SERVE_PORT (default 8080),
// FATHOM_CONCURRENCY (requests computed at a time, default 8).
func serve(ctx context.Context, s *step) error {
	config, err := serveConfig(os.Getenv)
	if err != nil {
		return err
	}
	return serveModel(ctx, config, slog.New(slog.NewTextHandler(s.stderr, nil)), func(net.Addr) {})
}

// serveModel fetches, checks and serves until ctx ends; listening is told the address.
func serveModel(ctx context.Context, config served, log *slog.Logger, listening func(net.Addr)) error {
	fetched, err := fetchModel(ctx, config, log)
	if err != nil {
		return err
	}
	session, err := openServed(ctx, fetched)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	var stopping atomic.Bool
	handler, err := inference.New(inference.Options{
		Session: session, Name: config.name, Version: config.version, Signature: fetched.evaluation.Signature,
		Classes: fetched.evaluation.Classes, Concurrency: config.concurrency, Ready: func() bool { return !stopping.Load() },
		Metrics: serveMetrics(),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", config.address)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "listen", err)
	}
	defer func() { _ = listener.Close() }()
	log.Info("serving", "model", config.name, "version", config.version, "address", listener.Addr().String(), "digest", session.Digest())
	listening(listener.Addr())
	return serveUntil(ctx, listener, handler, config.notice, func() { stopping.Store(true) })
}

func serveMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// serveUntil answers until ctx ends; then it says that it is not ready, goes on for a moment so that nobody who has not heard
// is refused, and ends when the last request has.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler, told time.Duration, stop func()) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fault.Wrap(fault.Unavailable, "serve", err)
	case <-ctx.Done():
	}
	stop()
	notice := time.NewTimer(told)
	defer notice.Stop()
	select {
	case err := <-failed:
		return fault.Wrap(fault.Unavailable, "serve", err)
	case <-notice.C:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveDrain)
	defer cancel()
	return fault.Wrap(fault.Unavailable, "stop", server.Shutdown(drain))
}

// openServed loads the model and compares it with its evaluation.
func openServed(ctx context.Context, f *fetched) (*predict.Session, error) {
	runtime, err := engine()
	if err != nil {
		return nil, err
	}
	session, err := runtime.Load(f.model, predict.Limits{})
	if err != nil {
		return nil, err
	}
	if err := checkServed(ctx, session, f.evaluation); err != nil {
		_ = session.Close()
		return nil, err
	}
	return session, nil
}

// checkServed refuses a model that is not the evaluated one, or that answers otherwise than it did then.
func checkServed(ctx context.Context, session *predict.Session, e evaluate.Evaluation) error {
	if want := e.Signature.Digest; want != "" && want != string(session.Digest()) {
		return fault.New(fault.Corrupt, "load model", "model.onnx is %s, but %s was evaluated", session.Digest(), want)
	}
	if len(e.Examples) == 0 {
		return nil
	}
	var features []predict.Feature
	for _, f := range e.Signature.Features {
		features = append(features, predict.Feature{Name: f.Name, Text: f.Type == "text"})
	}
	scorer, err := session.Bind(features, predict.Target{Classes: e.Classes})
	if err != nil {
		return err
	}
	scores, err := scorer.Score(ctx, exampleColumns(e, features))
	if err != nil {
		return err
	}
	got, k := scores.Values, 1
	if scores.Probabilities != nil {
		got, k = scores.Probabilities, len(e.Classes)
	}
	for i, example := range e.Examples {
		for j, want := range example.Outputs {
			if at := i*k + j; at >= len(got) || math.Abs(got[at]-want) > 1e-4*max(1, math.Abs(want)) {
				return fault.New(fault.Corrupt, "load model", "the model answers otherwise than when it was evaluated (example %d)", i)
			}
		}
	}
	return nil
}

func exampleColumns(e evaluate.Evaluation, features []predict.Feature) []predict.Column {
	columns := make([]predict.Column, len(features))
	for i, f := range features {
		columns[i].Name = f.Name
		for _, example := range e.Examples {
			if f.Text {
				text, _ := example.Inputs[f.Name].(string) // "" is a missing text
				columns[i].Texts = append(columns[i].Texts, text)
				continue
			}
			number, known := example.Inputs[f.Name].(float64)
			if !known {
				number = math.NaN()
			}
			columns[i].Numbers = append(columns[i].Numbers, number)
		}
	}
	return columns
}

// evaluated reads an evaluation.
func evaluated(b []byte) (evaluate.Evaluation, error) {
	var e evaluate.Evaluation
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fault.New(fault.Corrupt, "read evaluation.json", "%v", err)
	}
	if e.Schema != evaluate.Schema {
		return e, fault.New(fault.Invalid, "read evaluation.json", "its schema is %q, not %q", e.Schema, evaluate.Schema).
			WithHint("evaluate the model again")
	}
	return e, nil
}
