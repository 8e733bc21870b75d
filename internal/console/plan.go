// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"net/http"
)

// plan answers what applying objects would do; nothing is applied.
func (s *server) plan(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Objects json.RawMessage `json:"objects"`
	}
	if err := readJSON(r, &request); err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := s.Plan(r.Context(), r.PathValue("workspace"), request.Objects)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, answer)
}

// replay makes a version again and compares it with the one that is kept.
func (s *server) replay(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := number(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer, err := s.Replay(r.Context(), ReplayRequest{Kind: kind, Name: nameOf(r), Version: n})
		if err != nil {
			s.fail(w, r, err)
			return
		}
		writeJSON(w, answer)
	}
}
