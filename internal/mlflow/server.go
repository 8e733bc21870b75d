// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"io"
	"net/http"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/tracking"
)

// Prefix is where the door's routes begin, before the workspace.
const Prefix = "/mlflow/"

// Blobs keeps the bytes of artifacts by their digest.
type Blobs interface {
	// Put stores all of r durably and returns its digest and size in bytes. Storing the same again is cheap.
	Put(ctx context.Context, r io.Reader) (digest ref.Digest, size int64, err error)
	// Open reads a blob and tells its size; NotFound when there is none.
	Open(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error)
}

// Options configures [New]. All but Record, Scope and MaxArtifact are required.
type Options struct {
	Store         *tracking.Store
	Blobs         Blobs
	Authenticator identity.Authenticator
	Authorizer    identity.Authorizer
	Record        identity.Recorder
	// Scope tells whether a caller is limited to one run: a pod is limited to the tracking run of its own run, which may
	// be "" for none. Nil: nobody is limited.
	Scope func(ctx context.Context, workspace string, user identity.User) (run string, limited bool, err error)
	// MaxArtifact is the largest artifact, in bytes. Zero means 16 GiB.
	MaxArtifact int64
}

type door struct {
	store       *tracking.Store
	blobs       Blobs
	record      identity.Recorder
	scope       func(context.Context, string, identity.User) (string, bool, error)
	maxArtifact int64
}

// New builds the door. Its handler expects paths that begin with [Prefix].
func New(opt Options) (http.Handler, error) {
	if opt.Store == nil || opt.Blobs == nil {
		return nil, fault.New(fault.Internal, "mlflow.New", "a store and blobs are required")
	}
	d := &door{store: opt.Store, blobs: opt.Blobs, record: opt.Record, scope: opt.Scope, maxArtifact: opt.MaxArtifact}
	if d.maxArtifact == 0 {
		d.maxArtifact = 16 << 30
	}
	return identity.NewMux(d.routes(), identity.MuxOptions{
		Authenticator: opt.Authenticator, Authorizer: opt.Authorizer, Record: opt.Record, Fail: fail,
	})
}

// The verbs of Action: what the protocol's methods mean.
const (
	get    = "get"
	create = "create"
	update = "update"
	remove = "delete"
)

// route is a line of the table below, without what all lines have in common.
type route struct {
	method, path, verb string
	handler            handler
	data               bool
	pods               podRule // nil: pods may not
}

// routes is the door's whole table.
func (d *door) routes() []identity.Route {
	var table []route
	for _, part := range [][]route{
		d.experimentRoutes(), d.runRoutes(), d.metricRoutes(), d.inputRoutes(), d.artifactRoutes(),
		d.loggedModelRoutes(), d.registeredRoutes(), d.versionRoutes(), d.probeRoutes(),
	} {
		table = append(table, part...)
	}
	var routes []identity.Route
	for _, line := range table {
		for _, api := range []string{"api", "ajax-api"} {
			path, isAPI := strings.CutPrefix(line.path, "/api/")
			if !isAPI && api != "api" {
				continue
			}
			pattern := Prefix + "{workspace}" + line.path
			if isAPI {
				pattern = Prefix + "{workspace}/" + api + "/" + path
			}
			routes = append(routes, identity.Route{Pattern: line.method + " " + pattern, Action: action(line), Handler: d.limit(line)})
		}
	}
	return routes
}

// action maps every request to models/tracking of the workspace in its path.
func action(line route) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		workspace := r.PathValue("workspace")
		if !ref.IsLabel(workspace) {
			return identity.Action{}, fault.New(fault.Invalid, "", "%q is not a workspace", workspace)
		}
		return identity.Action{Verb: line.verb, Group: "fathom.dev", Resource: "models", Subresource: "tracking",
			Namespace: workspace, Data: line.data}, nil
	}
}
