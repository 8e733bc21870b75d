// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"net/http"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// TokenPath is where `fathom token` asks for a token. It is not the specification's: clients of registries are given one.
const TokenPath = "/registry/token"

const defaultTokenLife = time.Hour

// token answers with a token that clients send as a bearer token, or as the password of Basic.
func (d *door) token(w http.ResponseWriter, r *http.Request) error {
	life := defaultTokenLife
	if text := r.URL.Query().Get("life"); text != "" {
		var err error
		if life, err = time.ParseDuration(text); err != nil {
			return fault.New(fault.Invalid, "life", "%.40q is no duration such as 1h", text)
		}
	}
	user := identity.UserFrom(r.Context())
	token, expires, err := d.Tokens.Issue(user, life)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, "application/json", map[string]any{"user": user.Name, "token": token, "expires": expires.UTC()})
	return nil
}
