// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/tracking"
)

// people are the callers of the tests: token → user, who may use the workspaces named as its groups.
var people = map[string]identity.User{
	"alice-token": {Name: "alice", Groups: []string{"neurology", "oncology"}},
	"bob-token":   {Name: "bob", Groups: []string{"oncology"}},
	"pod-a-token": {Name: "system:serviceaccount:neurology:code", Groups: []string{"neurology"}, Extra: map[string][]string{"pod": {"a"}}},
	"pod-b-token": {Name: "system:serviceaccount:neurology:code", Groups: []string{"neurology"}, Extra: map[string][]string{"pod": {"b"}}},
	"pod-0-token": {Name: "system:serviceaccount:neurology:code", Groups: []string{"neurology"}, Extra: map[string][]string{"pod": {"0"}}},
}

// scope limits the pods a and b to the runs of these names; the pod 0 has no run.
func scope(_ context.Context, _ string, user identity.User) (string, bool, error) {
	pod := user.Extra["pod"]
	if len(pod) == 0 {
		return "", false, nil
	}
	return map[string]string{"a": podRun("a"), "b": podRun("b")}[pod[0]], true, nil
}

func podRun(pod string) string { return tracking.RunID(pod) }

type guards struct{}

func (g *guards) Authenticate(_ context.Context, token string) (identity.User, error) {
	if user, ok := people[token]; ok {
		return user, nil
	}
	return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "unknown token")
}

func (g *guards) Authorize(_ context.Context, user identity.User, a identity.Action) error {
	if a.Resource == "models" && a.Subresource == "tracking" && a.Group == "fathom.dev" && slices.Contains(user.Groups, a.Namespace) {
		return nil
	}
	return fault.New(fault.Forbidden, "authorize", "%s may not %s %s/%s in %s", user.Name, a.Verb, a.Resource, a.Subresource, a.Namespace)
}

// diskBlobs keeps blobs in a folder, named by their digests.
type diskBlobs struct{ root string }

func (b diskBlobs) Put(_ context.Context, r io.Reader) (ref.Digest, int64, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	digest := ref.DigestOf(content)
	return digest, int64(len(content)), os.WriteFile(filepath.Join(b.root, digest.Hex()), content, 0o600)
}

func (b diskBlobs) Open(_ context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	f, err := os.Open(filepath.Join(b.root, digest.Hex()))
	if err != nil {
		return nil, 0, fault.Wrap(fault.NotFound, "blob", err)
	}
	info, err := f.Stat()
	return f, info.Size(), err
}

type server struct {
	*httptest.Server
	t        testing.TB
	store    *tracking.Store
	audited  []string
	refusals int
	ca       string // file
}

func start(t testing.TB) *server {
	t.Helper()
	store, err := tracking.Open(tracking.Options{Path: filepath.Join(t.TempDir(), "tracking.db")})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: store}
	handler, err := New(Options{Store: store, Blobs: diskBlobs{t.TempDir()}, Authenticator: &guards{}, Authorizer: &guards{}, Scope: scope,
		Record: func(u identity.User, a identity.Action, r *http.Request, decision error) error {
			s.audited = append(s.audited, u.Name+" "+a.Verb+" "+r.URL.Path)
			if decision != nil {
				s.refusals++
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewTLSServer(handler)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// call sends a request as the owner of the token and returns status and decoded body.
func (s *server) call(token, method, path, body string) (int, map[string]any) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.Client().Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]any{}
	if json.Unmarshal(text, &out) != nil {
		out["body"] = string(bytes.TrimSpace(text))
	}
	return response.StatusCode, out
}
