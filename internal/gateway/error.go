// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"

	"fathom.dev/fathom/internal/fault"
)

// fail writes {"error": "…"}, as the protocol has it. What went wrong inside is not told.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	message := err.Error()
	if kind == fault.Internal || kind == fault.Corrupt {
		message = "internal error"
	}
	if isGRPC(r) {
		w.Header().Set("Content-Type", "application/grpc")
		grpcStatus(w.Header(), "", grpcCode(kind), message)
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil { // unreachable: strings always marshal
		body = []byte(`{"error":"internal error"}`)
	}
	head := w.Header()
	switch kind {
	case fault.Exhausted, fault.Unavailable:
		head.Set("Retry-After", "1")
	case fault.Unauthenticated:
		head.Set("WWW-Authenticate", `Bearer realm="fathom"`)
	}
	head.Set("Content-Type", "application/json")
	head.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(fault.HTTPStatus(kind))
	_, _ = w.Write(body) // nobody is left to tell
}
