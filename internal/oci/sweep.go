// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"net/http"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// SweepPath is where `fathom gc` asks for a sweep. It is not the specification's.
const SweepPath = "/registry/sweep"

// sweepAction is what only those have who may delete images everywhere.
func sweepAction(*http.Request) (identity.Action, error) {
	return images(remove, ""), nil
}

// sweep removes blobs that nothing refers to, or tells what it would remove.
func (d *door) sweep(w http.ResponseWriter, r *http.Request) error {
	grace, err := time.ParseDuration(r.URL.Query().Get("grace"))
	if err != nil {
		return fault.New(fault.Invalid, "grace", "%.40q is no duration such as 24h", r.URL.Query().Get("grace"))
	}
	swept, err := d.Sweep(r.Context(), grace, r.URL.Query().Get("try") == "true")
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", swept)
	return nil
}
