// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"errors"
	"net/http"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/tracking"
)

// wireError is how MLflow tells an error; clients test the code.
type wireError struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

// The codes are those of mlflow/protos/databricks.proto, the statuses those of mlflow/exceptions.py.
var codes = map[fault.Kind]struct {
	code   string
	status int
}{
	fault.Invalid:         {"INVALID_PARAMETER_VALUE", 400},
	fault.Unauthenticated: {"UNAUTHENTICATED", 401},
	fault.Forbidden:       {"PERMISSION_DENIED", 403},
	fault.NotFound:        {"RESOURCE_DOES_NOT_EXIST", 404},
	fault.Conflict:        {"RESOURCE_ALREADY_EXISTS", 400},
	fault.TooLarge:        {"INVALID_PARAMETER_VALUE", 413},
	fault.Exhausted:       {"RESOURCE_EXHAUSTED", 429},
	fault.Unavailable:     {"TEMPORARILY_UNAVAILABLE", 503},
	fault.Corrupt:         {"DATA_LOSS", 500},
	fault.Internal:        {"INTERNAL_ERROR", 500},
}

// errNotImplemented and errNoEndpoint mark what this door does not have.
var (
	errNotImplemented = errors.New("not implemented")
	errNoEndpoint     = errors.New("no such endpoint")
)

// fail writes an error as MLflow would. What went wrong inside is not told.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	as, known := codes[kind]
	if !known {
		as = codes[fault.Internal]
	}
	message := err.Error()
	switch {
	case errors.Is(err, errNotImplemented):
		as.code, as.status = "NOT_IMPLEMENTED", 501
	case errors.Is(err, errNoEndpoint):
		as.code, as.status = "ENDPOINT_NOT_FOUND", 404
	case errors.Is(err, tracking.ErrInactive):
		as.code = "INVALID_STATE"
	case as.status == 500:
		message = "internal error"
	}
	if as.status == 401 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fathom"`)
	}
	answer(w, as.status, wireError{as.code, message})
}
