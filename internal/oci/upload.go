// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/registry"
)

// beginUpload starts an upload, or takes the whole blob at once, or mounts one that another repository holds.
func (d *door) beginUpload(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	if query.Has("mount") {
		if mounted, err := d.mount(r, t, query); err != nil || mounted != "" {
			if err == nil {
				created(w, t, mounted)
			}
			return err
		}
	}
	if text := query.Get("digest"); text != "" {
		wanted, err := registry.ParseDigest(text)
		if err == nil {
			err = d.Registry.Put(r.Context(), t.repository, r.Body, wanted)
		}
		if err != nil {
			return coded("DIGEST_INVALID", err)
		}
		created(w, t, wanted)
		return nil
	}
	id, err := d.Registry.Begin(r.Context(), t.repository)
	if err != nil {
		return err
	}
	t.rest = id
	progress(w, t, 0, http.StatusAccepted)
	return nil
}

// mount returns "" where the client has to upload the blob after all.
func (d *door) mount(r *http.Request, t target, query url.Values) (digest.Digest, error) {
	wanted, err := registry.ParseDigest(query.Get("mount"))
	if err != nil {
		return "", coded("DIGEST_INVALID", err)
	}
	var from registry.Repository
	if text := query.Get("from"); text != "" {
		if from, err = registry.ParseRepository(text); err != nil {
			return "", nil
		}
		if d.may(r, get, from.Workspace) != nil {
			return "", nil // as if it were not there
		}
	}
	err = d.Registry.Mount(r.Context(), t.repository, wanted, from)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return wanted, err
}

// may asks, and records, whether the caller may also do this.
func (d *door) may(r *http.Request, verb, workspace string) error {
	user, action := identity.UserFrom(r.Context()), images(verb, workspace)
	decision := d.Authorizer.Authorize(r.Context(), user, action)
	if d.Record != nil {
		if err := d.Record(user, action, r, decision); err != nil {
			return fault.New(fault.Unavailable, "audit", "the access could not be recorded: %v", err)
		}
	}
	return decision
}

func created(w http.ResponseWriter, t target, d digest.Digest) {
	w.Header().Set("Location", Prefix+t.repository.String()+"/blobs/"+string(d))
	w.Header().Set(contentDigest, string(d))
	w.WriteHeader(http.StatusCreated)
}

// progress tells how far an upload is. The end of a range is its last byte; nothing at all is told as "0-0".
func progress(w http.ResponseWriter, t target, have int64, status int) {
	h := w.Header()
	h.Set("Location", Prefix+t.repository.String()+"/blobs/uploads/"+t.rest)
	h.Set("Docker-Upload-Uuid", t.rest)
	h.Set("Range", fmt.Sprintf("0-%d", max(have-1, 0)))
	w.WriteHeader(status)
}

func (d *door) uploadStatus(w http.ResponseWriter, r *http.Request, t target) error {
	have, err := d.Registry.Offset(r.Context(), t.repository, t.rest)
	if err != nil {
		return coded("BLOB_UPLOAD_UNKNOWN", err)
	}
	progress(w, t, have, http.StatusNoContent)
	return nil
}

var rangePattern = regexp.MustCompile(`^([0-9]{1,18})-([0-9]{1,18})$`)

// begins is where the body belongs: -1 for the end of the upload.
func begins(r *http.Request) (int64, error) {
	text := r.Header.Get("Content-Range")
	if text == "" {
		return -1, nil
	}
	parts := rangePattern.FindStringSubmatch(text)
	if parts == nil {
		return 0, &wireError{"BLOB_UPLOAD_INVALID", http.StatusRequestedRangeNotSatisfiable, fault.New(fault.Invalid, "Content-Range", "%.60q is not START-END", text)}
	}
	from, _ := strconv.ParseInt(parts[1], 10, 64) // digits that fit
	to, _ := strconv.ParseInt(parts[2], 10, 64)
	if r.ContentLength >= 0 && to-from+1 != r.ContentLength {
		return 0, &wireError{"SIZE_INVALID", http.StatusBadRequest, fault.New(fault.Invalid, "Content-Range", "it names %d bytes, the body has %d", to-from+1, r.ContentLength)}
	}
	return from, nil
}

// misplaced answers a chunk that does not begin where the upload ends.
func misplaced(w http.ResponseWriter, t target, err error) bool {
	var offset *registry.OffsetError
	if !errors.As(err, &offset) {
		return false
	}
	progress(w, t, offset.Have, http.StatusRequestedRangeNotSatisfiable)
	return true
}

func (d *door) appendUpload(w http.ResponseWriter, r *http.Request, t target) error {
	at, err := begins(r)
	if err != nil {
		return err
	}
	have, err := d.Registry.Append(r.Context(), t.repository, t.rest, at, r.Body)
	switch {
	case misplaced(w, t, err):
		return nil
	case err != nil:
		return coded("BLOB_UPLOAD_UNKNOWN", err)
	}
	progress(w, t, have, http.StatusAccepted)
	return nil
}

func (d *door) finishUpload(w http.ResponseWriter, r *http.Request, t target) error {
	wanted, err := registry.ParseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return coded("DIGEST_INVALID", err)
	}
	at, err := begins(r)
	if err != nil {
		return err
	}
	err = d.Registry.Finish(r.Context(), t.repository, t.rest, at, r.Body, wanted)
	switch {
	case misplaced(w, t, err):
		return nil
	case fault.Is(err, fault.NotFound):
		return coded("BLOB_UPLOAD_UNKNOWN", err)
	case err != nil:
		return coded("DIGEST_INVALID", err)
	}
	created(w, t, wanted)
	return nil
}

func (d *door) cancelUpload(w http.ResponseWriter, r *http.Request, t target) error {
	if err := d.Registry.Cancel(r.Context(), t.repository, t.rest); err != nil {
		return coded("BLOB_UPLOAD_UNKNOWN", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
