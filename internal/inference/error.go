// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"encoding/json"
	"net/http"

	"fathom.dev/fathom/internal/fault"
)

// fail writes {"error": "…"}, as the protocol has it. What went wrong inside is not told.
func (s *server) fail(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	message := err.Error()
	if kind == fault.Internal || kind == fault.Corrupt {
		message = "internal error"
	}
	if kind == fault.Exhausted || kind == fault.Unavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, fault.HTTPStatus(kind), map[string]string{"error": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // unreachable: only our own types come here
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to tell
}
