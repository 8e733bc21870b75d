// SPDX-License-Identifier: Apache-2.0

package source

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestListAndOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "neuro/inbox/voice/b.csv"), "b")
	write(t, filepath.Join(dir, "neuro/inbox/voice/a.csv"), "a")
	write(t, filepath.Join(dir, "neuro/inbox/voice/.part.csv"), "x")
	write(t, filepath.Join(dir, "neuro/inbox/scans/p1/1.dcm"), "d")
	write(t, filepath.Join(dir, "other/inbox/voice/c.csv"), "c")
	if err := os.Symlink(filepath.Join(dir, "other/inbox/voice/c.csv"), filepath.Join(dir, "neuro/inbox/voice/link.csv")); err != nil {
		t.Fatal(err)
	}
	x := New(dir)
	for _, c := range []struct {
		pattern string
		want    []string
	}{
		{"inbox/voice/*.csv", []string{"inbox/voice/a.csv", "inbox/voice/b.csv"}},
		{"inbox/scans/**", []string{"inbox/scans/p1/1.dcm"}},
		{"nothing/*", nil},
	} {
		files, err := x.List(t.Context(), "neuro", c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, f := range files {
			keys = append(keys, f.Key)
		}
		if len(keys) != len(c.want) {
			t.Fatalf("%s: got %v, want %v", c.pattern, keys, c.want)
		}
		for i := range keys {
			if keys[i] != c.want[i] {
				t.Errorf("%s: got %v, want %v", c.pattern, keys, c.want)
			}
		}
	}
	files, _ := x.List(t.Context(), "neuro", "inbox/voice/*.csv")
	f, size, err := New(dir).Open(t.Context(), files[0].Digest) // as after a restart
	if err != nil || size != 1 {
		t.Fatalf("Open: %d bytes, %v", size, err)
	}
	content, _ := io.ReadAll(f)
	f.Close()
	if string(content) != "a" {
		t.Errorf("got %q", content)
	}
}

func TestAChangedFileDoesNotOpenUnderItsOldDigest(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "neuro/inbox/a.csv")
	write(t, path, "old")
	x := New(dir)
	before, err := x.List(t.Context(), "neuro", "inbox/*.csv")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "newer")
	if err := os.Chtimes(path, time.Time{}, before[0].Modified.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Open(t.Context(), before[0].Digest); !fault.Is(err, fault.NotFound) {
		t.Errorf("Open of the old digest: %v, want NotFound", err)
	}
	after, err := x.List(t.Context(), "neuro", "inbox/*.csv")
	if err != nil || after[0].Digest == before[0].Digest {
		t.Errorf("the digest did not change: %v, %v", after, err)
	}
}

func TestBadPattern(t *testing.T) {
	if _, err := New(t.TempDir()).List(t.Context(), "neuro", "inbox/[a"); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
}
