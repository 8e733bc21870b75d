// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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

type guardedMux struct {
	routes []Route
	mux    *http.ServeMux
	fail   func(http.ResponseWriter, *http.Request, error)
	origin *http.CrossOriginProtection
}

// NewMux builds the only kind of handler a door may have: each route authenticates, maps to an Action, authorizes and
// records before its handler runs. It refuses a table with a route that maps to nothing, has no method or collides
// with another. The handler answers Invalid to paths with tricks in them (see [CleanPath]), Forbidden to a browser
// that changes something from another site, and NotFound to what is not in the table.
func NewMux(routes []Route, opt MuxOptions) (http.Handler, error) {
	if opt.Authenticator == nil || opt.Authorizer == nil {
		return nil, fault.New(fault.Internal, "identity.NewMux", "authenticator and authorizer are required")
	}
	if opt.Fail == nil {
		opt.Fail = FailJSON
	}
	m := &guardedMux{
		routes: append([]Route(nil), routes...), mux: http.NewServeMux(), fail: opt.Fail,
		origin: http.NewCrossOriginProtection(),
	}
	for _, route := range routes {
		if (route.Action == nil) == (route.Public == "") || route.Handler == nil {
			return nil, fault.New(fault.Internal, "identity.NewMux",
				"route %q needs a handler and either an Action or a reason to be Public", route.Pattern)
		}
		if err := m.add(route.Pattern, guard(route, opt)); err != nil {
			return nil, err
		}
	}
	m.mux.HandleFunc("/", m.nowhere)
	return m, nil
}

// add turns ServeMux's panics on wrong or colliding patterns into errors.
func (m *guardedMux) add(pattern string, h http.HandlerFunc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "identity.NewMux", "route %q: %v", pattern, p)
		}
	}()
	if method, _, found := strings.Cut(pattern, " "); !found || strings.Contains(method, "/") {
		return fault.New(fault.Internal, "identity.NewMux", "route %q needs a method", pattern)
	}
	m.mux.HandleFunc(pattern, h)
	return nil
}

// Routes returns the route table of a handler that [NewMux] made, or that wraps such a handler and has an Unwrap
// method; nil for any other. Tests build their matrix of routes and identities from it.
func Routes(h http.Handler) []Route {
	if w, ok := h.(interface{ Unwrap() http.Handler }); ok {
		return Routes(w.Unwrap())
	}
	m, ok := h.(*guardedMux)
	if !ok {
		return nil
	}
	return append([]Route(nil), m.routes...)
}

func (m *guardedMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := CleanPath(r.URL.Path); err != nil {
		m.fail(w, r, err)
		return
	}
	if err := m.origin.Check(r); err != nil {
		m.fail(w, r, fault.New(fault.Forbidden, "authorize", "a page of another site may not do this"))
		return
	}
	m.mux.ServeHTTP(w, r)
}

// nowhere answers what is not in the table: 404, or 405 where another method is.
func (m *guardedMux) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := m.mux.Handler(other); pattern != "" && pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		w = &notAllowed{w}
	}
	m.fail(w, r, fault.New(fault.NotFound, "route", "there is no %s %s", r.Method, r.URL.Path))
}

// notAllowed turns a door's 404 into 405.
type notAllowed struct{ http.ResponseWriter }

func (w *notAllowed) WriteHeader(status int) {
	if status == http.StatusNotFound {
		status = http.StatusMethodNotAllowed
	}
	w.ResponseWriter.WriteHeader(status)
}

// CleanPath returns Invalid for a decoded URL path that tries to climb or to hide: a "." or ".." part, also when
// escaped once more, an empty part inside, a backslash or a control character.
func CleanPath(path string) error {
	if err := cleanParts(path); err != nil || strings.IndexByte(path, '%') < 0 {
		return err
	}
	again, err := url.PathUnescape(path)
	if err != nil {
		return nil // "100%" is a name like any other
	}
	return cleanParts(again)
}

func cleanParts(path string) error {
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == 0x7f || c == '\\' {
			return fault.New(fault.Invalid, "path", "backslashes and control characters are not allowed in a path")
		}
	}
	rest, more := strings.TrimPrefix(path, "/"), true
	for part := ""; more; {
		part, rest, more = strings.Cut(rest, "/")
		if part == "." || part == ".." || (part == "" && more) {
			return fault.New(fault.Invalid, "path", "a path must not have empty, '.' or '..' parts")
		}
	}
	return nil
}

func guard(route Route, opt MuxOptions) http.HandlerFunc {
	if route.Public != "" {
		return route.Handler
	}
	return func(w http.ResponseWriter, r *http.Request) {
		user, err := Caller(r, opt.Authenticator)
		if err == nil && user.Name == "" {
			err = fault.New(fault.Unauthenticated, "authenticate", "the credential belongs to nobody")
		}
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
				opt.Fail(w, r, fault.New(fault.Unavailable, "audit", "the access could not be recorded: %v", err))
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

// FailJSON writes {"error": message, "kind": kind} with the status of the error's kind. Internal errors are not told.
func FailJSON(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	message := err.Error()
	if kind == fault.Internal || kind == fault.Corrupt {
		message = "internal error"
	}
	body, err := json.Marshal(map[string]string{"error": message, "kind": string(kind)})
	if err != nil { // unreachable: strings always marshal
		body = []byte(`{"error":"internal error"}`)
	}
	if kind == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fathom"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(fault.HTTPStatus(kind))
	fmt.Fprintf(w, "%s\n", body)
}
