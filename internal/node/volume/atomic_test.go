// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"os"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

func TestWriteReplacesAllAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, files := range []map[string]string{
		{"a": "1", "deep/er/b": "2"}, {"a": "1", "deep/er/b": "2"}, {"a": "changed"}, {}, {"b": "back", "c/d": "x"},
	} {
		content := map[string]File{}
		for name, text := range files {
			content[name] = File{Data: []byte(text), Mode: 0o640}
		}
		if err := Write(dir, content, -1); err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != want {
				t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
			}
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm() != 0o640 {
				t.Errorf("%s has mode %o", name, info.Mode().Perm())
			}
		}
		visible, _ := filepath.Glob(filepath.Join(dir, "[^.]*"))
		hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
		tops := map[string]bool{}
		for name := range files {
			tops[name[:1]] = true
		}
		if len(visible) != len(tops) || len(hidden) != 2 {
			t.Errorf("after %v the directory shows %v and hides %v", files, visible, hidden)
		}
	}
}

func TestWriteKeepsToItsDirectory(t *testing.T) {
	for _, name := range []string{"../x", "/x", "..data", "a/../../x", "", ".", "..x"} {
		if err := Write(t.TempDir(), map[string]File{name: {}}, -1); !fault.Is(err, fault.Invalid) {
			t.Errorf("name %q: %v; want Invalid", name, err)
		}
	}
}
