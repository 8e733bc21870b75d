// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzUnpack: whatever a tar says, nothing is written outside the folder, and what is unpacked can be packed again.
func FuzzUnpack(f *testing.F) {
	for _, h := range []tar.Header{
		{Name: "a/b.py", Typeflag: tar.TypeReg, Size: 2}, {Name: "../x", Typeflag: tar.TypeReg, Size: 2}, {Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		{Name: "a", Typeflag: tar.TypeLink, Linkname: "../x"}, {Name: "/x", Typeflag: tar.TypeReg, Size: 2}, {Name: "a/", Typeflag: tar.TypeDir},
		{Name: "s", Typeflag: tar.TypeGNUSparse, Size: 1 << 40},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if w.WriteHeader(&h) == nil && h.Size == 2 {
			_, _ = w.Write([]byte("hi"))
		}
		_ = w.Close()
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		outer := t.TempDir()
		inner := filepath.Join(outer, "in")
		if err := os.Mkdir(inner, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inner)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		err = Unpack(root, bytes.NewReader(content))
		if left, _ := os.ReadDir(outer); len(left) != 1 {
			t.Fatalf("it left %v outside", left)
		}
		if err == nil {
			if err := Pack(&bytes.Buffer{}, inner); err != nil {
				t.Errorf("what was unpacked cannot be packed: %v", err)
			}
		}
	})
}
