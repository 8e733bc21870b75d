// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/registry"
)

const (
	contentDigest = "Docker-Content-Digest"
	octets        = "application/octet-stream"
)

func (t target) digest() (digest.Digest, error) {
	d, err := registry.ParseDigest(t.rest)
	return d, coded("DIGEST_INVALID", err)
}

// getBlob also answers HEAD, and requests for a range.
func (d *door) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	wanted, err := t.digest()
	if err != nil {
		return err
	}
	content, _, err := d.Registry.Stat(r.Context(), t.repository, wanted)
	if err != nil {
		return coded("BLOB_UNKNOWN", err)
	}
	f, _, err := d.Blobs.OpenBlob(r.Context(), content)
	if err != nil {
		return coded("BLOB_UNKNOWN", err)
	}
	defer f.Close()
	h := w.Header()
	h.Set(contentDigest, string(wanted))
	h.Set("Content-Type", octets)
	h.Set("ETag", `"`+string(wanted)+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox") // a browser must not take it for a page of ours
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

func (d *door) deleteBlob(w http.ResponseWriter, r *http.Request, t target) error {
	wanted, err := t.digest()
	if err == nil {
		err = d.Registry.DeleteBlob(r.Context(), t.repository, wanted)
	}
	if err != nil {
		return coded("BLOB_UNKNOWN", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
