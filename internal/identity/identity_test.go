// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// tokens is an Authenticator over a fixed table.
type tokens map[string]User

func (t tokens) Authenticate(_ context.Context, token string) (User, error) {
	if u, ok := t[token]; ok {
		return u, nil
	}
	return User{}, fault.New(fault.Unauthenticated, "authenticate", "unknown token")
}

type rule func(User, Action) error

func (f rule) Authorize(_ context.Context, u User, a Action) error { return f(u, a) }

func allowAll(User, Action) error { return nil }

func getData(*http.Request) (Action, error) {
	return Action{Verb: "get", Resource: "datasets", Subresource: "data", Namespace: "ws", Data: true}, nil
}

func whoAmI(w http.ResponseWriter, r *http.Request) {
	u := UserFrom(r.Context())
	_, _ = w.Write([]byte(u.Name + " " + strings.Join(u.Groups, ",")))
}

func testMux(t *testing.T, opt MuxOptions) http.Handler {
	t.Helper()
	if opt.Authenticator == nil {
		opt.Authenticator = tokens{"good": {Name: "ada", Groups: []string{"researchers"}}}
	}
	if opt.Authorizer == nil {
		opt.Authorizer = rule(allowAll)
	}
	h, err := NewMux([]Route{
		{Pattern: "GET /who", Action: getData, Handler: whoAmI},
		{Pattern: "POST /who", Action: getData, Handler: whoAmI},
		{Pattern: "GET /files/{path...}", Action: getData, Handler: whoAmI},
		{Pattern: "GET /live", Public: "liveness", Handler: whoAmI},
	}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func verified(name string, notAfter time.Time) *tls.ConnectionState {
	leaf := &x509.Certificate{NotAfter: notAfter, Subject: pkix.Name{CommonName: name, Organization: []string{"clinicians"}}}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
}

func TestCaller(t *testing.T) {
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	unverified := verified("eve", later)
	unverified.VerifiedChains = nil
	tests := []struct {
		name       string
		header     http.Header
		tls        *tls.ConnectionState
		wantStatus int
		wantBody   string
	}{
		{name: "nothing", wantStatus: 401},
		{name: "token", header: http.Header{"Authorization": {"Bearer good"}}, wantStatus: 200, wantBody: "ada researchers"},
		{name: "lower-case scheme", header: http.Header{"Authorization": {"bearer good"}}, wantStatus: 200, wantBody: "ada researchers"},
		{name: "token as password", header: http.Header{"Authorization": {"Basic YW55Omdvb2Q="}}, wantStatus: 200, wantBody: "ada researchers"},
		{name: "token as user name", header: http.Header{"Authorization": {"Basic Z29vZDo="}}, wantStatus: 401},
		{name: "wrong token", header: http.Header{"Authorization": {"Bearer bad"}}, wantStatus: 401},
		{name: "empty header", header: http.Header{"Authorization": {""}}, wantStatus: 401},
		{name: "other scheme", header: http.Header{"Authorization": {"Digest good"}}, wantStatus: 401},
		{name: "two headers", header: http.Header{"Authorization": {"Bearer good", "Bearer bad"}}, wantStatus: 401},
		{name: "certificate", tls: verified("bob", later), wantStatus: 200, wantBody: "bob system:authenticated,clinicians"},
		{name: "expired certificate on a live connection", tls: verified("bob", before), wantStatus: 401},
		{name: "certificate without a name", tls: verified("", later), wantStatus: 401},
		{name: "certificate nobody verified", tls: unverified, wantStatus: 401},
		{name: "wrong token beside a certificate", header: http.Header{"Authorization": {"Bearer bad"}}, tls: verified("bob", later), wantStatus: 401},
		{name: "empty header beside a certificate", header: http.Header{"Authorization": {""}}, tls: verified("bob", later), wantStatus: 401},
	}
	h := testMux(t, MuxOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/who", nil)
			for k, v := range tt.header {
				r.Header[k] = v
			}
			r.TLS = tt.tls
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.wantStatus {
				t.Fatalf("status = %d, want %d: %s", w.Code, tt.wantStatus, w.Body)
			}
			if tt.wantStatus == 200 && w.Body.String() != tt.wantBody {
				t.Errorf("body = %q, want %q", w.Body, tt.wantBody)
			}
			if tt.wantStatus == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate header on 401")
			}
		})
	}
}

func TestIdentityHeadersAreIgnored(t *testing.T) {
	h := testMux(t, MuxOptions{})
	for _, name := range []string{
		"X-Remote-User", "X-Remote-Group", "X-Remote-Extra-Scopes", "Impersonate-User", "Impersonate-Group", "Kubeflow-Userid",
		"X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Auth-Request-User", "X-Forwarded-Client-Cert", "Remote-User",
	} {
		for _, token := range []string{"", "good"} {
			r := httptest.NewRequest("GET", "/who", nil)
			r.Header[name] = []string{"root", "system:masters"}
			want := 401
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
				want = 200
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want || (want == 200 && w.Body.String() != "ada researchers") {
				t.Errorf("%s with token %q: %d %q", name, token, w.Code, w.Body)
			}
		}
	}
}

func TestNewMuxRefuses(t *testing.T) {
	ok := MuxOptions{Authenticator: tokens{}, Authorizer: rule(allowAll)}
	tests := []struct {
		name   string
		routes []Route
		opt    MuxOptions
	}{
		{"unmapped route", []Route{{Pattern: "GET /a", Handler: whoAmI}}, ok},
		{"mapped and public", []Route{{Pattern: "GET /a", Handler: whoAmI, Action: getData, Public: "x"}}, ok},
		{"no handler", []Route{{Pattern: "GET /a", Action: getData}}, ok},
		{"no method", []Route{{Pattern: "/a", Handler: whoAmI, Action: getData}}, ok},
		{"bad pattern", []Route{{Pattern: "GET /{", Handler: whoAmI, Action: getData}}, ok},
		{"same route twice", []Route{
			{Pattern: "GET /a", Handler: whoAmI, Action: getData},
			{Pattern: "GET /a", Handler: whoAmI, Public: "x"}}, ok},
		{"no authenticator", nil, MuxOptions{Authorizer: rule(allowAll)}},
		{"no authorizer", nil, MuxOptions{Authenticator: tokens{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewMux(tt.routes, tt.opt); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	got := Routes(testMux(t, MuxOptions{}))
	if len(got) != 4 || got[0].Pattern != "GET /who" {
		t.Errorf("Routes = %v", got)
	}
	if Routes(http.NotFoundHandler()) != nil {
		t.Error("a foreign handler has no routes")
	}
}

func TestPathsAndOrigins(t *testing.T) {
	tests := []struct {
		name, method, path string
		header             [2]string
		want               int
	}{
		{name: "plain", method: "GET", path: "/files/a/b", want: 200},
		{name: "percent in a name", method: "GET", path: "/files/100%25", want: 200},
		{name: "folder", method: "GET", path: "/files/a/", want: 200},
		{name: "climb", method: "GET", path: "/files/../who", want: 400},
		{name: "escaped climb", method: "GET", path: "/files/%2e%2e/who", want: 400},
		{name: "escaped slash", method: "GET", path: "/files/..%2fwho", want: 400},
		{name: "twice escaped", method: "GET", path: "/files/%252e%252e%252fwho", want: 400},
		{name: "backslash", method: "GET", path: "/files/..%5cwho", want: 400},
		{name: "NUL", method: "GET", path: "/files/a%00", want: 400},
		{name: "double slash", method: "GET", path: "/files//proc/self/root", want: 400},
		{name: "dot", method: "GET", path: "/files/./a", want: 400},
		{name: "no such route", method: "GET", path: "/nothing", want: 404},
		{name: "no such method", method: "DELETE", path: "/who", want: 405},
		{name: "own page", method: "POST", path: "/who", header: [2]string{"Sec-Fetch-Site", "same-origin"}, want: 200},
		{name: "other site's page", method: "POST", path: "/who", header: [2]string{"Sec-Fetch-Site", "cross-site"}, want: 403},
		{name: "other site's origin", method: "POST", path: "/who", header: [2]string{"Origin", "https://evil.example"}, want: 403},
	}
	h := testMux(t, MuxOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header.Set("Authorization", "Bearer good")
			if tt.header[0] != "" {
				r.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("status = %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

func TestRecorder(t *testing.T) {
	refuse := rule(func(User, Action) error { return fault.New(fault.Forbidden, "authorize", "no") })
	tests := []struct {
		name       string
		authorizer Authorizer
		record     error
		want       int
	}{
		{"allowed", rule(allowAll), nil, 200},
		{"refused is recorded too", refuse, nil, 403},
		{"no record, no access", rule(allowAll), errors.New("disk full"), 503},
		{"no record hides even a kind", rule(allowAll), fault.New(fault.Invalid, "audit", "x"), 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []string
			h := testMux(t, MuxOptions{Authorizer: tt.authorizer, Record: func(u User, a Action, _ *http.Request, decision error) error {
				seen = append(seen, u.Name+" "+a.String())
				return tt.record
			}})
			r := httptest.NewRequest("GET", "/who", nil)
			r.Header.Set("Authorization", "Bearer good")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want || !slices.Equal(seen, []string{"ada get datasets/data in ws"}) {
				t.Errorf("status = %d, want %d; recorded %v", w.Code, tt.want, seen)
			}
		})
	}
}

func TestFailJSON(t *testing.T) {
	w := httptest.NewRecorder()
	message := "quote \" newline \n bell \a bytes \xff \u2028 é"
	FailJSON(w, nil, fault.New(fault.Invalid, "", "%s", message))
	var got struct{ Error, Kind string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	if want := strings.ToValidUTF8(message, "\ufffd"); got.Error != want || got.Kind != "Invalid" || w.Code != 400 {
		t.Errorf("got %+v %d, want %q", got, w.Code, want)
	}
	w = httptest.NewRecorder()
	FailJSON(w, nil, errors.New("secret path /x"))
	if strings.Contains(w.Body.String(), "secret") || w.Code != 500 {
		t.Errorf("an internal error was told: %d %s", w.Code, w.Body)
	}
}
