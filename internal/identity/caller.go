// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Caller finds who sent the request: a user already in the context (put there by a door that has its own proof, such
// as an S3 signature), a bearer token (also as the password of Basic, since MLflow's and OCI's clients can send it
// only there), or a client certificate that the TLS listener verified (CN is the name, O the groups). Headers that
// claim an identity are never read. A wrong credential never falls back to another.
func Caller(r *http.Request, a Authenticator) (User, error) {
	if u := UserFrom(r.Context()); u.Name != "" {
		return u, nil
	}
	if headers, sent := r.Header["Authorization"]; sent {
		if len(headers) != 1 {
			return User{}, fault.New(fault.Unauthenticated, "authenticate", "more than one Authorization header")
		}
		token, ok := bearer(r, headers[0])
		if !ok {
			return User{}, fault.New(fault.Unauthenticated, "authenticate", "the Authorization header must carry a bearer token")
		}
		return a.Authenticate(r.Context(), token)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.VerifiedChains[0]) > 0 {
		return certified(r)
	}
	return User{}, fault.New(fault.Unauthenticated, "authenticate", "no credentials: send a bearer token or a client certificate")
}

func bearer(r *http.Request, header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Basic") {
		_, token, ok = r.BasicAuth()
		return token, ok && token != ""
	}
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// certified reads the verified certificate. A connection can outlive it, so its end is checked on every request.
func certified(r *http.Request) (User, error) {
	leaf := r.TLS.VerifiedChains[0][0]
	if leaf.Subject.CommonName == "" {
		return User{}, fault.New(fault.Unauthenticated, "authenticate", "the client certificate names nobody")
	}
	if time.Now().After(leaf.NotAfter) {
		return User{}, fault.New(fault.Unauthenticated, "authenticate", "the client certificate has expired")
	}
	groups := append([]string{"system:authenticated"}, leaf.Subject.Organization...)
	return User{Name: leaf.Subject.CommonName, Groups: groups}, nil
}
