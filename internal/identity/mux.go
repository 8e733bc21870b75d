// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"net/http"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// Route is one line of a door's route table.
type Route struct {
	// Pattern is a net/http.ServeMux pattern with a method, for example "GET /runs/{workspace}/{run}/stage".
	Pattern string
	// Action maps the request to what it wants. Nil only with Public.
	Action func(*http.Request) (Action, error)
	// Public is why the route needs no identity, for example "liveness"; empty for all other routes.
	Public string
	// Handler answers; the caller is in UserFrom(r.Context()).
	Handler http.HandlerFunc
}

// Recorder receives one entry for each decision on data. A request whose entry cannot be recorded is refused.
type Recorder func(user User, action Action, request *http.Request, decision error) error

// MuxOptions configures [NewMux]. All fields except Record and Fail are required.
type MuxOptions struct {
	Authenticator Authenticator
	Authorizer    Authorizer
	// Record is called for every Action with Data set, after the decision, before the handler. Nil records nothing.
	Record Recorder
	// Fail writes an error in the door's wire format. Nil writes {"error": "…"} as JSON.
	Fail func(http.ResponseWriter, *http.Request, error)
}

// NewMux builds the only kind of handler a door may have: each route authenticates, maps to an Action, authorizes and
// records before its handler runs. It refuses a table with a route that maps to nothing.
func NewMux(routes []Route, opt MuxOptions) (http.Handler, error) {
	if opt.Authenticator == nil || opt.Authorizer == nil {
		return nil, fault.New(fault.Internal, "identity.NewMux", "authenticator and authorizer are required")
	}
	if opt.Fail == nil {
		opt.Fail = FailJSON
	}
	mux := http.NewServeMux()
	for _, route := range routes {
		if (route.Action == nil) == (route.Public == "") || route.Handler == nil {
			return nil, fault.New(fault.Internal, "identity.NewMux",
				"route %q needs a handler and either an Action or a reason to be Public", route.Pattern)
		}
		mux.HandleFunc(route.Pattern, guard(route, opt))
	}
	return mux, nil
}

func guard(route Route, opt MuxOptions) http.HandlerFunc {
	if route.Public != "" {
		return route.Handler
	}
	return func(w http.ResponseWriter, r *http.Request) {
		user, err := Caller(r, opt.Authenticator)
		if err != nil {
			opt.Fail(w, r, err)
			return
		}
		action, err := route.Action(r)
		if err != nil {
			opt.Fail(w, r, err)
			return
		}
		decision := opt.Authorizer.Authorize(r.Context(), user, action)
		if action.Data && opt.Record != nil {
			if err := opt.Record(user, action, r, decision); err != nil {
				opt.Fail(w, r, fault.Wrap(fault.Unavailable, "audit", err))
				return
			}
		}
		if decision != nil {
			opt.Fail(w, r, decision)
			return
		}
		route.Handler(w, r.WithContext(WithUser(r.Context(), user)))
	}
}

// Caller finds who sent the request: a user already in the context (put there by a door that has its own proof, such
// as an S3 signature), a client certificate that the TLS listener verified (CN is the name, O the groups), or a
// bearer token. Headers that claim an identity are never read. A wrong credential never falls back to another.
func Caller(r *http.Request, a Authenticator) (User, error) {
	if u := UserFrom(r.Context()); u.Name != "" {
		return u, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Basic") { // MLflow and OCI clients can only send a token as a password
			if _, password, ok := r.BasicAuth(); ok {
				scheme, token = "Bearer", password
			}
		}
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return User{}, fault.New(fault.Unauthenticated, "authenticate", "the Authorization header must carry a bearer token")
		}
		return a.Authenticate(r.Context(), token)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		leaf := r.TLS.VerifiedChains[0][0]
		if leaf.Subject.CommonName != "" {
			groups := append([]string{"system:authenticated"}, leaf.Subject.Organization...)
			return User{Name: leaf.Subject.CommonName, Groups: groups}, nil
		}
	}
	return User{}, fault.New(fault.Unauthenticated, "authenticate", "no credentials: send a bearer token or a client certificate")
}

// FailJSON writes {"error": message, "kind": kind} with the status of the error's kind. Internal errors are not told.
func FailJSON(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	message := err.Error()
	if kind == fault.Internal || kind == fault.Corrupt {
		message = "internal error"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(fault.HTTPStatus(kind))
	fmt.Fprintf(w, "{\"error\":%q,\"kind\":%q}\n", message, kind)
}
