// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
)

// memory is a blob store.
type memory struct {
	mu    sync.Mutex
	blobs map[ref.Digest]string
}

func (m *memory) PutBlob(_ context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	d := ref.DigestOf(b)
	if expected != "" && expected != d {
		return "", 0, fault.New(fault.Invalid, "blob", "the content is %s", d.Short())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d] = string(b)
	return d, int64(len(b)), nil
}

type file struct{ *strings.Reader }

func (file) Close() error { return nil }

func (m *memory) OpenBlob(_ context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.blobs[d]
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "blob", "there is none")
	}
	return file{strings.NewReader(text)}, int64(len(text)), nil
}

// door is a staging door with a run "train" of two ranks in workspace "w". A token is "<run>-<attempt>-<rank>" for a
// pod's, "person" for one without a pod, "denied" for a pod's that no role covers.
type door struct {
	t       *testing.T
	dir     string
	blobs   *memory
	ledger  *Ledger
	handler http.Handler
	plan    Plan
	limit   int64
	fail    error // what Complete answers
	commits []ref.Digest
	audit   []string
	changes int
}

func (d *door) Authenticate(_ context.Context, token string) (identity.User, error) {
	switch {
	case token == "bad":
		return identity.User{}, fault.New(fault.Unauthenticated, "token", "bad")
	case token == "person":
		return identity.User{Name: "admin"}, nil
	}
	return identity.User{Name: "pod", UID: token, Extra: map[string][]string{extraPodName: {token}, extraPodUID: {"uid"}}}, nil
}

func (d *door) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	if u.UID == "denied" || a.Resource != "runs" || a.Subresource != "output" || a.Namespace == "" || a.Name == "" {
		return fault.New(fault.Forbidden, "authorize", "no")
	}
	return nil
}

func open(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, dir: t.TempDir(), blobs: &memory{blobs: map[ref.Digest]string{}}, limit: 1 << 20}
	d.plan = Plan{Stage: gang.Stage{Command: []string{"true"}}, Gang: gang.Gang{Name: "train-1", Workspace: "w", Workers: 2}}
	d.reopen()
	return d
}

// reopen is a restart: only what is on disk survives.
func (d *door) reopen() {
	d.t.Helper()
	var err error
	if d.ledger, err = OpenLedger(filepath.Join(d.dir, "ledger")); err != nil {
		d.t.Fatal(err)
	}
	d.handler, err = New(Options{
		Authenticator: d, Authorizer: d, Ledger: d.ledger, Blobs: d.blobs, MaxBytes: d.limit, MaxFiles: 5,
		Record: func(_ identity.User, a identity.Action, _ *http.Request, _ error) error {
			d.audit = append(d.audit, a.Verb)
			return nil
		},
		Plan: func(_ context.Context, run ref.Name, _ int) (Plan, error) {
			if run.Name != "train" {
				return Plan{}, fault.New(fault.NotFound, "run", "there is none")
			}
			return d.plan, nil
		},
		Pod: func(_ context.Context, workspace, name, _ string) (Pod, error) {
			parts := strings.Split(name, "-")
			if len(parts) != 3 || workspace != "w" {
				return Pod{}, fault.New(fault.NotFound, "pod", "there is none")
			}
			p := Pod{Run: parts[0]}
			_, err := fmt.Sscan(parts[1]+" "+parts[2], &p.Attempt, &p.Rank)
			return p, err
		},
		Complete: func(_ context.Context, _ ref.Name, _ int, _ gang.Manifest, digest ref.Digest) error {
			d.commits = append(d.commits, digest)
			return d.fail
		},
		Changed: func(ref.Name) { d.changes++ },
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *door) call(token, method, path, body string) (int, string) {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (d *door) want(code int, token, method, path, body string) string {
	d.t.Helper()
	got, text := d.call(token, method, path, body)
	if got != code {
		d.t.Fatalf("%s %s as %q: %d %s, want %d", method, path, token, got, text, code)
	}
	return text
}

func (d *door) put(token, folder, path, text string) gang.File {
	d.t.Helper()
	f := gang.File{Path: path, Digest: ref.DigestOf([]byte(text)), Size: int64(len(text))}
	d.want(204, token, "PUT", "/runs/w/train/"+folder+"/"+path+"?digest="+string(f.Digest), text)
	return f
}

func (d *door) complete(token string, files ...gang.File) gang.Receipt {
	d.t.Helper()
	body, err := json.Marshal(gang.Completion{Files: files})
	if err != nil {
		d.t.Fatal(err)
	}
	var receipt gang.Receipt
	if err := json.Unmarshal([]byte(d.want(200, token, "POST", "/runs/w/train/complete", string(body))), &receipt); err != nil {
		d.t.Fatal(err)
	}
	return receipt
}

func (d *door) report() gang.Report {
	d.t.Helper()
	r, err := d.ledger.Report(ref.Name{Workspace: "w", Name: "train"})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// Every route refuses everyone but a pod of the run.
func TestWhoMayCome(t *testing.T) {
	d := open(t)
	digest := string(ref.DigestOf([]byte("secret")))
	d.blobs.blobs[ref.Digest(digest)] = "secret"
	for _, route := range identity.Routes(d.handler) {
		method, pattern, _ := strings.Cut(route.Pattern, " ")
		path := strings.NewReplacer("{workspace}", "w", "{run}", "train", "{digest}", digest, "{path...}", "x").Replace(pattern)
		for token, want := range map[string]int{"": 401, "bad": 401, "person": 403, "denied": 403, "other-1-0": 403, "nonsense": 404} {
			if code, text := d.call(token, method, path, "{}"); code != want {
				t.Errorf("%s as %q: %d %s, want %d", route.Pattern, token, code, text, want)
			}
		}
		elsewhere := strings.Replace(path, "/w/", "/v/", 1)
		if code, _ := d.call("train-1-0", method, elsewhere, "{}"); code != 404 {
			t.Errorf("%s in another workspace: %d", route.Pattern, code)
		}
	}
	if r := d.report(); r.Attempt != 0 {
		t.Errorf("a refused call left %+v", r)
	}
}

func TestOnlyWhatThePlanNames(t *testing.T) {
	d := open(t)
	add := func(text string) gang.File {
		digest, n, _ := d.blobs.PutBlob(context.Background(), strings.NewReader(text), "")
		return gang.File{Path: "inputs/a", Digest: digest, Size: n}
	}
	input, secret := add("input"), add("secret of another run")
	d.plan.Stage.Inputs = []gang.File{input}
	if text := d.want(200, "train-1-0", "GET", "/runs/w/train/blobs/"+string(input.Digest), ""); text != "input" {
		t.Errorf("input is %q", text)
	}
	d.want(404, "train-1-0", "GET", "/runs/w/train/blobs/"+string(secret.Digest), "")
	// Claiming its digest as output, or as a checkpoint, does not help.
	secret.Path = "x"
	if r := d.complete("train-1-0", secret); len(r.Missing) != 1 {
		t.Errorf("receipt %+v, want the file to be missing", r)
	}
	d.want(400, "train-1-0", "PUT", "/runs/w/train/checkpoints/x?digest="+string(secret.Digest), "something else")
	d.want(404, "train-1-0", "GET", "/runs/w/train/blobs/"+string(secret.Digest), "")
}

func TestPaths(t *testing.T) {
	d := open(t)
	digest := string(ref.DigestOf([]byte("x")))
	for _, path := range []string{"..%2fx", "%2e%2e/x", "a/%2e%2e/%2e%2e/x", "/x", "%2fetc", "a%00b", `a%5cb`, "a//b", "."} {
		for _, folder := range []string{"output", "checkpoints"} {
			if code, text := d.call("train-1-0", "PUT", "/runs/w/train/"+folder+"/"+path+"?digest="+digest, "x"); code/100 == 2 {
				t.Errorf("%s/%s: %d %s", folder, path, code, text)
			}
		}
	}
	for _, query := range []string{"", "?digest=md5:1", "?digest=" + string(ref.DigestOf(nil))} {
		d.want(400, "train-1-0", "PUT", "/runs/w/train/output/x"+query, "x")
	}
	d.want(413, "train-1-0", "PUT", "/runs/w/train/output/big?digest="+digest, strings.Repeat("x", 2<<20))
	for i := range 5 {
		d.put("train-1-0", "output", fmt.Sprint("f", i), "x")
	}
	d.want(413, "train-1-0", "PUT", "/runs/w/train/output/sixth?digest="+digest, "x")
	for _, body := range []string{"", "[", `{"fraction":2}`, `{"fraction":-1}`, `{"fraction":"x"}`} {
		d.want(400, "train-1-0", "POST", "/runs/w/train/progress", body)
	}
}

func TestCommitIsWholeAndOnce(t *testing.T) {
	d := open(t)
	a := d.put("train-1-0", "output", "a", "A")
	if r := d.complete("train-1-0", a); r.Committed {
		t.Fatal("committed before all ranks completed")
	}
	d.reopen()
	b := d.put("train-1-1", "output", "b", "B")
	d.fail = fault.New(fault.Unavailable, "history", "locked")
	body, _ := json.Marshal(gang.Completion{Files: []gang.File{b}})
	d.want(503, "train-1-1", "POST", "/runs/w/train/complete", string(body))
	if d.report().Output != "" {
		t.Fatal("visible although it could not be recorded")
	}
	d.fail = nil
	d.reopen()
	first := d.complete("train-1-1", b)
	d.reopen()
	again := d.complete("train-1-1", b)
	if !first.Committed || first.Output != again.Output || !again.Committed {
		t.Errorf("receipts %+v and %+v", first, again)
	}
	if len(d.commits) != 2 || d.commits[0] != d.commits[1] {
		t.Errorf("recorded %v", d.commits)
	}
	if got := d.blobs.blobs[first.Output]; got != fmt.Sprintf(`{"files":[{"path":"a","digest":%q,"size":1},{"path":"b","digest":%q,"size":1}]}`, a.Digest, b.Digest) {
		t.Errorf("manifest %s", got)
	}
	if r := d.report(); r.Files != 2 || r.Bytes != 2 || r.Attempt != 1 {
		t.Errorf("report %+v", r)
	}
	d.want(409, "train-2-0", "GET", "/runs/w/train/stage", "") // nothing comes after a commit
}

func TestStaleAttempts(t *testing.T) {
	d := open(t)
	old := d.put("train-1-0", "output", "a", "old")
	d.put("train-1-0", "checkpoints", "c", "state")
	d.want(204, "train-1-1", "POST", "/runs/w/train/failure", `{"exitCode":1,"tail":"boom"}`)
	d.want(204, "train-1-1", "POST", "/runs/w/train/failure", `{"exitCode":1,"tail":"boom"}`) // retried
	if f := d.report().Failures; len(f) != 1 || f[0].Rank != 1 || f[0].Tail != "boom" {
		t.Errorf("failures %+v", f)
	}
	var stage gang.Stage
	if err := json.Unmarshal([]byte(d.want(200, "train-2-0", "GET", "/runs/w/train/stage", "")), &stage); err != nil {
		t.Fatal(err)
	}
	if len(stage.Checkpoints) != 1 || stage.Checkpoints[0].Path != "c" || stage.Attempt != 2 || stage.Env["FATHOM_RANK"] != "0" {
		t.Errorf("stage %+v", stage)
	}
	d.want(200, "train-2-0", "GET", "/runs/w/train/blobs/"+string(stage.Checkpoints[0].Digest), "")
	for _, reopened := range []bool{false, true} {
		if reopened {
			d.reopen()
		}
		d.want(409, "train-1-0", "POST", "/runs/w/train/complete", `{"files":[]}`)
		d.want(409, "train-1-0", "PUT", "/runs/w/train/checkpoints/c?digest="+string(ref.DigestOf(nil)), "")
		if r := d.complete("train-2-0", old); len(r.Missing) != 1 {
			t.Errorf("an upload of attempt 1 counts in attempt 2: %+v", r)
		}
		if r := d.report(); r.Attempt != 2 || len(r.Failures) != 0 {
			t.Errorf("report %+v", r)
		}
	}
	d.want(204, "train-2-0", "DELETE", "/runs/w/train/checkpoints/c", "")
	d.want(204, "train-2-0", "DELETE", "/runs/w/train/checkpoints/c", "")
	if text := d.want(200, "train-2-0", "GET", "/runs/w/train/checkpoints", ""); text != "{\"files\":[]}\n" {
		t.Errorf("checkpoints %s", text)
	}
}

// A ledger that was cut off anywhere opens, and knows a prefix of what was told.
func TestTornLedger(t *testing.T) {
	d := open(t)
	a := d.put("train-1-0", "output", "a", "A")
	d.put("train-1-0", "checkpoints", "c", "C")
	d.complete("train-1-0", a)
	d.complete("train-1-1")
	name := filepath.Join(d.dir, "ledger", "w", "train.jsonl")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		d.reopen()
		if d.report().Output != "" {
			t.Fatalf("cut at %d: committed", cut)
		}
		if cut%7 == 0 { // and it goes on from there
			d.put("train-1-0", "output", "a", "A")
			d.complete("train-1-0", a)
			if r := d.complete("train-1-1"); !r.Committed {
				t.Fatalf("cut at %d: %+v", cut, r)
			}
		}
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines[1] = []byte("junk\n")
	if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	d.reopen()
	if _, err := d.ledger.Report(ref.Name{Workspace: "w", Name: "train"}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("damage inside gives %v, want Corrupt", err)
	}
}

func TestForget(t *testing.T) {
	d := open(t)
	d.put("train-1-0", "output", "a", "A")
	run := ref.Name{Workspace: "w", Name: "train"}
	for range 2 {
		if err := d.ledger.Forget(run); err != nil {
			t.Fatal(err)
		}
	}
	if r := d.report(); r.Attempt != 0 {
		t.Errorf("remembers %+v", r)
	}
}

func TestAuditAndChanges(t *testing.T) {
	d := open(t)
	d.want(200, "train-1-0", "GET", "/runs/w/train/stage", "")
	d.want(204, "train-1-0", "POST", "/runs/w/train/progress", `{"fraction":0.5}`)
	d.complete("train-1-0")
	if got := strings.Join(d.audit, " "); got != "get update" || d.changes != 2 {
		t.Errorf("audit %q, %d changes", got, d.changes)
	}
}
