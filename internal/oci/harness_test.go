// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/registry"
)

// world is a door over a real registry and a real lake. Tokens are called after what their owners may do.
type world struct {
	*testing.T
	lake  *lake.Store
	store *registry.Store
	url   string
	host  string
	room  atomic.Int64
	clock atomic.Int64 // seconds that the clock is ahead
}

// callers by token: what they may do in which workspace.
var callers = map[string]map[string]string{
	"editor": {"clinic": "get create update delete"},
	"pusher": {"clinic": "get create"},
	"viewer": {"clinic": "get"},
	"other":  {"elsewhere": "get create update delete"},
}

type who struct{}

func (who) Authenticate(_ context.Context, token string) (identity.User, error) {
	if callers[token] == nil {
		return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "unknown token")
	}
	return identity.User{Name: token}, nil
}

func (who) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	if a.Resource == "workspaces" && a.Subresource == "" && a.Verb == "list" {
		return nil
	}
	verbs := strings.Fields(callers[u.Name][a.Namespace])
	for _, verb := range verbs {
		if a.Resource == "workspaces" && a.Subresource == "images" && a.Verb == verb {
			return nil
		}
	}
	return fault.New(fault.Forbidden, "authorize", "%s may not %s", u.Name, a)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{T: t}
	w.room.Store(1 << 40)
	var err error
	if w.lake, err = lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.lake.Close() })
	w.store, err = registry.Open(registry.Options{
		Path: filepath.Join(dir, "db", "registry.db"), Dir: filepath.Join(dir, "lake", "uploads"), Blobs: w.lake,
		Room: func(context.Context, string) (int64, error) { return w.room.Load(), nil },
		Now:  func() time.Time { return time.Now().Add(time.Duration(w.clock.Load()) * time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	tokens, err := identity.OpenTokens(filepath.Join(dir, "tokens.key"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{
		Registry: w.store, Blobs: w.lake, Authenticator: tokens.Before(who{}), Authorizer: who{}, Tokens: tokens,
		Sweep:      func(context.Context, time.Duration, bool) (any, error) { return map[string]int{"removed": 3}, nil },
		Workspaces: func(context.Context) ([]string, error) { return []string{"clinic", "elsewhere"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.url, w.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return w
}

// answer is what the door said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) ask(token, method, path string, body []byte, header ...string) answer {
	w.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.url + path
	}
	r, err := http.NewRequestWithContext(w.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// want asks as the editor and checks the status.
func (w *world) want(status int, method, path string, body []byte, header ...string) answer {
	w.Helper()
	a := w.ask("editor", method, path, body, header...)
	if a.status != status {
		w.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// blob pushes a blob in one go and returns its descriptor.
func (w *world) blob(repository, content string) v1.Descriptor {
	w.Helper()
	d := digest.FromString(content)
	w.want(http.StatusCreated, "POST", "/v2/"+repository+"/blobs/uploads/?digest="+string(d), []byte(content))
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

// image is a manifest of a config and layers, as JSON.
func (w *world) image(config v1.Descriptor, layers ...v1.Descriptor) []byte {
	w.Helper()
	return w.json(v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config, Layers: append([]v1.Descriptor{}, layers...)})
}

func (w *world) json(v any) []byte {
	w.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// push makes an image of one layer and tags it.
func (w *world) push(repository, tag, content string) (body []byte, d digest.Digest) {
	w.Helper()
	body = w.image(w.blob(repository, "{}"), w.blob(repository, content))
	w.manifest(http.StatusCreated, repository, tag, body)
	return body, digest.FromBytes(body)
}

func (w *world) manifest(status int, repository, reference string, body []byte) answer {
	w.Helper()
	return w.want(status, "PUT", fmt.Sprintf("/v2/%s/manifests/%s", repository, reference), body, "Content-Type", v1.MediaTypeImageManifest)
}
