// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"

	"fathom.dev/fathom/internal/fault"
)

// layout is an OCI layout in the making.
type layout struct {
	*testing.T
	store *oci.Store
}

func newLayout(t *testing.T, folder string) layout {
	t.Helper()
	store, err := oci.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	return layout{t, store}
}

func (l layout) put(mediaType string, content []byte) v1.Descriptor {
	l.Helper()
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if there, err := l.store.Exists(l.Context(), d); err != nil || there {
		return d
	}
	if err := l.store.Push(l.Context(), d, bytes.NewReader(content)); err != nil {
		l.Fatal(err)
	}
	return d
}

func (l layout) json(mediaType string, v any) v1.Descriptor {
	l.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		l.Fatal(err)
	}
	return l.put(mediaType, b)
}

func (l layout) tag(tag string, d v1.Descriptor) {
	l.Helper()
	if err := l.store.Tag(l.Context(), d, tag); err != nil {
		l.Fatal(err)
	}
}

// image makes an image of layers and tags it.
func (l layout) image(tag string, config v1.ImageConfig, layers ...[]byte) v1.Descriptor {
	l.Helper()
	full := v1.Image{Config: config, RootFS: v1.RootFS{Type: "layers"}, Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	var list []v1.Descriptor
	for _, content := range layers {
		full.RootFS.DiffIDs = append(full.RootFS.DiffIDs, digest.FromBytes(content))
		list = append(list, l.put(v1.MediaTypeImageLayer, content))
	}
	d := l.json(v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: l.json(v1.MediaTypeImageConfig, full), Layers: list})
	l.tag(tag, d)
	return d
}

// entry of a layer.
type entry struct {
	name, content, link string
	kind                byte
}

func archived(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o755, Size: int64(len(e.content))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func newStore(t *testing.T, o Options) *Store {
	t.Helper()
	base := t.TempDir()
	o.Dir, o.Layouts = filepath.Join(base, "images"), filepath.Join(base, "layouts")
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tree is what an unpacked image holds: files with their content, folders ending in "/", links with "->".
func tree(t *testing.T, root string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			out = append(out, name+"/")
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			out = append(out, name+"->"+target)
		default:
			content, _ := os.ReadFile(path)
			out = append(out, name+"="+string(content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestLayersAreLaidOverEachOther(t *testing.T) {
	s := newStore(t, Options{})
	l := newLayout(t, filepath.Join(s.Layouts, "tools"))
	first := archived(t, entry{name: "bin", kind: tar.TypeDir}, entry{name: "bin/a", content: "a1"}, entry{name: "bin/b", content: "b1"},
		entry{name: "etc/x/y", content: "y"}, entry{name: "etc/x/z", content: "z"}, entry{name: "dev/zero", kind: tar.TypeChar})
	second := archived(t, entry{name: "bin/a", content: "a2"}, entry{name: "bin/.wh.b"}, entry{name: "etc/x/.wh..wh..opq"}, entry{name: "etc/x/n", content: "n"},
		entry{name: "link", kind: tar.TypeSymlink, link: "/bin/a"}, entry{name: "hard", kind: tar.TypeLink, link: "bin/a"})
	var zipped, packed bytes.Buffer
	z := gzip.NewWriter(&zipped)
	p, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := z.Write(first)
	_, err2 := p.Write(second)
	if err := errors.Join(err1, err2, z.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	full := v1.Image{Config: v1.ImageConfig{Entrypoint: []string{"/bin/a"}}, RootFS: v1.RootFS{DiffIDs: []digest.Digest{digest.FromBytes(first), digest.FromBytes(second)}}}
	manifest := l.json(v1.MediaTypeImageManifest, v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: l.json(v1.MediaTypeImageConfig, full),
		Layers: []v1.Descriptor{l.put(v1.MediaTypeImageLayerGzip, zipped.Bytes()), l.put(v1.MediaTypeImageLayerZstd, packed.Bytes())}})
	other := l.json(v1.MediaTypeImageManifest, v1.Manifest{MediaType: v1.MediaTypeImageManifest})
	foreign, own := other, manifest
	foreign.Platform, own.Platform = &v1.Platform{OS: "plan9", Architecture: "mips"}, &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	index := l.json(v1.MediaTypeImageIndex, v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{foreign, own}})
	l.tag("v1", index)
	got, err := s.Get(t.Context(), Request{Image: "oci:tools:v1"})
	if err != nil {
		t.Fatal(err)
	}
	want := "bin/ bin/a=a2 etc/ etc/x/ etc/x/n=n hard=a2 link->/bin/a"
	if found := tree(t, got.Root); found != want || got.ID != "oci:tools@"+string(manifest.Digest) || got.Config.Entrypoint[0] != "/bin/a" {
		t.Errorf("%s holds\n%s, want\n%s", got.ID, found, want)
	}
	for _, by := range []string{"oci:tools@" + string(manifest.Digest), "oci:tools@" + string(index.Digest)} {
		if again, err := s.Get(t.Context(), Request{Image: by}); err != nil || again.Root != got.Root {
			t.Errorf("%s is at %s, want %s: %v", by, again.Root, got.Root, err)
		}
	}
}

func TestNothingLeavesTheImage(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(outside)
	for name, entries := range map[string][]entry{
		"climbs":             {{name: "../outside", content: "x"}},
		"climbs far":         {{name: "a/../../../../../../../../../.." + outside, content: "x"}},
		"absolute":           {{name: outside, content: "x"}},
		"through a link":     {{name: "link", kind: tar.TypeSymlink, link: dir}, {name: "link/outside", content: "x"}},
		"through two links":  {{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "b", kind: tar.TypeSymlink, link: dir}, {name: "a/outside", content: "x"}},
		"relative link":      {{name: "link", kind: tar.TypeSymlink, link: "../../../../../../../.." + dir}, {name: "link/outside", content: "x"}},
		"hard link":          {{name: "hard", kind: tar.TypeLink, link: "../../../../../../../../.." + outside}, {name: "hard", content: "x"}},
		"hard to a link":     {{name: "link", kind: tar.TypeSymlink, link: outside}, {name: "hard", kind: tar.TypeLink, link: "link"}, {name: "hard", content: "x"}},
		"whiteout":           {{name: "link", kind: tar.TypeSymlink, link: dir}, {name: "link/.wh.outside"}},
		"whiteout climbs":    {{name: "../../../../../../../../.." + dir + "/.wh.outside"}},
		"opaque":             {{name: "link", kind: tar.TypeSymlink, link: dir}, {name: "link/.wh..wh..opq"}},
		"folder over a link": {{name: "link", kind: tar.TypeSymlink, link: dir}, {name: "link", kind: tar.TypeDir}, {name: "link/outside", content: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			newLayout(t, filepath.Join(s.Layouts, "evil")).image("v1", v1.ImageConfig{}, archived(t, entries...))
			got, err := s.Get(t.Context(), Request{Image: "oci:evil:v1"})
			if content, readErr := os.ReadFile(outside); readErr != nil || string(content) != "untouched" {
				t.Errorf("a file outside is %q, %v", content, readErr)
			}
			if err != nil {
				return
			}
			if found := tree(t, got.Root); strings.Contains(found, "untouched") {
				t.Errorf("a file outside is within: %s", found)
			}
		})
	}
}

func TestImagesAreBounded(t *testing.T) {
	s := newStore(t, Options{MaxBytes: 1 << 20, MaxFiles: 100})
	l := newLayout(t, filepath.Join(s.Layouts, "large"))
	var many []entry
	for range 101 {
		many = append(many, entry{name: "f", content: ""})
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 64<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	l.image("bytes", v1.ImageConfig{}, archived(t, entry{name: "f", content: strings.Repeat("x", 1<<20+1)}))
	l.image("files", v1.ImageConfig{}, archived(t, many...))
	l.image("two", v1.ImageConfig{}, archived(t, entry{name: "f", content: strings.Repeat("x", 600<<10)}), archived(t, entry{name: "g", content: strings.Repeat("y", 600<<10)}))
	l.image("sparse", v1.ImageConfig{}, sparse(10<<30))
	l.image("bomb", v1.ImageConfig{}, bomb.Bytes())
	for _, tag := range []string{"bytes", "files", "two", "sparse", "bomb"} {
		_, err := s.Get(t.Context(), Request{Image: "oci:large:" + tag})
		if !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v, want TooLarge", tag, err)
		}
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 1 {
		t.Errorf("of refused images %v is left, %v", left, err)
	}
}

// sparse is an archive of 2 KiB whose one file has the size, in GNU's old format for sparse files.
func sparse(size int64) []byte {
	b := make([]byte, 4*512)
	copy(b, "sparse")
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x000000000\x0000000000000\x0000000000000\x00")
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	base256 := func(at int, v int64) { // GNU's way to write large numbers
		b[at] = 0x80
		for i := 11; v > 0; i-- {
			b[at+i] = byte(v)
			v >>= 8
		}
	}
	copy(b[386:], "00000000000\x0000000000000\x00")
	base256(483, size)
	sum := 8 * int(' ')
	for i, c := range b[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return b
}

func TestImagesThatLieAreRefused(t *testing.T) {
	s := newStore(t, Options{})
	folder := filepath.Join(s.Layouts, "lies")
	l := newLayout(t, folder)
	layer := archived(t, entry{name: "f", content: "true"})
	config := func(diff ...digest.Digest) v1.Descriptor {
		return l.json(v1.MediaTypeImageConfig, v1.Image{RootFS: v1.RootFS{DiffIDs: diff}})
	}
	manifest := func(tag string, m any) { l.tag(tag, l.json(v1.MediaTypeImageManifest, m)) }
	list := []v1.Descriptor{l.put(v1.MediaTypeImageLayer, layer)}
	manifest("diff", v1.Manifest{Config: config(digest.FromString("other")), Layers: list})
	manifest("fewer", v1.Manifest{Config: config(), Layers: list})
	manifest("garbage", v1.Manifest{Config: config("sha256:x"), Layers: list})
	manifest("artifact", v1.Manifest{Config: l.put("application/vnd.oci.empty.v1+json", []byte("{}")), Layers: list})
	manifest("both", map[string]any{"config": config(digest.FromBytes(layer)), "layers": list, "manifests": list})
	l.tag("elsewhere", l.json(v1.MediaTypeImageIndex, v1.Index{Manifests: []v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: list[0].Digest,
		Size: 1, Platform: &v1.Platform{OS: "plan9", Architecture: "mips"}}}}))
	d := l.image("flipped", v1.ImageConfig{}, archived(t, entry{name: "g", content: "whole"}))
	for tag, want := range map[string]fault.Kind{"diff": fault.Invalid, "fewer": fault.Invalid, "garbage": fault.Invalid, "artifact": fault.Invalid,
		"both": fault.Invalid, "elsewhere": fault.Invalid, "absent": fault.NotFound} {
		if _, err := s.Get(t.Context(), Request{Image: "oci:lies:" + tag}); !fault.Is(err, want) {
			t.Errorf("%s: %v, want %s", tag, err, want)
		}
	}
	file := filepath.Join(folder, "blobs", "sha256", digest.FromBytes(archived(t, entry{name: "g", content: "whole"})).Encoded())
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, archived(t, entry{name: "g", content: "wrong"}), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), Request{Image: "oci:lies@" + string(d.Digest)}); err == nil {
		t.Error("a layer with other bytes was unpacked")
	}
}

func TestNamesAndPolicies(t *testing.T) {
	s := newStore(t, Options{Registry: "127.0.0.1:1", Names: []string{"localhost:7443"}})
	l := newLayout(t, filepath.Join(s.Layouts, "tools"))
	l.image("v1", v1.ImageConfig{}, archived(t, entry{name: "f", content: "1"}))
	get := func(image string, policy Policy) (Image, error) {
		return s.Get(t.Context(), Request{Image: image, Namespace: "clinic", Policy: policy})
	}
	var never *NeverError
	if _, err := get("oci:tools:v1", Never); !errors.As(err, &never) {
		t.Errorf("Never: %v", err)
	}
	for image, want := range map[string]fault.Kind{
		"busybox": fault.Invalid, "docker.io/library/busybox:1": fault.Invalid, "ghcr.io/a/b@sha256:0": fault.Invalid, "169.254.169.254/a/b": fault.Invalid,
		"": fault.Invalid, "oci:": fault.Invalid, "oci:../tools": fault.Invalid, "oci:/etc": fault.Invalid, "oci:tools:": fault.Invalid, "oci:tools@../x": fault.Invalid,
		"registry.fathom/image": fault.Invalid, "registry.fathom/elsewhere/image:v1": fault.Forbidden, "localhost:7443/elsewhere/a/b": fault.Forbidden,
		"registry.fathom/clinic/image:v1": fault.Unavailable, "oci:nothing": fault.NotFound,
	} {
		if _, err := get(image, IfNotPresent); !fault.Is(err, want) {
			t.Errorf("%q: %v, want %s", image, err, want)
		}
	}
	first, err := get("oci:tools:v1", IfNotPresent)
	if err != nil {
		t.Fatal(err)
	}
	l.image("v1", v1.ImageConfig{}, archived(t, entry{name: "f", content: "2"}))
	for _, tt := range []struct {
		policy Policy
		same   bool
	}{{Never, true}, {IfNotPresent, true}, {Always, false}, {Never, false}} {
		if got, err := get("oci:tools:v1", tt.policy); err != nil || (got.Digest == first.Digest) != tt.same {
			t.Errorf("%s after the tag moved: %s, %v", tt.policy, got.Digest, err)
		}
	}
}

func TestUnwantedImagesGo(t *testing.T) {
	now := time.Now()
	s := newStore(t, Options{Now: func() time.Time { return now }})
	l := newLayout(t, filepath.Join(s.Layouts, "tools"))
	got := map[string]Image{}
	for _, tag := range []string{"old", "used", "new"} {
		l.image(tag, v1.ImageConfig{}, archived(t, entry{name: tag, content: tag}))
		if tag == "new" {
			now = now.Add(2 * time.Hour)
		}
		var err error
		if got[tag], err = s.Get(t.Context(), Request{Image: "oci:tools:" + tag}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.Dir, unfinished+"x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(time.Hour, map[string]bool{got["used"].Root: true}); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]bool{"old": false, "used": true, "new": true} {
		if _, err := os.Stat(got[tag].Root); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", tag, err, want)
		}
	}
	if _, err := Open(s.Options); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, unfinished+"*")); len(left) > 0 {
		t.Errorf("after a restart %v is left", left)
	}
	if again, err := s.Get(context.Background(), Request{Image: "oci:tools:old"}); err != nil || again.Root != got["old"].Root {
		t.Errorf("what was removed cannot be had again: %v", err)
	}
}

func TestUser(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbad:x:zero:0::/:\n", "etc/group": "staff:x:50:\n"}
	for name, content := range files {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "etc"), 0o700), os.WriteFile(filepath.Join(root, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]*User{
		"app": {1000, 1001, true, "/home/app"}, "app:staff": {1000, 50, true, "/home/app"}, "1000": {1000, 1001, true, "/home/app"}, "7": {7, 0, false, ""},
		"7:8": {7, 8, true, ""}, "root": {0, 0, true, "/root"}, "nobody": nil, "bad": nil, "app:none": nil, "-1": nil, "99999999999": nil,
	} {
		got, said, err := Image{Root: root, Config: v1.ImageConfig{User: user}}.User()
		if want == nil && err == nil || want != nil && (err != nil || !said || got != *want) {
			t.Errorf("%q is %+v, %v, want %+v", user, got, err, want)
		}
	}
	if _, said, err := (Image{Root: root}).User(); said || err != nil {
		t.Errorf("an image that does not say: %t, %v", said, err)
	}
}
