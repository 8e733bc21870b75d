// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/registry"
)

func TestWhoMay(t *testing.T) {
	w := newWorld(t)
	_, d := w.push("clinic/image", "v1", "layer")
	body := w.image(w.blob("clinic/image", "{}"))
	for _, tt := range []struct {
		token, method, path string
		want                int
	}{
		{"", "GET", "/v2/", 401},
		{"stranger", "GET", "/v2/", 401},
		{"viewer", "GET", "/v2/", 200},
		{"", "GET", "/v2/clinic/image/manifests/v1", 401},
		{"viewer", "GET", "/v2/clinic/image/manifests/v1", 200},
		{"other", "GET", "/v2/clinic/image/manifests/v1", 403},
		{"other", "GET", "/v2/clinic/image/tags/list", 403},
		{"other", "POST", "/v2/clinic/image/blobs/uploads/", 403},
		{"viewer", "POST", "/v2/clinic/image/blobs/uploads/", 403},
		{"viewer", "PUT", "/v2/clinic/image/manifests/v2", 403},
		{"viewer", "DELETE", "/v2/clinic/image/manifests/v1", 403},
		{"pusher", "DELETE", "/v2/clinic/image/manifests/v1", 403},
		{"pusher", "PUT", "/v2/clinic/image/manifests/v2", 201},
		{"pusher", "PUT", "/v2/clinic/image/manifests/v1", 403}, // creating is not overwriting
		{"editor", "GET", "/v2/clinic/image/manifests/" + string(d), 200},
		{"editor", "PUT", "/v2/clinic/image/manifests/v1", 201},
		{"pusher", "PUT", "/v2/clinic/image/manifests/v1", 201}, // the same again
	} {
		got := w.ask(tt.token, tt.method, tt.path, body, "Content-Type", v1.MediaTypeImageManifest)
		if got.status != tt.want {
			t.Errorf("%q %s %s: %d, want %d: %s", tt.token, tt.method, tt.path, got.status, tt.want, got.body)
		}
		if got.status == 401 && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s %s does not ask for a password", tt.method, tt.path)
		}
	}
}

func TestRepositoriesAreApart(t *testing.T) {
	w := newWorld(t)
	secret := w.blob("clinic/one", "secret")
	path := "/blobs/" + string(secret.Digest)
	w.want(200, "GET", "/v2/clinic/one"+path, nil)
	w.want(404, "GET", "/v2/clinic/two"+path, nil)
	if got := w.ask("other", "GET", "/v2/elsewhere/one"+path, nil); got.status != 404 {
		t.Errorf("another workspace's blob: %d", got.status)
	}
	for _, from := range []string{"&from=clinic/one", ""} { // neither by name nor by guessing
		got := w.ask("other", "POST", "/v2/elsewhere/one/blobs/uploads/?mount="+string(secret.Digest)+from, nil)
		if got.status != 202 {
			t.Errorf("mounting another workspace's blob%s: %d", from, got.status)
		}
	}
	w.want(404, "PUT", "/v2/clinic/two/manifests/v1", w.image(secret), "Content-Type", v1.MediaTypeImageManifest)
	w.want(201, "POST", "/v2/clinic/two/blobs/uploads/?from=clinic/one&mount="+string(secret.Digest), nil)
	w.want(200, "HEAD", "/v2/clinic/two"+path, nil)
}

func TestDeletedStaysDeleted(t *testing.T) {
	w := newWorld(t)
	_, d := w.push("clinic/image", "v1", "layer")
	layer := "/v2/clinic/image/blobs/" + string(digest.FromString("layer"))
	w.want(409, "DELETE", layer, nil)
	w.want(202, "DELETE", "/v2/clinic/image/manifests/"+string(d), nil)
	w.want(202, "DELETE", layer, nil)
	w.push("clinic/other", "v1", "layer") // the same bytes elsewhere
	for range 2 {
		w.want(404, "GET", layer, nil)
		w.want(404, "HEAD", layer, nil)
		w.want(404, "GET", "/v2/clinic/image/manifests/v1", nil)
		w.want(404, "GET", "/v2/clinic/image/manifests/"+string(d), nil)
		w.want(404, "DELETE", layer, nil)
	}
}

func TestAmbiguousManifestsAreRefused(t *testing.T) {
	w := newWorld(t)
	config := w.blob("clinic/image", "{}")
	d := `{"mediaType":"application/octet-stream","digest":"` + string(config.Digest) + `","size":2}`
	image, index := v1.MediaTypeImageManifest, v1.MediaTypeImageIndex
	for name, tt := range map[string]struct{ as, body string }{
		"image and index":          {image, `{"schemaVersion":2,"config":` + d + `,"layers":[],"manifests":[]}`},
		"index and image":          {index, `{"schemaVersion":2,"config":` + d + `,"layers":[],"manifests":[]}`},
		"index with layers":        {index, `{"schemaVersion":2,"layers":[],"manifests":[]}`},
		"other than it says":       {image, `{"schemaVersion":2,"mediaType":"` + index + `","config":` + d + `,"layers":[]}`},
		"a key twice":              {image, `{"schemaVersion":2,"config":` + d + `,"layers":[],"layers":[]}`},
		"a key in two cases":       {image, `{"schemaVersion":2,"config":` + d + `,"layers":[],"Layers":[]}`},
		"manifest in another case": {image, `{"schemaVersion":2,"config":` + d + `,"layers":[],"MANIFESTS":[]}`},
		"schema 1":                 {image, `{"schemaVersion":1,"fsLayers":[]}`},
		"no config":                {image, `{"schemaVersion":2,"layers":[]}`},
		"no kind":                  {"application/json", `{"schemaVersion":2,"config":` + d + `,"layers":[]}`},
		"not JSON":                 {image, `{"schemaVersion":2,`},
		"a list":                   {image, `[]`},
		"two values":               {image, `{"schemaVersion":2,"config":` + d + `,"layers":[]} {}`},
		"wrong digest":             {image, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:../x","size":2},"layers":[]}`},
		"negative size":            {image, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + string(config.Digest) + `","size":-1},"layers":[]}`},
		"deep":                     {image, `{"schemaVersion":2,"config":` + d + `,"layers":[],"x":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}`},
	} {
		got := w.ask("editor", "PUT", "/v2/clinic/image/manifests/v1", []byte(tt.body), "Content-Type", tt.as)
		if got.status != 400 {
			t.Errorf("%s: %d, want 400: %.200s", name, got.status, got.body)
		}
		var told struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.Unmarshal(got.body, &told); err != nil || len(told.Errors) != 1 || told.Errors[0].Message == "" {
			t.Errorf("%s: the answer is no error of the specification: %.200s", name, got.body)
		}
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	body, _ := w.push("clinic/image", "v1", "layer")
	for i := range 5 {
		w.manifest(201, "clinic/image", fmt.Sprintf("t%d", i), body)
	}
	large := append(body[:len(body)-1], []byte(`,"annotations":{"a":"`+strings.Repeat("x", registry.MaxManifest)+`"}}`)...)
	w.manifest(413, "clinic/image", "large", large)
	for _, tt := range []struct {
		path string
		want int
		body string
	}{
		{"/v2/_catalog?n=2147483648", 200, "clinic/image"},
		{"/v2/_catalog?n=18446744073709551615", 200, "clinic/image"},
		{"/v2/_catalog?n=99999999999999999999999", 400, "UNSUPPORTED"},
		{"/v2/_catalog?n=-1", 400, "UNSUPPORTED"},
		{"/v2/_catalog?n=0", 200, `"repositories":[]`},
		{"/v2/clinic/image/tags/list?n=2147483648", 200, `["t0","t1","t2","t3","t4","v1"]`},
		{"/v2/clinic/image/tags/list?n=2&last=t1", 200, `["t2","t3"]`},
		{"/v2/clinic/nothing/tags/list", 404, "NAME_UNKNOWN"},
		{"/v2/clinic/" + strings.Repeat("a", 300) + "/tags/list", 400, "NAME_INVALID"},
		{"/v2/clinic/IMAGE/tags/list", 400, "NAME_INVALID"},
		{"/v2/clinic/image/manifests/" + strings.Repeat("a", 129), 400, "MANIFEST_INVALID"},
		{"/v2/clinic/image/blobs/sha256:abc", 400, "DIGEST_INVALID"},
		{"/v2/clinic/image/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"},
	} {
		if got := w.want(tt.want, "GET", tt.path, nil); !strings.Contains(string(got.body), tt.body) {
			t.Errorf("%.60s: %s, want %s", tt.path, got.body, tt.body)
		}
	}
}

func TestUploadsAreBoundedAndEnd(t *testing.T) {
	w := newWorld(t)
	begin := func() string {
		return w.want(202, "POST", "/v2/clinic/image/blobs/uploads/", nil).header.Get("Location")
	}
	path := begin()
	w.want(202, "PATCH", path, []byte("hel"), "Content-Range", "0-2")
	if got := w.want(416, "PATCH", path, []byte("lo"), "Content-Range", "9-10"); got.header.Get("Range") != "0-2" {
		t.Errorf("after a misplaced chunk the range is %q", got.header.Get("Range"))
	}
	w.want(202, "PATCH", path, []byte("lo"), "Content-Range", "3-4")
	if other := strings.Replace(path, "clinic/image", "clinic/other", 1); w.ask("editor", "GET", other, nil).status != 404 {
		t.Error("an upload is seen from another repository")
	}
	w.room.Store(2)
	w.want(413, "PATCH", path, []byte("more"))
	if got := w.want(204, "GET", path, nil); got.header.Get("Range") != "0-4" {
		t.Errorf("after a refused chunk the range is %q", got.header.Get("Range"))
	}
	w.want(413, "POST", "/v2/clinic/image/blobs/uploads/?digest="+string(digest.FromString("large")), []byte("large"))
	w.room.Store(0)
	w.want(413, "POST", "/v2/clinic/image/blobs/uploads/", nil)
	w.room.Store(1 << 30)
	w.want(400, "PUT", path+"?digest="+string(digest.FromString("hullo")), nil)
	w.want(404, "GET", path, nil)
	path = begin()
	w.want(201, "PUT", path+"?digest="+string(digest.FromString("hello")), []byte("hello"))
	w.want(200, "GET", "/v2/clinic/image/blobs/"+string(digest.FromString("hello")), nil)
	path = begin()
	w.clock.Store(int64(registry.SessionLife.Seconds()) + 1)
	w.want(404, "PATCH", path, []byte("late"))
	begin()
	if left, err := os.ReadDir(w.store.Dir); err != nil || len(left) != 1 {
		t.Errorf("%d uploads are left, want the one that was just begun: %v", len(left), err)
	}
	status := 0
	for range 300 {
		if status = w.ask("editor", "POST", "/v2/clinic/image/blobs/uploads/", nil).status; status != 202 {
			break
		}
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("too many uploads: %d", status)
	}
}

func TestWhatFathomKeeps(t *testing.T) {
	w := newWorld(t)
	content := "a model"
	d, size, err := w.lake.PutBlob(t.Context(), strings.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	kept := registry.Repository{Workspace: "clinic", Name: "models/risk"}
	for _, version := range []string{"v1", "v1", "v2"} {
		if err := w.store.Keep(t.Context(), registry.Artifact{Repository: kept, Type: registry.TypeModel, Tag: version,
			Annotations: map[string]string{"version": version}, Parts: []registry.Part{{Name: "model.onnx", MediaType: "a/b", Digest: d, Size: size}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1", "v2"} {
		if err := w.store.Move(t.Context(), kept, "production", version); err != nil {
			t.Fatal(err)
		}
	}
	path := "/v2/clinic/models/risk/manifests/"
	if got := w.want(200, "GET", "/v2/clinic/models/risk/tags/list", nil); !strings.Contains(string(got.body), `["production","v1","v2"]`) {
		t.Errorf("tags %s", got.body)
	}
	production := w.want(200, "GET", path+"production", nil)
	if v2 := w.want(200, "GET", path+"v2", nil); string(production.body) != string(v2.body) || !strings.Contains(string(v2.body), registry.TypeModel) {
		t.Errorf("production is %s", production.body)
	}
	if got := w.want(200, "GET", "/v2/clinic/models/risk/blobs/"+string(d), nil); string(got.body) != content {
		t.Errorf("the model is %q", got.body)
	}
	if info, err := os.Stat(w.lake.BlobPath(d)); err != nil || info.Size() != size {
		t.Error(err)
	}
	own := digest.Digest(production.header.Get(contentDigest))
	w.want(403, "DELETE", path+"v1", nil)
	w.want(403, "DELETE", path+string(own), nil)
	w.want(409, "DELETE", "/v2/clinic/models/risk/blobs/"+string(d), nil)
	config := w.blob("clinic/models/risk", "{}")
	w.want(403, "PUT", path+"v1", w.image(config), "Content-Type", v1.MediaTypeImageManifest)
	w.want(403, "PUT", path+"v3", w.image(config), "Content-Type", v1.MediaTypeImageManifest)
	w.want(403, "PUT", path+string(digest.FromBytes(w.image(config))), w.image(config), "Content-Type", v1.MediaTypeImageManifest)
	signature := w.json(map[string]any{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "artifactType": "application/signature", "config": config,
		"layers": []v1.Descriptor{}, "subject": v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: own, Size: int64(len(production.body))}})
	w.want(201, "PUT", path+string(digest.FromBytes(signature)), signature, "Content-Type", v1.MediaTypeImageManifest)
	if got := w.want(200, "GET", "/v2/clinic/models/risk/referrers/"+string(own), nil); !strings.Contains(string(got.body), "application/signature") {
		t.Errorf("referrers %s", got.body)
	}
	w.want(403, "PUT", path+"v1", signature, "Content-Type", v1.MediaTypeImageManifest)
	w.want(202, "DELETE", path+string(digest.FromBytes(signature)), nil)
}

func TestToken(t *testing.T) {
	w := newWorld(t)
	var answer struct{ User, Token string }
	if err := json.Unmarshal(w.want(200, "POST", TokenPath+"?life=2h", nil).body, &answer); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(answer.Token, "GET", "/v2/", nil); got.status != 200 || answer.User != "editor" {
		t.Errorf("the token of %s: %d", answer.User, got.status)
	}
	for token, want := range map[string]int{"": 401, answer.Token: 403} {
		if got := w.ask(token, "POST", TokenPath, nil); got.status != want {
			t.Errorf("a token for %.10q: %d, want %d", token, got.status, want)
		}
	}
	w.want(400, "POST", TokenPath+"?life=13h", nil)
	w.want(400, "POST", TokenPath+"?life=soon", nil)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a/blobs/uploads/", "a/b/blobs/sha256:00", "blobs/blobs/uploads/x", "a/tags/list", "a/manifests/v1", "a/referrers/x", "//", "a/../b/tags/list"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parse("clinic", path)
		if err != nil {
			return
		}
		again, err := registry.ParseRepository(got.repository.String())
		if err != nil || again != got.repository || strings.Contains(got.repository.Name, "..") || strings.Contains(got.rest, "/") {
			t.Errorf("%q is %+v, %v", path, got, err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:0","size":2},"layers":[]}`), v1.MediaTypeImageManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), v1.MediaTypeImageIndex)
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		m, err := registry.ParseManifest(body, kind)
		if err == nil && len(m.Blobs) > 0 && len(m.Manifests) > 0 {
			t.Errorf("%q is an image and an index", body)
		}
	})
}
