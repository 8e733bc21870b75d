// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
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

	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/staging"
)

// memory is a blob store.
type memory struct {
	mu    sync.Mutex
	blobs map[ref.Digest][]byte
}

func (m *memory) PutBlob(_ context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	d := ref.DigestOf(b)
	if expected != "" && d != expected {
		return "", 0, fault.New(fault.Invalid, "blob", "digest")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d] = b
	return d, int64(len(b)), nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (m *memory) OpenBlob(_ context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[d]
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "blob", "no blob")
	}
	return reader{bytes.NewReader(b)}, int64(len(b)), nil
}

func (m *memory) add(path, text string) gang.File {
	d, n, _ := m.PutBlob(context.Background(), strings.NewReader(text), "")
	return gang.File{Path: path, Digest: d, Size: n}
}

// tokens are "<pod name>"; pods are "<run>-<attempt>-<rank>".
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (identity.User, error) {
	return identity.User{Name: "system:serviceaccount:w:run", Extra: map[string][]string{
		"authentication.kubernetes.io/pod-name": {token}, "authentication.kubernetes.io/pod-uid": {"u"}}}, nil
}

func (tokens) Authorize(context.Context, identity.User, identity.Action) error { return nil }

var run = ref.Name{Workspace: "w", Name: "train"}

// platform is a staging door behind TLS with one run.
type platform struct {
	t       *testing.T
	dir, ca string
	blobs   *memory
	ledger  *staging.Ledger
	server  *httptest.Server
	plan    staging.Plan
	busy    atomic.Int32 // how many of the next requests are answered 503
	commits atomic.Int32
}

func newPlatform(t *testing.T, code map[string]string, command ...string) *platform {
	t.Helper()
	p := &platform{t: t, dir: t.TempDir(), blobs: &memory{blobs: map[ref.Digest][]byte{}}}
	src := filepath.Join(p.dir, "src")
	for name, text := range code {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(src, name), []byte(text), 0o755))
	}
	p.plan = staging.Plan{Stage: gang.Stage{Command: command}, Gang: gang.Gang{Name: "train-1", Workspace: "w", Workers: 1}}
	if len(code) > 0 {
		var b bytes.Buffer
		must(t, bundle.Pack(&b, src))
		file := p.blobs.add("code", b.String())
		p.plan.Stage.Code = &file
	}
	var err error
	p.ledger, err = staging.OpenLedger(filepath.Join(p.dir, "ledger"))
	must(t, err)
	t.Cleanup(func() { p.ledger.Close() })
	p.serve()
	return p
}

func (p *platform) serve() {
	door, err := staging.New(staging.Options{
		Authenticator: tokens{}, Authorizer: tokens{}, Ledger: p.ledger, Blobs: p.blobs,
		Plan: func(context.Context, ref.Name, int) (staging.Plan, error) { return p.plan, nil },
		Pod: func(_ context.Context, _, name, _ string) (staging.Pod, error) {
			var pod staging.Pod
			parts := strings.Split(name, "-")
			pod.Run = parts[0]
			_, err := fmt.Sscan(parts[1]+" "+parts[2], &pod.Attempt, &pod.Rank)
			return pod, err
		},
		Complete: func(context.Context, ref.Name, int, gang.Manifest, ref.Digest) error { p.commits.Add(1); return nil },
	})
	must(p.t, err)
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.busy.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		door.ServeHTTP(w, r)
	}))
	p.t.Cleanup(p.server.Close)
	p.ca = filepath.Join(p.dir, "ca.pem")
	must(p.t, os.WriteFile(p.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}), 0o600))
}

// pod prepares a rank's process; the folders of each attempt are new, as a pod's are.
func (p *platform) pod(attempt, rank int) (*exec.Cmd, *bytes.Buffer) {
	name := fmt.Sprintf("train-%d-%d", attempt, rank)
	token := filepath.Join(p.dir, name+".token")
	must(p.t, os.WriteFile(token, []byte(name+"\n"), 0o600))
	cmd := exec.Command(binary)
	cmd.WaitDelay = time.Second // grandchildren of a killed process hold its pipes
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "FATHOM_RUN_URL=" + p.server.URL + "/runs/w/train", "FATHOM_TOKEN_FILE=" + token,
		"FATHOM_CA_FILE=" + p.ca, "FATHOM_ROOT=" + filepath.Join(p.dir, name), "GREETING=pod", "FATHOM_ISOLATION=process"}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	return cmd, &log
}

func (p *platform) run(attempt, rank int) (int, string) {
	p.t.Helper()
	cmd, log := p.pod(attempt, rank)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), log.String()
}

func (p *platform) report() gang.Report {
	p.t.Helper()
	report, err := p.ledger.Report(run)
	must(p.t, err)
	return report
}

// output reads the committed files by path.
func (p *platform) output() map[string]string {
	p.t.Helper()
	var m gang.Manifest
	must(p.t, json.Unmarshal(p.blobs.blobs[p.report().Output], &m))
	files := map[string]string{}
	for _, f := range m.Files {
		files[f.Path] = string(p.blobs.blobs[f.Digest])
	}
	return files
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something another process does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("never happened: " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
