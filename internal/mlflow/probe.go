// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"io"
	"net/http"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// protocolVersion is the version of MLflow whose protocol this door speaks; clients choose calls by it.
const protocolVersion = "3.17.2"

func (d *door) probeRoutes() []route {
	return []route{
		{method: "GET", path: "/version", verb: get, handler: raw(text(protocolVersion)), pods: anyPod},
		{method: "GET", path: "/health", verb: get, handler: raw(d.health), pods: anyPod},
		{method: "GET", path: "/api/3.0/mlflow/server-info", verb: get, handler: serve(d, serverInfo), pods: anyPod},
		{method: "GET", path: "/api/3.0/mlflow/server-features", verb: get, handler: serve(d, serverFeatures), pods: anyPod},
		{method: "GET", path: "/{rest...}", verb: get, handler: raw(missing), pods: anyPod},
		{method: "POST", path: "/{rest...}", verb: update, handler: raw(missing), pods: anyPod},
		{method: "PUT", path: "/{rest...}", verb: update, handler: raw(missing), pods: anyPod},
		{method: "PATCH", path: "/{rest...}", verb: update, handler: raw(missing), pods: anyPod},
		{method: "DELETE", path: "/{rest...}", verb: remove, handler: raw(missing), pods: anyPod},
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

func (d *door) health(w http.ResponseWriter, r *http.Request) {
	if err := d.store.Ping(r.Context()); err != nil {
		fail(w, r, err)
		return
	}
	text("OK")(w, r)
}

// serverInfo says what clients may try: one workspace an address, uploads and downloads in one piece.
func serverInfo(call, *none) (any, error) {
	return map[string]any{
		"store_type": "SqlStore", "workspaces_enabled": false, "trace_archival_enabled": false,
		"multipart_uploads_enabled": false, "multipart_downloads_enabled": false,
		"presigned_upload_run_id_supported": false, "presigned_upload_model_id_supported": false,
	}, nil
}

func serverFeatures(call, *none) (any, error) {
	return map[string]any{"features_enabled": []string{}}, nil
}

// unsupported are the parts of MLflow that this door does not have, by the segment of the path that tells them.
var unsupported = map[string]string{
	"traces": "traces", "trace": "traces", "assessments": "traces", "get-trace-artifact": "traces", "datasets": "evaluation datasets",
	"scorers": "scorers", "gateway": "the gateway", "webhooks": "webhooks", "graphql": "GraphQL", "prompt-optimization": "prompt optimization",
	"label-schemas": "label schemas", "review-queues": "review queues", "issues": "issues", "workspaces": "MLflow's own workspaces",
	"presigned": "presigned URLs", "presigned-upload-url": "presigned URLs", "presigned-download-url": "presigned URLs",
}

// missing answers every route that the table does not have.
func missing(w http.ResponseWriter, r *http.Request) {
	rest := r.PathValue("rest")
	for _, part := range strings.Split(rest, "/") {
		if what, known := unsupported[part]; known {
			fail(w, r, &fault.Error{Kind: fault.NotFound, Err: missingError{what + " are not supported by Fathom's MLflow server", errNotImplemented}})
			return
		}
	}
	fail(w, r, &fault.Error{Kind: fault.NotFound, Err: missingError{"No endpoint " + r.Method + " /" + rest + " in Fathom's MLflow server", errNoEndpoint}})
}

type missingError struct {
	message string
	kind    error
}

func (e missingError) Error() string { return e.message }
func (e missingError) Unwrap() error { return e.kind }
