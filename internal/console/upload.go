// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"net/http"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const (
	maxBundle = 512 << 20 // bytes of an uploaded bundle
	maxObject = 16 << 30  // bytes of one object of a bucket
)

// putBundle stores code, a requirements file or a page; the answer is its digest. Storing the same bytes again is cheap.
func (s *server) putBundle(w http.ResponseWriter, r *http.Request) {
	digest, size, err := s.Lake.PutBlob(r.Context(), http.MaxBytesReader(w, r.Body, maxBundle), "")
	if err != nil {
		s.fail(w, r, tooLarge(err, "bundle", maxBundle))
		return
	}
	if s.Uploaded != nil {
		if err := s.Uploaded(r.PathValue("workspace"), digest); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	writeJSON(w, map[string]any{"digest": digest, "size": size})
}

// putObject stores a file in the workspace's bucket.
func (s *server) putObject(w http.ResponseWriter, r *http.Request) {
	key, err := ref.RelPath(r.PathValue("key"))
	if err == nil && strings.HasPrefix(key, ".") {
		err = fault.New(fault.Invalid, "key", "%q begins with a dot", key)
	}
	if err == nil {
		err = s.PutObject(r.Context(), r.PathValue("workspace"), key, http.MaxBytesReader(w, r.Body, maxObject))
	}
	if err != nil {
		s.fail(w, r, tooLarge(err, "object", maxObject))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func tooLarge(err error, what string, limit int64) error {
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return fault.New(fault.TooLarge, what, "it is larger than %d bytes", limit)
	}
	return err
}
