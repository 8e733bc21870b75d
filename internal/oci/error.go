// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/registry"
)

// wireError is an error with a code of the specification ("Error Codes") and a status.
type wireError struct {
	code   string
	status int
	err    error
}

func (e *wireError) Error() string { return e.err.Error() }
func (e *wireError) Unwrap() error { return e.err }

// coded gives an error the code that the specification has for it; its status follows from its kind. nil stays nil.
func coded(code string, err error) error {
	var known *wireError
	if err == nil || errors.As(err, &known) {
		return err
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.TooLarge:
		return &wireError{code, fault.HTTPStatus(fault.KindOf(err)), err}
	}
	return err
}

func unsupported(format string, args ...any) error {
	return &wireError{"UNSUPPORTED", http.StatusMethodNotAllowed, fault.New(fault.Invalid, "", format, args...)}
}

// codes are for errors that no handler gave a code.
var codes = map[fault.Kind]string{
	fault.Invalid: "NAME_INVALID", fault.Unauthenticated: "UNAUTHORIZED", fault.Forbidden: "DENIED", fault.NotFound: "NAME_UNKNOWN",
	fault.Conflict: "DENIED", fault.TooLarge: "SIZE_INVALID", fault.Exhausted: "TOOMANYREQUESTS",
}

// fail writes an error as the specification wants it. Internal errors are not told.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	code, status, message := codes[kind], fault.HTTPStatus(kind), err.Error()
	var wire *wireError
	var missing *registry.MissingError
	switch {
	case errors.As(err, &missing):
		code, status = "MANIFEST_BLOB_UNKNOWN", http.StatusNotFound
	case errors.As(err, &wire):
		code, status = wire.code, wire.status
	case kind == fault.Internal, kind == fault.Corrupt:
		message = "internal error"
	}
	if code == "" {
		code = "UNKNOWN"
	}
	if kind == fault.Unauthenticated { // clients then ask for a name and a token; a wrong one is asked for again
		w.Header().Set("WWW-Authenticate", `Basic realm="fathom"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]detail{"errors": {{code, message}}})
	if err != nil { // unreachable: strings always marshal
		return
	}
	fmt.Fprintf(w, "%s\n", body)
}

func writeJSON(w http.ResponseWriter, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // unreachable: our own types
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // the client left
}
