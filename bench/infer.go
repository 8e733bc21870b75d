// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	inferPath   = "/v2/models/parkinsons/infer"
	healthPath  = "/health"
	gatewayPath = "/endpoints/neurology/parkinsons" + inferPath
	noopMode    = "serve-noop" // an argument of this program
	loadLength  = 1500 * time.Millisecond
	warmUp      = 300 * time.Millisecond
	tolerance   = 1e-5 // of probabilities; the runtimes are of different versions
	rowsCompare = 20
	peerToken   = "0123456789abcdef"
)

// measureInfer asks one model, the study's, through `fathom-step serve` directly, through the gateway with TLS, identity,
// authorization and capture, through FastAPI with ONNX Runtime, and asks a Go server that does nothing.
func measureInfer(ctx context.Context, b *bench) (figures []figure, err error) {
	venv, err := b.environment(ctx, "infer")
	if err != nil {
		return nil, err
	}
	s, err := b.study(ctx)
	if err != nil {
		return nil, err
	}
	m, err := s.model(ctx)
	if err != nil {
		return nil, err
	}
	servers, stop, err := b.servers(ctx, m, venv)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return nil, err
	}
	host, err := s.doors(ctx)
	if err != nil {
		return nil, err
	}
	body := m.request(m.rows[0])
	direct := newTarget(servers["step"].address, inferPath, body, nil, "")
	gateway := newTarget(host, gatewayPath, body, s.tls, "")
	peer := newTarget(servers["peer"].address, inferPath, body, nil, "")
	secure := newTarget(servers["secure"].address, inferPath, body, servers["secure"].trust, "Authorization: Bearer "+peerToken+"\r\n")
	noop := newTarget(servers["noop"].address, inferPath, body, nil, "")
	if err := m.compare(ctx, s.platform, host, servers); err != nil {
		return nil, err
	}
	fastapi := fmt.Sprintf("FastAPI, %d workers", runtime.NumCPU())
	for _, pair := range []struct {
		what     string
		ours     target
		peer     target
		peerName string
		aims     [2]string
	}{
		{"model server", direct, peer, fastapi, [2]string{"≤ 25 µs", "≥ 48k/s, ≥ 8×"}},
		{"gateway: TLS, identity, authorization, audit, capture", gateway, secure, fastapi + ", TLS, one token", [2]string{"", "≥ 4×"}},
		{"gateway: TLS, identity, authorization, audit, capture", gateway, peer, fastapi + ", plain HTTP, no identity", [2]string{"", ""}},
		{"model server", direct, noop, "Go net/http that does nothing", [2]string{"", "≥ 0.63×"}},
	} {
		one, sixteen, err := b.pair(ctx, pair.ours, pair.peer)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", pair.what, err)
		}
		one.what, sixteen.what = pair.what+", c=1, median latency", pair.what+", c=16, answers"
		one.peer, sixteen.peer, one.aim, sixteen.aim = pair.peerName, pair.peerName, pair.aims[0], pair.aims[1]
		figures = append(figures, one, sixteen)
	}
	return figures, nil
}

// pair measures latency at c=1 and throughput at c=16 of two servers in turn.
func (b *bench) pair(ctx context.Context, ours, peer target) (one, sixteen figure, err error) {
	one = figure{unit: "µs"}
	sixteen = figure{unit: "/s", more: true}
	for _, t := range []target{ours, peer} {
		if _, err := t.load(ctx, 16, warmUp); err != nil {
			return one, sixteen, err
		}
	}
	var clients [2]float64
	measure := func(t target, latency, rate *[]float64, client *float64) func() error {
		return func() error {
			l, err := t.load(ctx, 1, loadLength)
			if err != nil {
				return err
			}
			*latency = append(*latency, l.middle)
			if l, err = t.load(ctx, 16, loadLength); err != nil {
				return err
			}
			*rate, *client = append(*rate, l.rate), l.client
			return nil
		}
	}
	err = alternate(b.rounds, measure(ours, &one.values, &sixteen.values, &clients[0]), measure(peer, &one.peers, &sixteen.peers, &clients[1]))
	sixteen.note = fmt.Sprintf("client's share of all CPU %.0f %%, %.0f %%", 100*clients[0], 100*clients[1])
	return one, sixteen, err
}

// served is the study's model.
type served struct {
	file       string // model.onnx
	evaluation []byte
	input      string
	rows       [][]float64
}

func (s *study) model(ctx context.Context) (*served, error) {
	text, err := s.fetch(ctx, "/api/workspaces/"+studyWorkspace+"/models/parkinsons/evaluation")
	if err != nil {
		return nil, err
	}
	var e struct {
		Signature struct {
			Features []struct{ Name string }
			Inputs   []struct{ Name string }
			Digest   string
		}
		Examples []struct{ Inputs map[string]float64 }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	if len(e.Signature.Inputs) != 1 || len(e.Examples) == 0 {
		return nil, fmt.Errorf("the study's model has %d inputs and %d examples", len(e.Signature.Inputs), len(e.Examples))
	}
	digest := strings.TrimPrefix(e.Signature.Digest, "sha256:")
	m := &served{
		file:       filepath.Join(s.state, "lake", "blobs", "sha256", digest[:2], digest),
		evaluation: text, input: e.Signature.Inputs[0].Name,
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range rowsCompare {
		row := make([]float64, len(e.Signature.Features))
		for i, f := range e.Signature.Features {
			row[i] = float64(float32(e.Examples[0].Inputs[f.Name] * (0.8 + 0.4*rng.Float64())))
		}
		m.rows = append(m.rows, row)
	}
	_, err = os.Stat(m.file)
	return m, err
}

// request is an Open Inference request for one row.
func (m *served) request(row []float64) string {
	data, _ := json.Marshal(row) // finite numbers
	return fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":"FP32","shape":[1,%d],"data":%s}]}`, m.input, len(row), data)
}

// how one of the servers is started.
type how struct {
	health string
	trust  *tls.Config // nil: plain HTTP
	env    func(host, port string) []string
	args   func(host, port string) []string
}

// servers starts our model server, the peer, without and with TLS and a token, and the floor. stop is never nil.
func (b *bench) servers(ctx context.Context, m *served, venv string) (map[string]*child, func() error, error) {
	files := http.NewServeMux()
	files.HandleFunc("GET /model.onnx", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, m.file) })
	files.HandleFunc("GET /evaluation.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(m.evaluation) })
	origin := httptest.NewServer(files)
	started := map[string]*child{}
	stop := func() error {
		origin.Close()
		var errs []error
		for _, c := range started {
			errs = append(errs, c.close())
		}
		return errors.Join(errs...)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	dir, err := b.fresh("peer")
	if err != nil {
		return nil, stop, err
	}
	certFile, keyFile, trust, err := certificate(dir)
	if err != nil {
		return nil, stop, err
	}
	fastapi := func(more ...string) func(host, port string) []string {
		return func(host, port string) []string {
			return append([]string{filepath.Join(venv, "bin", "uvicorn"), "--app-dir", filepath.Join(b.source, "bench", "peers"), "--host", host,
				"--port", port, "--workers", fmt.Sprint(runtime.NumCPU()), "--log-level", "error", "--no-access-log", "infer:app"}, more...)
		}
	}
	for name, how := range map[string]how{
		"step": {"/v2/health/ready", nil, func(host, port string) []string {
			return []string{"FATHOM_MODEL_URL=" + origin.URL, "FATHOM_MODEL_NAME=parkinsons", "FATHOM_MODEL_VERSION=1",
				"FATHOM_SERVE_HOST=" + host, "FATHOM_SERVE_PORT=" + port}
		}, func(string, string) []string { return []string{filepath.Join(b.bin, "fathom-step"), "serve"} }},
		"peer": {healthPath, nil, func(string, string) []string { return []string{"MODEL=" + m.file} }, fastapi()},
		"secure": {healthPath, trust, func(string, string) []string { return []string{"MODEL=" + m.file, "TOKEN=" + peerToken} },
			fastapi("--ssl-certfile", certFile, "--ssl-keyfile", keyFile)},
		"noop": {healthPath, nil, func(string, string) []string { return nil }, func(host, port string) []string {
			return []string{self, noopMode, host + ":" + port}
		}},
	} {
		address, err := freeAddress()
		if err != nil {
			return nil, stop, err
		}
		host, port, _ := strings.Cut(address, ":")
		args := how.args(host, port)
		if started[name], err = startWith(ctx, how.trust, address, how.health, how.env(host, port), args[0], args[1:]...); err != nil {
			delete(started, name)
			return nil, stop, fmt.Errorf("%s: %w", name, err)
		}
	}
	return started, stop, nil
}

// compare refuses to time servers that answer differently.
func (m *served) compare(ctx context.Context, p *platform, host string, servers map[string]*child) error {
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls.Clone()}, Timeout: time.Minute}
	defer secure.CloseIdleConnections()
	for i, row := range m.rows {
		want, err := m.probabilities(ctx, http.DefaultClient, "http://"+servers["peer"].address+inferPath, row)
		if err != nil {
			return err
		}
		for url, client := range map[string]*http.Client{
			"http://" + servers["step"].address + inferPath: http.DefaultClient, "https://" + host + gatewayPath: secure,
		} {
			got, err := m.probabilities(ctx, client, url, row)
			if err != nil {
				return err
			}
			for j := range want {
				if len(got) != len(want) || math.Abs(got[j]-want[j]) > tolerance {
					return fmt.Errorf("row %d: %s answers %v, the peer %v", i, url, got, want)
				}
			}
		}
	}
	return nil
}

func (m *served) probabilities(ctx context.Context, client *http.Client, url string, row []float64) ([]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(m.request(row)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Outputs []struct {
			Name string
			Data []float64
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.300s", url, response.Status, text)
	}
	for _, o := range answer.Outputs {
		if o.Name == "probabilities" {
			return o.Data, nil
		}
	}
	return nil, fmt.Errorf("%s: no probabilities: %.300s", url, text)
}

// serveNoop answers every request with what a prediction is long, and nothing else.
func serveNoop(address string) {
	answer := []byte(`{"model_name":"parkinsons","outputs":[{"name":"label","datatype":"INT64","shape":[1],"data":[1]}]}`)
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // lives for a minute
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
