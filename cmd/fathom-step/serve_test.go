// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gateway"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/predict"
	"fathom.dev/fathom/internal/ref"
)

// shop hands out a model version's files, as Fathom does to pods; its first answers are that it is not there yet.
type shop struct {
	*httptest.Server
	t     *testing.T
	asked atomic.Int64
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer pod" || s.asked.Add(1) < 3 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	model := strings.Split(r.URL.Path, "/")[1]
	file, damaged := strings.CutPrefix(model, "damaged-")
	if strings.HasSuffix(r.URL.Path, "/model.onnx") {
		http.ServeFile(w, r, filepath.Join("..", "..", "internal", "predict", "testdata", file+".onnx"))
		return
	}
	e := evaluate.Evaluation{Schema: evaluate.Schema}
	if file == "softmax" {
		e.Classes = []string{"no", "yes"}
		e.Signature = evaluate.Signature{Convention: predict.Matrix, Scores: "probabilities",
			Features: []evaluate.Feature{{Name: "age", Type: "number"}, {Name: "weight", Type: "number"}}}
		e.Examples = []evaluate.Example{{Inputs: map[string]any{"age": 0, "weight": 0.1}, Outputs: []float64{0.52497923, 0.47502083}}}
		if damaged {
			e.Examples[0].Outputs[0] += 0.01
		}
	}
	_ = json.NewEncoder(w).Encode(e)
}

// certificate writes a test server's certificate into a file.
func certificate(t *testing.T, s *httptest.Server) string {
	t.Helper()
	return writeCertificate(t, s.Certificate().Raw)
}

func writeCertificate(t *testing.T, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *shop) config(model, version string) served {
	token := filepath.Join(s.t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("pod\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return served{url: s.URL + "/" + model, name: "m", version: version, token: token, ca: certificate(s.t, s.Server),
		address: "127.0.0.1:0", concurrency: 4, notice: 50 * time.Millisecond}
}

// serve runs a model server; stop tells it to end and waits until it has.
func (s *shop) serve(model, version string) (address string, stop func()) {
	s.t.Helper()
	if _, err := engine(); fault.Is(err, fault.NotFound) {
		s.t.Skipf("needs ONNX Runtime: %v", err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	listening, ended := make(chan string, 1), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	go func() {
		ended <- serveModel(ctx, s.config(model, version), log, func(a net.Addr) { listening <- a.String() })
	}()
	select {
	case address = <-listening:
	case err := <-ended:
		s.t.Fatal(err)
	}
	return address, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

// TestServeRefuses: a model that answers otherwise than when it was evaluated is not served.
func TestServeRefuses(t *testing.T) {
	if _, err := engine(); fault.Is(err, fault.NotFound) {
		t.Skipf("needs ONNX Runtime: %v", err)
	}
	s := newShop(t)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	err := serveModel(t.Context(), s.config("damaged-softmax", "1"), log, func(net.Addr) {})
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	foreign := s.config("softmax", "1")
	foreign.ca = otherAuthority(t)
	if err := serveModel(ctx, foreign, log, func(net.Addr) {}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("another authority: %v", err)
	}
}

func TestServeConfig(t *testing.T) {
	good := map[string]string{"FATHOM_MODEL_URL": "https://a/files/", "FATHOM_MODEL_NAME": "m", "FATHOM_MODEL_VERSION": "3",
		"FATHOM_SERVE_HOST": "::1", "FATHOM_CONCURRENCY": "2"}
	c, err := serveConfig(func(k string) string { return good[k] })
	if err != nil || c.url != "https://a/files" || c.address != "[::1]:8080" || c.concurrency != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	for k, v := range map[string]string{"FATHOM_MODEL_URL": "", "FATHOM_MODEL_NAME": "", "FATHOM_MODEL_VERSION": "", "FATHOM_CONCURRENCY": "0"} {
		_, err := serveConfig(func(name string) string {
			if name == k {
				return v
			}
			return good[name]
		})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), k) {
			t.Errorf("%s=%q: %v", k, v, err)
		}
	}
}

// otherAuthority is the file of a certificate that did not sign the shop's.
func otherAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return writeCertificate(t, der)
}

// callers may predict when they are called ada.
type callers struct{}

func (callers) Authenticate(_ context.Context, token string) (identity.User, error) {
	return identity.User{Name: token}, nil
}

func (callers) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	if u.Name != "ada" {
		return fault.New(fault.Forbidden, "authorize", "%s may not %s", u.Name, a)
	}
	return nil
}

// front is a gateway with capture in front of model servers.
type front struct {
	*httptest.Server
	store *capture.Store
	mu    sync.Mutex
	to    map[ref.Name]gateway.Target
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{to: map[ref.Name]gateway.Target{}}
	var err error
	if f.store, err = capture.Open(capture.Options{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	h, err := gateway.New(gateway.Options{
		Backends: func(n ref.Name) (gateway.Target, bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			target, found := f.to[n]
			return target, found
		},
		Capture: f.store.Append, Authenticator: callers{}, Authorizer: callers{},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewUnstartedServer(h)
	f.EnableHTTP2 = true // gRPC
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *front) set(endpoint string, version int64, addresses ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to[ref.Name{Workspace: "w", Name: endpoint}] = gateway.Target{Version: version, Addresses: addresses, Concurrency: 4, Sample: 1}
}

// captured are the lines kept of an endpoint, after everything has been written.
func (f *front) captured(t *testing.T, endpoint string) []map[string]any {
	t.Helper()
	f.Close() // handlers end
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := f.store.Captured(t.Context(), "w", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, file := range files {
		r, _, err := f.store.Open(t.Context(), file.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(r); d.More(); {
			var line map[string]any
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			all = append(all, line)
		}
		_ = r.Close()
	}
	return all
}

// TestTriton has NVIDIA's client ask model servers through the gateway.
func TestTriton(t *testing.T) {
	python := os.Getenv("FATHOM_PYTHON")
	if python == "" {
		python, _ = filepath.Abs(filepath.Join("..", "..", ".tools", "judges", "bin", "python"))
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import tritonclient.http").Run(); err != nil {
		t.Skipf("needs a Python with tritonclient[http]: set FATHOM_PYTHON (%v)", err)
	}
	s, f := newShop(t), newFront(t)
	for _, model := range []string{"echo", "softmax"} {
		address, stop := s.serve(model, "1")
		defer stop()
		f.set(model, 1, address)
	}
	address := f.Listener.Addr().String()
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "serve_client.py"), address+"/endpoints/w/echo",
		address+"/endpoints/w/softmax", certificate(t, f.Server)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := f.captured(t, "softmax")
	if len(lines) != 400 { // four answered requests of 100 rows
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		for _, column := range []string{"age", "weight", "p_no", "p_yes"} {
			if line[column] == nil || line[column] != lines[i%100][column] {
				t.Fatalf("line %d: %v is not %v", i, line, lines[i%100])
			}
		}
		if line["row"] != float64(i%100) || line["version"] != 1.0 || line["status"] != 200.0 || line["predicted"] != nil || len(line) != 9 {
			t.Fatalf("line %d: %v", i, line)
		}
	}
}

// TestTritonGRPC asks the same models through the gRPC client, all datatypes, typed and raw, and its mistakes.
func TestTritonGRPC(t *testing.T) {
	python := os.Getenv("FATHOM_PYTHON")
	if python == "" {
		python, _ = filepath.Abs(filepath.Join("..", "..", ".tools", "judges", "bin", "python"))
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import tritonclient.grpc").Run(); err != nil {
		t.Skipf("needs a Python with tritonclient[grpc]: set FATHOM_PYTHON (%v)", err)
	}
	s, f := newShop(t), newFront(t)
	for _, model := range []string{"echo", "softmax"} {
		address, stop := s.serve(model, "1")
		defer stop()
		f.set(model, 1, address)
	}
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "serve_grpc.py"), f.Listener.Addr().String(),
		certificate(t, f.Server)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := f.captured(t, "softmax")
	if len(lines) != 200 { // two answered requests of 100 rows
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		for _, column := range []string{"age", "weight", "p_no", "p_yes"} {
			if line[column] == nil || line[column] != lines[i%100][column] {
				t.Fatalf("line %d: %v is not %v", i, line, lines[i%100])
			}
		}
	}
}

// TestSchemathesis lets schemathesis ask, from the published description alone, what nobody thinks of: no answer is a server's error, and
// each has a documented status, type and shape. The names of the model and its version are told, else nothing would be asked of it.
func TestSchemathesis(t *testing.T) {
	python := os.Getenv("FATHOM_PYTHON")
	if python == "" {
		python, _ = filepath.Abs(filepath.Join("..", "..", ".tools", "judges", "bin", "python"))
	}
	st := filepath.Join(filepath.Dir(python), "schemathesis")
	if _, err := os.Stat(st); err != nil {
		t.Skipf("needs schemathesis: set FATHOM_PYTHON (%v)", err)
	}
	s, f := newShop(t), newFront(t)
	address, stop := s.serve("softmax", "1")
	defer stop()
	f.set("softmax", 1, address)
	described := strings.ReplaceAll(f.description(t, "softmax"), `"maxLength": 128`, `"enum": ["m", "other"]`)
	described = strings.ReplaceAll(described, `"maxLength": 32`, `"enum": ["1", "9"]`)
	schema := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(schema, []byte(described), 0o600); err != nil {
		t.Fatal(err)
	}
	// Values that fit the description rarely fit the model: refusing them is right.
	cmd := exec.CommandContext(t.Context(), st, "run", schema, "--url", f.URL+"/endpoints/w/softmax", "--header", "Authorization: Bearer ada",
		"--tls-verify", certificate(t, f.Server), "--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing", "--max-examples", "12", "--seed", "1", "--max-time", "40",
		"--generation-database", "none", "--no-color", "--report-dir", t.TempDir())
	cmd.Dir = t.TempDir()
	// A tensor that claims to be too large is refused as such, whatever else is wrong.
	const statuses = "[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]\n"
	if err := os.WriteFile(filepath.Join(cmd.Dir, "schemathesis.toml"), []byte(statuses), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Tested: 9") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// description is what an endpoint says about itself.
func (f *front) description(t *testing.T, endpoint string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/endpoints/w/"+endpoint+"/v2/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ada")
	response, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), `"url": "/endpoints/w/`+endpoint+`"`) {
		t.Fatalf("%s %v\n%s", response.Status, err, text)
	}
	return string(text)
}

// TestServeSwitch changes versions of a real model under load; the old server is stopped as Kubernetes does it.
func TestServeSwitch(t *testing.T) {
	s, f := newShop(t), newFront(t)
	address, stop := s.serve("softmax", "1")
	f.set("e", 1, address)
	var sent, failed atomic.Int64
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				sent.Add(1)
				if err := f.ask(); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	for version := int64(2); version <= 4; version++ {
		next, stopNext := s.serve("softmax", fmt.Sprint(version))
		f.set("e", version, next)
		stop() // ends after the last request that it holds
		stop = stopNext
	}
	close(done)
	clients.Wait()
	stop()
	if failed.Load() > 0 || sent.Load() < 20 {
		t.Errorf("%d of %d failed", failed.Load(), sent.Load())
	}
	seen := map[any]bool{}
	lines := f.captured(t, "e")
	for _, line := range lines {
		seen[line["version"]] = true
	}
	if int64(len(lines)) != sent.Load() || len(seen) < 3 {
		t.Errorf("%d of %d requests were captured, of versions %v", len(lines), sent.Load(), seen)
	}
}

func (f *front) ask() error {
	r, err := http.NewRequest(http.MethodPost, f.URL+"/endpoints/w/e/v2/models/m/infer",
		strings.NewReader(`{"inputs":[{"name":"age","datatype":"FP64","shape":[1],"data":[1]},{"name":"weight","datatype":"FP64","shape":[1],"data":[1]}]}`))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer ada")
	response, err := f.Client().Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != 200 || !strings.Contains(string(text), `"data":[0.05`)) {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}
