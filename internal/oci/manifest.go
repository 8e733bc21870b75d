// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/registry"
)

func (t target) reference() (registry.Reference, error) {
	by, err := registry.ParseReference(t.rest)
	return by, coded("MANIFEST_INVALID", err)
}

// getManifest also answers HEAD. What was pushed is answered as it is, whatever the client accepts.
func (d *door) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	by, err := t.reference()
	if err != nil {
		return err
	}
	kept, err := d.Registry.Resolve(r.Context(), t.repository, by)
	if err != nil {
		return coded("MANIFEST_UNKNOWN", err)
	}
	body, err := d.Registry.Read(r.Context(), kept)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set(contentDigest, string(kept.Digest))
	h.Set("Content-Type", kept.MediaType)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	h.Set("ETag", `"`+string(kept.Digest)+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client left
	}
	return nil
}

func (d *door) putManifest(w http.ResponseWriter, r *http.Request, t target) error {
	by, err := t.reference()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registry.MaxManifest))
	if err != nil {
		if r.ContentLength > registry.MaxManifest || len(body) >= registry.MaxManifest {
			err = fault.New(fault.TooLarge, "manifest", "it has more than %d MiB", registry.MaxManifest>>20)
		} else {
			err = fault.New(fault.Invalid, "manifest", "the request's body ended early")
		}
		return coded("MANIFEST_INVALID", err)
	}
	m, err := registry.ParseManifest(body, r.Header.Get("Content-Type"))
	if err != nil {
		return coded("MANIFEST_INVALID", err)
	}
	if err := t.repository.MayPut(m, by); err != nil {
		return err
	}
	named := by.Digest
	if named == "" {
		named = digest.FromBytes(body)
	}
	err = d.Registry.PutManifest(r.Context(), t.repository, m, body, named, by.Tag, func(digest.Digest) error {
		return d.may(r, update, t.repository.Workspace) // creating is not overwriting
	})
	if err != nil {
		return coded("MANIFEST_INVALID", err)
	}
	h := w.Header()
	h.Set("Location", Prefix+t.repository.String()+"/manifests/"+string(named))
	h.Set(contentDigest, string(named))
	if m.Subject != "" {
		h.Set("OCI-Subject", string(m.Subject))
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (d *door) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	by, err := t.reference()
	if err == nil {
		err = d.Registry.MayDelete(r.Context(), t.repository, by)
	}
	if err == nil {
		err = d.Registry.Delete(r.Context(), t.repository, by)
	}
	if err != nil {
		return coded("MANIFEST_UNKNOWN", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
