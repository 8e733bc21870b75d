// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/tracking"
)

const maxBody = 4 << 20 // bytes of a request, unless a route says otherwise

// call is one request that was allowed.
type call struct {
	context.Context
	ws *tracking.Workspace
	r  *http.Request
}

// none is the message of requests and responses without fields.
type none struct{}

// handler answers a request that check, which gets what the request says, does not refuse. There are two: message and
// raw.
type handler interface {
	serve(w http.ResponseWriter, r *http.Request, check func(message any) error)
}

// message handles requests that decode to an In.
type message[In any] struct {
	d     *door
	limit int64 // bytes
	do    func(call, *In) (any, error)
}

// serve makes a handler of a function from a request message to a response message.
func serve[In any](d *door, do func(call, *In) (any, error)) handler {
	return serveUpTo(d, maxBody, do)
}

func serveUpTo[In any](d *door, limit int64, do func(call, *In) (any, error)) handler {
	return message[In]{d, limit, do}
}

func (m message[In]) serve(w http.ResponseWriter, r *http.Request, check func(any) error) {
	var in In
	if err := decode(w, r, m.limit, &in); err != nil {
		fail(w, r, err)
		return
	}
	if err := check(&in); err != nil {
		fail(w, r, err)
		return
	}
	ws, err := m.d.store.In(r.Context(), r.PathValue("workspace"))
	if err != nil {
		fail(w, r, err)
		return
	}
	out, err := m.do(call{r.Context(), ws, r}, &in)
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, out)
}

// raw handles requests that say all in their path.
type raw http.HandlerFunc

func (h raw) serve(w http.ResponseWriter, r *http.Request, check func(any) error) {
	if err := check(&pathMessage{r.PathValue("path")}); err != nil {
		fail(w, r, err)
		return
	}
	h(w, r)
}

// pathMessage names artifacts from the root of the workspace's.
type pathMessage struct {
	Path string `json:"path"`
}

func answer(w http.ResponseWriter, status int, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error_code":"INTERNAL_ERROR","message":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

// decode reads the message: from the query of a GET, else from the JSON body. Unknown fields are ignored, as by the
// original.
func decode(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	var text []byte
	var err error
	if r.Method == http.MethodGet {
		fields := map[string]any{}
		for name, values := range r.URL.Query() {
			fields[name] = values[0]
			if len(values) > 1 {
				fields[name] = values
			}
		}
		text, err = json.Marshal(fields)
	} else {
		text, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return invalid("API requests of this kind must be at most %d bytes", large.Limit)
	case err != nil:
		return fault.Wrap(fault.Invalid, "", err)
	case len(text) == 0:
		return nil
	case r.Method != http.MethodGet && !isJSON(r): // what a page of another site can send without asking
		return invalid("Bad Request. Content-Type header is set to '%s'. Please set it to application/json.", r.Header.Get("Content-Type"))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return invalid("Invalid request: %v", err)
	}
	return nil
}

func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, "", format, args...) }

// required reports the first of name, value, name, value … that the request did not have.
func required(fields ...any) error {
	for i := 0; i < len(fields); i += 2 {
		missing := false
		switch v := fields[i+1].(type) {
		case *string:
			missing = v == nil
		case string:
			missing = v == ""
		case *number:
			missing = v == nil
		case *integer:
			missing = v == nil
		}
		if missing {
			return invalid("Missing value for required parameter '%s'. See the API docs for more information about request parameters.", fields[i])
		}
	}
	return nil
}

// integer is a number in JSON, or the decimal string that proto3's JSON also allows.
type integer int64

// UnmarshalJSON implements [json.Unmarshaler].
func (i *integer) UnmarshalJSON(text []byte) error {
	s := unquoted(text)
	if s == "null" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return errors.New(s + " is not an integer")
		}
		v = int64(f)
	}
	*i = integer(v)
	return nil
}

func (i *integer) or(otherwise int64) int64 {
	if i == nil {
		return otherwise
	}
	return int64(*i)
}

// number is a double in JSON; NaN and infinities are strings.
type number float64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(text []byte) error {
	s := unquoted(text)
	v, err := strconv.ParseFloat(s, 64) // also reads NaN, Infinity and -Infinity
	if err != nil && !math.IsInf(v, 0) {
		return errors.New(s + " is not a number")
	}
	*n = number(v)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (n number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	switch {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(v)
}

// texts is a list of strings; in a query it may be one string.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *texts) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var one string
		err := json.Unmarshal(text, &one)
		*l = texts{one}
		return err
	}
	return json.Unmarshal(text, (*[]string)(l))
}

func unquoted(text []byte) string {
	if len(text) > 1 && text[0] == '"' {
		return string(text[1 : len(text)-1])
	}
	return string(text)
}

// pair is a tag, parameter or the like.
type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func toTags(pairs []pair) []tracking.Tag {
	tags := make([]tracking.Tag, len(pairs))
	for i, p := range pairs {
		tags[i] = tracking.Tag(p)
	}
	return tags
}

func fromTags(tags []tracking.Tag) []pair {
	pairs := make([]pair, len(tags))
	for i, t := range tags {
		pairs[i] = pair(t)
	}
	return pairs
}

func stage(deleted bool) string {
	if deleted {
		return "deleted"
	}
	return "active"
}

func parseView(s string) (tracking.View, error) {
	switch s {
	case "", "1", "ACTIVE_ONLY":
		return tracking.Active, nil
	case "2", "DELETED_ONLY":
		return tracking.DeletedOnly, nil
	case "3", "ALL":
		return tracking.All, nil
	}
	return 0, invalid("Invalid value %q for parameter 'view_type' supplied.", s)
}
