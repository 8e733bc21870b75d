// SPDX-License-Identifier: Apache-2.0

// Package console is the door for people and for the command line: what the Kubernetes API does not carry (uploads, SQL,
// lineage, history, decisions on promotion) as JSON below /api, and pages below /ui.
//
// A browser proves who it is with a session cookie, which it gets for a one-time link; everybody else with a client
// certificate or a bearer token. Every route maps to one action on Fathom's resources.
package console

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// Options configures the door. All fields are required.
type Options struct {
	Authenticator identity.Authenticator
	Authorizer    identity.Authorizer
	Record        identity.Recorder
	Now           func() time.Time
	// Client reads objects and patches the status of model versions.
	Client client.Client
	Lake   *lake.Store
	// Uploaded remembers, durably, that a workspace brought these bytes. Nil: nobody is told.
	Uploaded func(workspace string, digest ref.Digest) error
	// PutObject stores a file in a workspace's bucket, durably.
	PutObject func(ctx context.Context, bucket, key string, body io.Reader) error
	// Tables parses a statement and names the tables it reads.
	Tables func(context.Context, query.CheckParams) (query.Checked, error)
	// Query answers a person's statement over Parquet files that are readable on this machine.
	Query func(ctx context.Context, p query.ReadParams, out io.Writer) error
	// Log copies the log of a live or ended run; follow waits for more while it lives.
	Log func(ctx context.Context, run ref.Name, follow bool, out io.Writer) error
	// Plan answers what applying objects would do.
	Plan func(ctx context.Context, workspace string, objects json.RawMessage) (any, error)
	// Replay starts to make a version again and answers with how it compares.
	Replay func(ctx context.Context, r ReplayRequest) (any, error)
	// About and Training tell of a model's version what its evaluation does not hold.
	About    func(context.Context, *v1alpha1.ModelVersion) (About, error)
	Training func(context.Context, *v1alpha1.ModelVersion) (Training, error)
	// Traffic is how an endpoint was used in the last span, as JSON will show it.
	Traffic func(endpoint ref.Name, span time.Duration) any
	// Endpoints is the door of endpoints; it takes the caller from the request's context.
	Endpoints http.Handler
	// Isolation tells what separates pods on this machine, and what is not enforced.
	Isolation func() (level string, missing []string)
	// Audit reads lines of the audit log, the newest first, as JSON will show them.
	Audit func(context.Context, AuditQuery) (any, error)
	// Page renders a model's insight page as HTML.
	Page func(ctx context.Context, model ref.Name, version int64) ([]byte, error)
	// App is the folder of the built console; without an index.html in it pages say how to build it.
	App fs.FS
	// Changes tells which objects of a workspace change, in batches, until ctx ends; then the channel is closed.
	Changes func(ctx context.Context, workspace string) <-chan []ObjectName
}

// ReplayRequest names a version to make again.
type ReplayRequest struct {
	Kind    string `json:"kind"` // dataset or model
	Name    ref.Name
	Version int64 `json:"version"` // 0 is the latest
}

type server struct {
	Options
	sessions *sessions
	profiles *profiles
}

// New builds the door.
func New(o Options) (http.Handler, error) {
	s := &server{Options: o, sessions: newSessions(o.Now), profiles: &profiles{}}
	mux, err := identity.NewMux(s.routes(), identity.MuxOptions{
		Authenticator: o.Authenticator, Authorizer: o.Authorizer, Record: o.Record, Fail: s.fail,
	})
	if err != nil {
		return nil, err
	}
	return s.sessions.wrap(mux), nil
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.Unauthenticated) && wantsHTML(r) {
		s.loginHint(w)
		return
	}
	identity.FailJSON(w, r, err)
}

// inWorkspace maps a request to an action in the workspace of its path, on the object of its path if it has one.
func inWorkspace(verb, resource, subresource string, data bool) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		workspace, name := r.PathValue("workspace"), r.PathValue("name")
		if !ref.IsLabel(workspace) || name != "" && !ref.IsLabel(name) {
			return identity.Action{}, fault.New(fault.Invalid, "path", "%q/%q is not a workspace and a name", workspace, name)
		}
		return identity.Action{
			Verb: verb, Group: "fathom.dev", Resource: resource, Subresource: subresource,
			Namespace: workspace, Name: name, Data: data,
		}, nil
	}
}

func (s *server) routes() []identity.Route {
	return slices.Concat(s.verbs(), s.appRoutes(), s.objectRoutes(), s.pageRoutes())
}

// verbs are what the command line and people's programs ask.
func (s *server) verbs() []identity.Route {
	const base = "/api/workspaces/{workspace}"
	return []identity.Route{
		{Pattern: "POST " + base + "/bundles", Action: inWorkspace("create", "workspaces", "bundles", true), Handler: s.putBundle},
		{Pattern: "PUT " + base + "/objects/{key...}", Action: inWorkspace("create", "workspaces", "objects", true), Handler: s.putObject},
		{Pattern: "POST " + base + "/sql", Action: inWorkspace("get", "datasets", "data", true), Handler: s.sql},
		{Pattern: "POST " + base + "/plan", Action: inWorkspace("get", "datasets", "", false), Handler: s.plan},
		{Pattern: "GET " + base + "/datasets/{name}/versions", Action: inWorkspace("get", "datasets", "", false), Handler: s.datasetVersions},
		{Pattern: "GET " + base + "/datasets/{name}/why", Action: inWorkspace("get", "datasets", "", true), Handler: s.whyDataset},
		{Pattern: "GET " + base + "/datasets/{name}/diff", Action: inWorkspace("get", "datasets", "", true), Handler: s.datasetDiff},
		{Pattern: "POST " + base + "/datasets/{name}/replay", Action: inWorkspace("update", "datasets", "", true), Handler: s.replay("dataset")},
		{Pattern: "GET " + base + "/models/{name}/why", Action: inWorkspace("get", "models", "", true), Handler: s.whyModel},
		{Pattern: "GET " + base + "/models/{name}/evaluation", Action: inWorkspace("get", "models", "", true), Handler: s.evaluation},
		{Pattern: "GET " + base + "/models/{name}/outoffold", Action: inWorkspace("get", "models", "", true), Handler: s.outOfFold},
		{Pattern: "POST " + base + "/models/{name}/replay", Action: inWorkspace("update", "models", "", true), Handler: s.replay("model")},
		{Pattern: "POST " + base + "/models/{name}/promotion", Action: inWorkspace("update", "models", "promotion", true), Handler: s.promotion},
		{Pattern: "GET " + base + "/modelversions/{name}/files/{file}", Action: inWorkspace("get", "modelversions", "files", true), Handler: s.modelFile},
		{Pattern: "GET " + base + "/runs", Action: inWorkspace("list", "runs", "", false), Handler: s.runs},
		{Pattern: "GET " + base + "/runs/{name}/log", Action: inWorkspace("get", "runs", "log", true), Handler: s.log},
		{Pattern: "POST " + base + "/runs/{name}/cancel", Action: inWorkspace("create", "runs", "cancel", false), Handler: s.cancel},
		{Pattern: "GET " + base + "/subjects/{name}", Action: inWorkspace("get", "datasets", "identified", true), Handler: s.subject},
	}
}

// appRoutes are what the console's app asks besides.
func (s *server) appRoutes() []identity.Route {
	const base = "/api/v1/workspaces/{workspace}"
	list := inWorkspace("list", "datasets", "", false)
	return []identity.Route{
		{Pattern: "GET /api/v1/me", Action: s.anyone, Handler: s.people(s.me)},
		{Pattern: "GET " + base + "/rights", Action: list, Handler: s.rights},
		{Pattern: "GET " + base + "/objects", Action: list, Handler: s.objects},
		{Pattern: "GET " + base + "/watch", Action: list, Handler: s.watch},
		{Pattern: "GET " + base + "/timeline", Action: list, Handler: s.timeline},
		{Pattern: "GET " + base + "/datasets/{name}/profile", Action: inWorkspace("get", "datasets", "data", true), Handler: s.profile},
		{Pattern: "GET " + base + "/datasets/{name}/sample", Action: inWorkspace("get", "datasets", "data", true), Handler: s.sample},
		{Pattern: "GET " + base + "/runs/{name}", Action: inWorkspace("get", "runs", "", false), Handler: s.run},
		{Pattern: "POST " + base + "/datasets/{name}/retry", Action: inWorkspace("update", "datasets", "", false), Handler: s.retry(func() client.Object { return &v1alpha1.Dataset{} })},
		{Pattern: "POST " + base + "/models/{name}/retry", Action: inWorkspace("update", "models", "", false), Handler: s.retry(func() client.Object { return &v1alpha1.Model{} })},
		{Pattern: "POST " + base + "/reports/{name}/retry", Action: inWorkspace("update", "reports", "", false), Handler: s.retry(func() client.Object { return &v1alpha1.Report{} })},
	}
}

// objectRoutes are what the pages of models, endpoints, reports and the workspace ask.
func (s *server) objectRoutes() []identity.Route {
	const base = "/api/v1/workspaces/{workspace}"
	model := inWorkspace("get", "models", "", true)
	return []identity.Route{
		{Pattern: "GET " + base + "/models/{name}/about", Action: model, Handler: s.aboutModel},
		{Pattern: "GET " + base + "/models/{name}/training", Action: inWorkspace("get", "models", "tracking", true), Handler: s.people(s.training)},
		{Pattern: "GET " + base + "/models/{name}/page", Action: model, Handler: s.modelPage},
		{Pattern: "GET " + base + "/endpoints/{name}/traffic", Action: inWorkspace("get", "endpoints", "", false), Handler: s.traffic},
		{Pattern: "GET " + base + "/endpoints/{name}/replicas", Action: inWorkspace("get", "endpoints", "", false), Handler: s.replicas},
		{Pattern: "GET " + base + "/endpoints/{name}/signature", Action: inWorkspace("get", "endpoints", "predict", false), Handler: s.tryIt("")},
		{Pattern: "POST " + base + "/endpoints/{name}/predict", Action: inWorkspace("create", "endpoints", "predict", false), Handler: s.tryIt("/infer")},
		{Pattern: "GET " + base + "/reports/{name}/versions", Action: inWorkspace("get", "reports", "", false), Handler: s.reportVersions},
		{Pattern: "GET " + base + "/about", Action: inWorkspace("list", "datasets", "", false), Handler: s.aboutWorkspace},
		{Pattern: "GET " + base + "/audit", Action: inWorkspace("get", "workspaces", "audit", true), Handler: s.audit},
		{Pattern: "GET " + base + "/audit/mine", Action: inWorkspace("list", "datasets", "", false), Handler: s.people(s.ownAudit)},
	}
}

func (s *server) pageRoutes() []identity.Route {
	return []identity.Route{
		{Pattern: "POST /api/sessions", Action: s.anyone, Handler: s.people(s.createLink)},
		{Pattern: "GET /ui/login", Public: "exchanges a one-time code for a session", Handler: s.login},
		// Named, since without it the next pattern would be redirected to.
		{Pattern: "GET /ui/workspaces/{workspace}/reports/{name}", Action: s.anyone, Handler: s.people(s.app)},
		{Pattern: "GET /ui/workspaces/{workspace}/reports/{name}/{file...}", Action: inWorkspace("get", "reports", "", true), Handler: s.reportFile},
		{Pattern: "GET /ui/assets/{file}", Public: "the app's program, without data", Handler: s.asset},
		{Pattern: "GET /ui/{path...}", Action: s.anyone, Handler: s.people(s.app)},
		{Pattern: "GET /healthz", Public: "liveness", Handler: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }},
	}
}

// people keeps pods out: a session would outlive them, and which workspaces there are is none of their business.
func (s *server) people(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if pod := identity.UserFrom(r.Context()).Pod(); pod != "" {
			s.fail(w, r, fault.New(fault.Forbidden, "console", "pages and sessions are for people, not for pod %s", pod))
			return
		}
		next(w, r)
	}
}

// anyone is the action that every authenticated caller may do: look at the list of workspaces.
func (s *server) anyone(*http.Request) (identity.Action, error) {
	return identity.Action{Verb: "list", Group: "fathom.dev", Resource: "workspaces"}, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

func readJSON(r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 4<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fault.New(fault.Invalid, "body", "it is not the expected JSON: %v", err)
	}
	return nil
}

func nameOf(r *http.Request) ref.Name {
	return ref.Name{Workspace: r.PathValue("workspace"), Name: r.PathValue("name")}
}
