// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"io"
	"net/http"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/registry"
)

// Prefix is where the door's routes begin; the specification fixes it.
const Prefix = "/v2/"

// Blobs opens what the registry keeps.
type Blobs interface {
	OpenBlob(ctx context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error)
}

// Options configures [New]. All but Record are required.
type Options struct {
	Registry      *registry.Store
	Blobs         Blobs
	Authenticator identity.Authenticator
	Authorizer    identity.Authorizer
	Record        identity.Recorder
	// Tokens makes tokens for people.
	Tokens *identity.Tokens
	// Sweep removes blobs that nothing refers to and that are older than the grace period; with try it only tells. Its answer
	// is shown as JSON.
	Sweep func(ctx context.Context, grace time.Duration, try bool) (any, error)
	// Workspaces are all that there are, sorted, for the catalog.
	Workspaces func(ctx context.Context) ([]string, error)
}

type door struct{ Options }

// New builds the door. Its handler expects paths that begin with [Prefix].
func New(opt Options) (http.Handler, error) {
	if opt.Registry == nil || opt.Blobs == nil || opt.Workspaces == nil || opt.Tokens == nil || opt.Sweep == nil {
		return nil, fault.New(fault.Internal, "oci.New", "a registry, blobs, tokens, workspaces and a sweep are required")
	}
	d := &door{opt}
	return identity.NewMux(d.routes(), identity.MuxOptions{
		Authenticator: opt.Authenticator, Authorizer: opt.Authorizer, Record: opt.Record, Fail: fail,
	})
}

// handler answers a request about something in a repository.
type handler func(w http.ResponseWriter, r *http.Request, t target) error

// routes is the door's whole table. Names have any number of parts, so what is asked for is told by the end of the path.
func (d *door) routes() []identity.Route {
	list := func(*http.Request) (identity.Action, error) {
		return identity.Action{Verb: "list", Resource: "workspaces"}, nil
	}
	routes := []identity.Route{
		{Pattern: "GET /v2/{$}", Action: list, Handler: d.base},
		{Pattern: "GET /v2/_catalog", Action: list, Handler: answering(d.catalog)},
		{Pattern: "POST " + TokenPath, Action: list, Handler: answering(d.token)},
		{Pattern: "POST " + SweepPath, Action: sweepAction, Handler: answering(d.sweep)},
	}
	for _, line := range []struct {
		method, verb string
		by           map[kind]handler
	}{
		{http.MethodGet, get, map[kind]handler{
			blobs: d.getBlob, manifests: d.getManifest, tags: d.listTags, referrers: d.listReferrers, upload: d.uploadStatus}},
		{http.MethodPost, create, map[kind]handler{uploads: d.beginUpload}},
		{http.MethodPatch, create, map[kind]handler{upload: d.appendUpload}},
		{http.MethodPut, create, map[kind]handler{upload: d.finishUpload, manifests: d.putManifest}},
		{http.MethodDelete, remove, map[kind]handler{blobs: d.deleteBlob, manifests: d.deleteManifest, upload: d.cancelUpload}},
	} {
		routes = append(routes, identity.Route{
			Pattern: line.method + " /v2/{workspace}/{repository...}", Action: action(line.verb), Handler: dispatch(line.by),
		})
	}
	return routes
}

// The verbs of Action.
const (
	get    = "get"
	create = "create"
	update = "update"
	remove = "delete"
)

// action maps a request to workspaces/images of the workspace in its path. An upload belongs to those who may push.
func action(verb string) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		workspace := r.PathValue("workspace")
		if !ref.IsLabel(workspace) {
			return identity.Action{}, fault.New(fault.Invalid, "repository", "%.80q is not a workspace", workspace)
		}
		if t, err := parse(workspace, r.PathValue("repository")); err == nil && t.kind == upload {
			return images(create, workspace), nil
		}
		return images(verb, workspace), nil
	}
}

func images(verb, workspace string) identity.Action {
	return identity.Action{Verb: verb, Group: identity.Group, Resource: "workspaces", Subresource: "images", Namespace: workspace, Data: true}
}

func dispatch(by map[kind]handler) http.HandlerFunc {
	return answering(func(w http.ResponseWriter, r *http.Request) error {
		t, err := parse(r.PathValue("workspace"), r.PathValue("repository"))
		if err != nil {
			return err
		}
		handle, known := by[t.kind]
		if !known {
			return unsupported("%s of %s is not supported", r.Method, r.URL.Path)
		}
		return handle(w, r, t)
	})
}

func answering(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			fail(w, r, err)
		}
	}
}

// base tells that this is a registry of the specification.
func (d *door) base(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	writeJSON(w, "application/json", struct{}{})
}
