// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"fathom.dev/fathom/internal/gateway"
)

// grpc calls a method with an empty message and says who was let in: codes other than Unauthenticated and PermissionDenied are
// answers to somebody who was.
func (w *world) grpc(t *testing.T, c caller, path string) string {
	t.Helper()
	transport := c.client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Doors+path, strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set(gateway.EndpointHeader, clinic+"/nothing")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		if strings.Contains(err.Error(), "tls: ") || c.name == "expired" { // HTTP/2 does not always say why the connection ended
			return "401"
		}
		t.Fatalf("%s %s: %v", c.name, path, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	status := response.Header.Get("Grpc-Status")
	if status == "" {
		status = response.Trailer.Get("Grpc-Status")
	}
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("%s %s: %s %s", c.name, path, response.Proto, response.Status)
	}
	var code codes.Code
	if err := code.UnmarshalJSON([]byte(status)); err != nil {
		t.Errorf("%s %s: grpc-status %q", c.name, path, status)
	}
	switch code {
	case codes.Unauthenticated:
		return "401"
	case codes.PermissionDenied:
		return "403"
	case codes.Internal, codes.Unknown:
		t.Errorf("%s %s: %s %s", c.name, path, code, response.Header.Get("Grpc-Message"))
	}
	return "pass"
}

// webSockets asks every route that can be read for a WebSocket: who asks so is let in no further, and nothing is upgraded.
func (w *world) webSockets(t *testing.T) {
	for door, list := range routes(t) {
		for _, route := range list {
			method, path := address(route.Pattern)
			if method != http.MethodGet || strings.Contains(route.Pattern, "/ajax-api/") {
				continue
			}
			for _, c := range w.certified {
				status := w.ask(t, c, method, path, map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
					"Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
				if status == http.StatusSwitchingProtocols || verdict(t, c.name, status) != verdict(t, c.name, w.ask(t, c, method, path, nil)) {
					t.Errorf("%s %s: %s asks for a WebSocket and is answered %d", door, route.Pattern, c.name, status)
				}
			}
		}
	}
}

// wrongMethods asks every path with the methods that it does not have.
func (w *world) wrongMethods(t *testing.T) {
	methods := map[string][]string{}
	for _, list := range routes(t) {
		for _, route := range list {
			method, path := address(route.Pattern)
			path, _, _ = strings.Cut(path, "?")
			methods[path] = append(methods[path], method)
		}
	}
	asking := slices.DeleteFunc(slices.Clone(w.certified), func(c caller) bool { return c.name != "admin" && c.name != "nobody" })
	for path, known := range methods {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"} {
			if slices.Contains(known, method) || method == "CONNECT" {
				continue
			}
			for _, c := range asking {
				status := w.ask(t, c, method, path, nil)
				elsewhere := strings.HasPrefix(path, "/ui/") || strings.HasPrefix(path, "/mlflow/") || strings.HasPrefix(path, "/v2/") // patterns that overlap
				if status < 300 && !elsewhere || status >= 500 && status != http.StatusNotImplemented {
					t.Errorf("%s %s as %s: %d", method, path, c.name, status)
				}
			}
		}
	}
}
