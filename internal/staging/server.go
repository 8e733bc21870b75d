// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"context"
	"io"
	"net/http"
	"sync"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
)

// Plan is what a run's pods need, the same for all ranks; the door adds the rank's environment and the checkpoints.
type Plan struct {
	Stage gang.Stage
	Gang  gang.Gang
}

// Pod is what the door must know about the caller's pod.
type Pod struct {
	Run     string // the run it belongs to, in its own namespace
	Attempt int    // from 1
	Rank    int    // its completion index
}

// Blobs is the content-addressed store.
type Blobs interface {
	// PutBlob stores all of r durably and returns its digest and size in bytes; Invalid, and nothing stored, when the
	// content is not the expected one. An empty expected digest expects nothing.
	PutBlob(ctx context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error)
	// OpenBlob opens a blob and tells its size in bytes, or answers NotFound.
	OpenBlob(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error)
}

// Options configures [New]. All fields without a default are required.
type Options struct {
	Authenticator identity.Authenticator
	Authorizer    identity.Authorizer
	// Record receives the audit line of every stage and completion. Nil records nothing.
	Record identity.Recorder
	Ledger *Ledger
	Blobs  Blobs
	// Plan says what an attempt of a run may read and does; NotFound for a run that does not exist.
	Plan func(ctx context.Context, run ref.Name, attempt int) (Plan, error)
	// Pod looks up the pod that a token is bound to, by namespace, name and UID; NotFound when it is gone, Forbidden
	// when it is not a pod of a run.
	Pod func(ctx context.Context, workspace, name, uid string) (Pod, error)
	// Complete records a run's output, whose manifest is a blob already. It is called before the output becomes
	// visible, and again with the same arguments after a crash between the two. Nil records nothing.
	Complete func(ctx context.Context, run ref.Name, attempt int, manifest gang.Manifest, digest ref.Digest) error
	// Changed is told about progress, failure and completion, without waiting. Nil tells nobody.
	Changed func(run ref.Name)
	// MaxBytes of one attempt's output; default 64 GiB.
	MaxBytes int64
	// MaxFiles of one attempt's output and of its checkpoints; default 100,000.
	MaxFiles int
}

type server struct {
	Options
	mu    sync.Mutex
	plans map[planKey]map[ref.Digest]bool // which blobs an attempt may read
}

type planKey struct {
	run     ref.Name
	attempt int
}

// New builds the door. Missing options are Internal.
func New(opt Options) (http.Handler, error) {
	if opt.Ledger == nil || opt.Blobs == nil || opt.Plan == nil || opt.Pod == nil {
		return nil, fault.New(fault.Internal, "staging.New", "ledger, blobs, plan and pod are required")
	}
	if opt.Changed == nil {
		opt.Changed = func(ref.Name) {}
	}
	if opt.Complete == nil {
		opt.Complete = func(context.Context, ref.Name, int, gang.Manifest, ref.Digest) error { return nil }
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = 64 << 30
	}
	if opt.MaxFiles == 0 {
		opt.MaxFiles = 100_000
	}
	s := &server{Options: opt, plans: map[planKey]map[ref.Digest]bool{}}
	return identity.NewMux(s.routes(), identity.MuxOptions{
		Authenticator: opt.Authenticator, Authorizer: opt.Authorizer, Record: opt.Record,
	})
}

func (s *server) routes() []identity.Route {
	const base = "/runs/{workspace}/{run}/"
	return []identity.Route{
		{Pattern: "GET " + base + "stage", Action: output("get", true), Handler: s.pod(s.stage)},
		{Pattern: "GET " + base + "blobs/{digest}", Action: output("get", false), Handler: s.pod(s.blob)},
		{Pattern: "PUT " + base + "output/{path...}", Action: output("update", false), Handler: s.pod(s.putOutput)},
		{Pattern: "GET " + base + "checkpoints", Action: output("get", false), Handler: s.pod(s.listCheckpoints)},
		{Pattern: "PUT " + base + "checkpoints/{path...}", Action: output("update", false), Handler: s.pod(s.putCheckpoint)},
		{Pattern: "DELETE " + base + "checkpoints/{path...}", Action: output("update", false), Handler: s.pod(s.dropCheckpoint)},
		{Pattern: "POST " + base + "progress", Action: output("update", false), Handler: s.pod(s.progress)},
		{Pattern: "POST " + base + "complete", Action: output("update", true), Handler: s.pod(s.complete)},
		{Pattern: "POST " + base + "failure", Action: output("update", false), Handler: s.pod(s.failure)},
	}
}

// output maps a request to runs/output of the run in the URL.
func output(verb string, data bool) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		run, err := runOf(r)
		return identity.Action{Verb: verb, Group: "fathom.dev", Resource: "runs", Subresource: "output",
			Namespace: run.Workspace, Name: run.Name, Data: data}, err
	}
}

func runOf(r *http.Request) (ref.Name, error) {
	run := ref.Name{Workspace: r.PathValue("workspace"), Name: r.PathValue("run")}
	return run, run.Validate()
}

// call is a request of a pod that was found to belong to the run.
type call struct {
	run ref.Name
	Pod
	account *account
}

// What the API server adds to a token that is bound to a pod.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// pod lets only a pod of the run in the URL pass. No role, not even admin, can stand in for it.
func (s *server) pod(next func(http.ResponseWriter, *http.Request, call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s.identify(r)
		if err == nil {
			err = next(w, r, c)
		}
		if err != nil {
			identity.FailJSON(w, r, err)
			return
		}
		if r.Method == http.MethodPost {
			s.Changed(c.run)
		}
	}
}

func (s *server) identify(r *http.Request) (call, error) {
	run, err := runOf(r)
	if err != nil {
		return call{}, err
	}
	user := identity.UserFrom(r.Context())
	name, uid := user.Extra[extraPodName], user.Extra[extraPodUID]
	if len(name) != 1 || len(uid) != 1 {
		return call{}, fault.New(fault.Forbidden, "staging", "only a run's own pods come through this door").
			WithHint("read the output with `fathom run output`")
	}
	pod, err := s.Pod(r.Context(), run.Workspace, name[0], uid[0])
	if err != nil {
		return call{}, err
	}
	if pod.Run != run.Name {
		return call{}, fault.New(fault.Forbidden, "staging", "pod %s does not belong to run %s", name[0], run)
	}
	account, err := s.Ledger.account(run, true)
	if err != nil {
		return call{}, err
	}
	account.mu.Lock()
	defer account.mu.Unlock()
	return call{run: run, Pod: pod, account: account}, account.enter(pod.Attempt)
}
