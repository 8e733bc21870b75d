// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestPutBlob(t *testing.T) {
	s := openTest(t, t.TempDir())
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	hello := ref.DigestOf([]byte("hello"))
	for _, c := range []struct {
		name     string
		ctx      context.Context
		r        io.Reader
		expected ref.Digest
		want     ref.Digest
		wantKind fault.Kind
	}{
		{"plain", t.Context(), strings.NewReader("hello"), "", hello, ""},
		{"again", t.Context(), strings.NewReader("hello"), "", hello, ""},
		{"expected", t.Context(), strings.NewReader("hello"), hello, hello, ""},
		{"empty", t.Context(), strings.NewReader(""), "", ref.DigestOf(nil), ""},
		{"other than expected", t.Context(), strings.NewReader("hullo"), hello, "", fault.Invalid},
		{"malformed digest", t.Context(), strings.NewReader("hello"), "sha256:../../x", "", fault.Invalid},
		{"reader fails", t.Context(), iotest.ErrReader(errors.New("network")), "", "", fault.Internal},
		{"cancelled", cancelled, strings.NewReader("late"), "", "", fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, n, err := s.PutBlob(c.ctx, c.r, c.expected)
			wantKind(t, err, c.wantKind)
			if d != c.want {
				t.Fatalf("digest %s, want %s", d, c.want)
			}
			if err == nil {
				if got := readAll(t, s, d); int64(len(got)) != n || ref.DigestOf(got) != d {
					t.Fatalf("read back %q", got)
				}
			}
		})
	}
	if left, _ := os.ReadDir(s.tmpDir); len(left) != 0 {
		t.Fatalf("temporary files left: %v", left)
	}
	wantClean(t, s)
}

func TestMissingBlob(t *testing.T) {
	s := openTest(t, t.TempDir())
	none := ref.DigestOf([]byte("none"))
	_, err := s.StatBlob(t.Context(), none)
	wantKind(t, err, fault.NotFound)
	_, _, err = s.OpenBlob(t.Context(), none)
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.VerifyBlob(t.Context(), none), fault.NotFound)
	_, err = s.StatBlob(t.Context(), "sha256:short")
	wantKind(t, err, fault.Invalid)
}

func TestSameBlobAtTheSameTime(t *testing.T) {
	s := openTest(t, t.TempDir())
	content := bytes.Repeat([]byte("x"), 1<<20)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			d, _, err := s.PutBlob(context.Background(), bytes.NewReader(content), ref.DigestOf(content))
			if err == nil {
				err = s.VerifyBlob(context.Background(), d)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantClean(t, s)
}

// flip changes one byte in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o444); err != nil {
		t.Fatal(err)
	}
}

func TestFlippedByteIsFoundAndHealed(t *testing.T) {
	s := openTest(t, t.TempDir())
	f := put(t, s, "a", []byte("some content"))
	flip(t, s.BlobPath(f.Digest))
	wantKind(t, s.VerifyBlob(t.Context(), f.Digest), fault.Corrupt)
	put(t, s, "a", []byte("some content"))
	if err := s.VerifyBlob(t.Context(), f.Digest); err != nil {
		t.Fatal(err)
	}
}

func TestManifest(t *testing.T) {
	a, b := ref.DigestOf([]byte("a")), ref.DigestOf([]byte("b"))
	for _, c := range []struct {
		name  string
		files []File
		kind  fault.Kind
	}{
		{"empty", nil, ""},
		{"sorted", []File{{"a", a, 1}, {"b/c", b, 1}}, ""},
		{"unsorted", []File{{"b", a, 1}, {"a", b, 1}}, fault.Invalid},
		{"twice", []File{{"a", a, 1}, {"a", b, 1}}, fault.Invalid},
		{"leaves its folder", []File{{"../a", a, 1}}, fault.Invalid},
		{"absolute", []File{{"/a", a, 1}}, fault.Invalid},
		{"file and folder", []File{{"a", a, 1}, {"a-b", a, 1}, {"a/b", b, 1}}, fault.Invalid},
		{"no digest", []File{{"a", "", 1}}, fault.Invalid},
		{"negative", []File{{"a", a, -1}}, fault.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) { wantKind(t, FileManifest{Files: c.files}.Validate(), c.kind) })
	}
	s := openTest(t, t.TempDir())
	m, err := NewManifest([]File{{"z & <ü>", b, 2}, {"a", a, 1}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.PutManifest(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"files":[{"path":"a","digest":"` + string(a) + `","size":1},{"path":"z & <ü>","digest":"` + string(b) + `","size":2}]}`
	if got := string(readAll(t, s, d)); got != want {
		t.Fatalf("canonical form %s, want %s", got, want)
	}
	if got, err := s.GetManifest(t.Context(), d); err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("read back %v %v", got, err)
	}
	_, err = s.GetManifest(t.Context(), put(t, s, "x", []byte(`{"files":[],"more":1}`)).Digest)
	wantKind(t, err, fault.Invalid)
	flip(t, s.BlobPath(d))
	_, err = s.GetManifest(t.Context(), d)
	wantKind(t, err, fault.Corrupt)
	if f, ok := m.Find("a"); !ok || f.Digest != a || m.Size() != 3 {
		t.Fatalf("Find %v %v, Size %d", f, ok, m.Size())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("this is not a database, not at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		kind fault.Kind
	}{
		{"no folder", Options{}, fault.Invalid},
		{"a path that table formats misread", Options{Dir: filepath.Join(dir, "100%")}, fault.Invalid},
		{"history is no database", Options{Dir: filepath.Join(dir, "lake"), HistoryPath: file}, fault.Corrupt},
		{"catalog is no database", Options{Dir: filepath.Join(dir, "lake"), CatalogPath: file}, fault.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.o)
			wantKind(t, err, c.kind)
		})
	}
}
