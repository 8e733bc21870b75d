// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// page reads ?after= and ?limit=.
func page(r *http.Request) lake.Page {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit")) // a bad number is the default
	return lake.Page{After: r.URL.Query().Get("after"), Limit: min(max(limit, 0), 1000)}
}

func number(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("version")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "version", "%q is not a version number", text)
	}
	return n, nil
}

func (s *server) datasetVersions(w http.ResponseWriter, r *http.Request) {
	versions, next, err := s.Lake.Versions(r.Context(), nameOf(r), page(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]any{"versions": versions, "next": next})
}

func (s *server) whyDataset(w http.ResponseWriter, r *http.Request) {
	n, err := number(r)
	if err == nil && n == 0 {
		var d v1alpha1.Dataset
		if err = s.get(r, &d); err == nil {
			n = d.Status.Version
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.why(w, r, lake.DatasetArtifact(nameOf(r), int(n), ""))
}

func (s *server) whyModel(w http.ResponseWriter, r *http.Request) {
	v, err := s.version(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.why(w, r, lake.ModelArtifact(nameOf(r), int(v.Spec.Number), ""))
}

func (s *server) why(w http.ResponseWriter, r *http.Request, a lake.Artifact) {
	if a.Version == "0" {
		s.fail(w, r, fault.New(fault.NotFound, "why", "%s %s/%s has no version yet", a.Kind, a.Workspace, a.Name).
			WithHint("see `fathom status`"))
		return
	}
	tree, err := s.Lake.Why(r.Context(), a)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, tree)
}

// get reads the object of the path.
func (s *server) get(r *http.Request, into client.Object) error {
	err := s.Client.Get(r.Context(), types.NamespacedName{Namespace: r.PathValue("workspace"), Name: r.PathValue("name")}, into)
	if client.IgnoreNotFound(err) == nil && err != nil {
		return fault.New(fault.NotFound, r.PathValue("workspace"), "there is no %s", r.PathValue("name"))
	}
	return err
}

// version is the model version that ?version= names; by default the promoted, else the latest.
func (s *server) version(r *http.Request) (*v1alpha1.ModelVersion, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		var m v1alpha1.Model
		if err := s.get(r, &m); err != nil {
			return nil, err
		}
		if n = m.Status.Promoted; n == 0 {
			n = m.Status.Latest
		}
	}
	var v v1alpha1.ModelVersion
	name := fmt.Sprintf("%s-%d", r.PathValue("name"), n)
	if n == 0 {
		return nil, fault.New(fault.NotFound, "model "+r.PathValue("name"), "it has no version yet").WithHint("`fathom status` says why")
	}
	err = s.Client.Get(r.Context(), types.NamespacedName{Namespace: r.PathValue("workspace"), Name: name}, &v)
	if client.IgnoreNotFound(err) == nil && err != nil {
		return nil, fault.New(fault.NotFound, "model "+r.PathValue("name"), "it has no version %d", n).WithHint("see `fathom status`")
	}
	return &v, err
}

func (s *server) evaluation(w http.ResponseWriter, r *http.Request) {
	v, err := s.version(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.blob(w, r, ref.Digest(v.Spec.Evaluation), "application/json")
}

// modelFile gives a model server what it loads: model.onnx or evaluation.json.
func (s *server) modelFile(w http.ResponseWriter, r *http.Request) {
	var v v1alpha1.ModelVersion
	if err := s.get(r, &v); err != nil {
		s.fail(w, r, err)
		return
	}
	switch r.PathValue("file") {
	case "model.onnx":
		s.blob(w, r, ref.Digest(v.Spec.Digest), "application/octet-stream")
	case "evaluation.json":
		s.blob(w, r, ref.Digest(v.Spec.Evaluation), "application/json")
	default:
		s.fail(w, r, fault.New(fault.NotFound, "model version "+v.Name, "it has model.onnx and evaluation.json"))
	}
}

func (s *server) blob(w http.ResponseWriter, r *http.Request, digest ref.Digest, contentType string) {
	f, size, err := s.Lake.OpenBlob(r.Context(), digest)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("ETag", `"`+string(digest)+`"`)
	_, _ = io.Copy(w, f) // the client is gone if this fails
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter := lake.RunFilter{
		Workspace: r.PathValue("workspace"), Step: q.Get("step"), ForKind: q.Get("kind"), ForName: q.Get("name"), Phase: q.Get("phase"),
	}
	runs, next, err := s.Lake.Runs(r.Context(), filter, page(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]any{"runs": runs, "next": next})
}

func (s *server) log(w http.ResponseWriter, r *http.Request) {
	if err := s.mayReadLog(r); err != nil {
		s.fail(w, r, err)
		return
	}
	out := &lateWriter{w: flushing{w}, contentType: "text/plain; charset=utf-8"}
	if err := s.Log(r.Context(), nameOf(r), r.URL.Query().Get("follow") == "true", out); err != nil && !out.began {
		s.fail(w, r, err)
	}
}

// mayReadLog: what code prints that reads identified data may be such data.
func (s *server) mayReadLog(r *http.Request) error {
	name := nameOf(r)
	var live v1alpha1.Run
	err := s.Client.Get(r.Context(), types.NamespacedName{Namespace: name.Workspace, Name: name.Name}, &live)
	if client.IgnoreNotFound(err) != nil {
		return fault.Wrap(fault.Unavailable, "run "+name.Name, err)
	}
	identified := live.Spec.Identified
	if err != nil {
		ended, err := s.Lake.Run(r.Context(), name.Workspace, name.Name)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		identified = ended.Identified
	}
	if !identified {
		return nil
	}
	user := identity.UserFrom(r.Context())
	action := identity.Action{Verb: "get", Resource: "datasets", Subresource: "identified", Namespace: name.Workspace, Data: true}
	decision := s.Authorizer.Authorize(r.Context(), user, action)
	if err := s.Record(user, action, r, decision); err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	return decision
}

// flushing sends every write at once, for logs that are followed.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	return n, err
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	var run v1alpha1.Run
	if err := s.get(r, &run); err != nil {
		s.fail(w, r, err)
		return
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := s.Client.Patch(r.Context(), &run, patch); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// subject lists what was made with a subject's rows, by pseudonym.
func (s *server) subject(w http.ResponseWriter, r *http.Request) {
	artifacts, err := s.Lake.KnewSubject(r.Context(), r.PathValue("workspace"), r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]any{"subject": r.PathValue("name"), "knownBy": artifacts})
}
