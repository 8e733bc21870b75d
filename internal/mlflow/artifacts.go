// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"errors"
	"net/http"
	"path"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/tracking"
)

func (d *door) artifactRoutes() []route {
	const files = "/api/2.0/mlflow-artifacts/artifacts"
	return []route{
		{method: "GET", path: "/api/2.0/mlflow/artifacts/list", verb: get, handler: serve(d, listRunArtifacts), pods: ownRun},
		{method: "GET", path: files, verb: get, handler: serve(d, listArtifacts), pods: ownPath},
		{method: "GET", path: files + "/{path...}", verb: get, handler: raw(d.download), data: true, pods: ownPath},
		{method: "PUT", path: files + "/{path...}", verb: update, handler: raw(d.upload), data: true, pods: ownPath},
		{method: "DELETE", path: files + "/{path...}", verb: remove, handler: raw(d.deleteArtifacts), data: true},
		// The client tries these only if server-info offers them; its answer to this message is a plain upload.
		{method: "POST", path: "/api/2.0/mlflow-artifacts/mpu/{path...}", verb: update, handler: raw(multipart), pods: anyPod},
	}
}

type fileMessage struct {
	Path   string `json:"path"`
	Folder bool   `json:"is_dir"`
	Size   *int64 `json:"file_size,omitempty"`
}

// fromArtifacts names artifacts relative to a root.
func fromArtifacts(list []tracking.Artifact, root string) []fileMessage {
	files := make([]fileMessage, len(list))
	for i, a := range list {
		files[i] = fileMessage{Path: strings.TrimPrefix(strings.TrimPrefix(a.Path, root), "/"), Folder: a.Folder}
		if !a.Folder {
			files[i].Size = &a.Size
		}
	}
	return files
}

// listArtifacts lists a folder; clients expect names without the folder.
func listArtifacts(c call, in *pathMessage) (any, error) {
	folder := strings.TrimSuffix(in.Path, "/")
	list, err := c.ws.Artifacts(c, folder)
	if len(list) == 1 && list[0].Path == folder {
		folder = path.Dir(folder)
	}
	return map[string]any{"files": fromArtifacts(list, folder)}, err
}

// listRunArtifacts lists a folder of a run; names are relative to the run's root.
func listRunArtifacts(c call, in *struct {
	runIDMessage
	Path string `json:"path"`
}) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	run, err := c.ws.Run(c, id)
	if err != nil {
		return nil, err
	}
	root, err := tracking.ArtifactRoot(run.Location)
	if err != nil {
		return nil, err
	}
	list, err := listBelow(c, root, in.Path)
	return struct {
		Root  string        `json:"root_uri"`
		Files []fileMessage `json:"files"`
	}{run.Location, list}, err
}

// listBelow lists a folder below a root. A path that leaves the root is Invalid; one that names a file is empty.
func listBelow(c call, root, folder string) ([]fileMessage, error) {
	whole := root
	if folder = strings.TrimSuffix(folder, "/"); folder != "" {
		if _, err := tracking.ArtifactPath(folder); err != nil {
			return nil, err
		}
		whole += "/" + folder
	}
	list, err := c.ws.Artifacts(c, whole)
	if len(list) == 1 && list[0].Path == whole {
		list = nil
	}
	return fromArtifacts(list, root), err
}

func (d *door) download(w http.ResponseWriter, r *http.Request) {
	ws, err := d.store.In(r.Context(), r.PathValue("workspace"))
	if err != nil {
		fail(w, r, err)
		return
	}
	artifact, err := ws.Artifact(r.Context(), r.PathValue("path"))
	if err != nil {
		fail(w, r, err)
		return
	}
	blob, _, err := d.blobs.Open(r.Context(), artifact.Digest)
	if err != nil {
		if fault.Is(err, fault.NotFound) { // the name is there, so its bytes should be
			err = fault.New(fault.Corrupt, "mlflow.download", "the blob %s of %s is missing", artifact.Digest, artifact.Path)
		}
		fail(w, r, err)
		return
	}
	defer blob.Close()
	// Whatever was uploaded is never shown as a page of ours.
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Disposition", "attachment")
	h.Set("ETag", `"`+string(artifact.Digest)+`"`)
	http.ServeContent(w, r, "", time.Time{}, blob)
}

func (d *door) upload(w http.ResponseWriter, r *http.Request) {
	name, err := tracking.ArtifactPath(r.PathValue("path"))
	if err != nil {
		fail(w, r, err)
		return
	}
	ws, err := d.store.In(r.Context(), r.PathValue("workspace"))
	if err != nil {
		fail(w, r, err)
		return
	}
	digest, size, err := d.blobs.Put(r.Context(), http.MaxBytesReader(w, r.Body, d.maxArtifact))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = fault.New(fault.TooLarge, "", "An artifact may have at most %d bytes", large.Limit)
	}
	if err == nil {
		err = ws.PutArtifact(r.Context(), name, digest, size)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, none{})
}

func (d *door) deleteArtifacts(w http.ResponseWriter, r *http.Request) {
	ws, err := d.store.In(r.Context(), r.PathValue("workspace"))
	if err == nil {
		err = ws.DeleteArtifacts(r.Context(), strings.TrimSuffix(r.PathValue("path"), "/"))
	}
	if err != nil && !fault.Is(err, fault.NotFound) { // deleting twice is no error in the original either
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, none{})
}

// multipart answers what makes the client upload in one piece (mlflow/exceptions.py, _UnsupportedMultipartUploadException).
func multipart(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusNotImplemented, wireError{"NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository"})
}
