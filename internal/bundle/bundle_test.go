// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

func write(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Pack(&b, dir); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameFilesSameBytes(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "train.py", "print(1)", 0o644)
	write(t, a, "lib/run.sh", "#!/bin/sh", 0o755)
	write(t, b, "lib/run.sh", "#!/bin/sh", 0o700)
	write(t, b, "train.py", "print(1)", 0o600)
	write(t, b, "__pycache__/train.pyc", "junk", 0o600)
	if err := os.Chtimes(filepath.Join(b, "train.py"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pack(t, a), pack(t, b)) {
		t.Error("equal folders gave different bundles")
	}
	out := t.TempDir()
	root, err := os.OpenRoot(out)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Unpack(root, bytes.NewReader(pack(t, a))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(out, "lib/run.sh"))
	if err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("run.sh: %v %v, want executable", info, err)
	}
}

func TestPackRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if err := Pack(&bytes.Buffer{}, dir); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v, want Invalid", err)
	}
	if err := Pack(&bytes.Buffer{}, dir+"/none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v, want NotFound", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	tests := []struct {
		name    string
		headers []tar.Header
		want    fault.Kind
	}{
		{"parent", []tar.Header{{Name: "../x", Typeflag: tar.TypeReg}}, fault.Invalid},
		{"absolute", []tar.Header{{Name: "/x", Typeflag: tar.TypeReg}}, fault.Invalid},
		{"unclean", []tar.Header{{Name: "a//b", Typeflag: tar.TypeReg}}, fault.Invalid},
		{"backslash", []tar.Header{{Name: `..\x`, Typeflag: tar.TypeReg}}, fault.Invalid},
		{"symlink", []tar.Header{{Name: "x", Linkname: "/etc", Typeflag: tar.TypeSymlink}}, fault.Invalid},
		{"hard link", []tar.Header{{Name: "x", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}}, fault.Invalid},
		{"device", []tar.Header{{Name: "x", Typeflag: tar.TypeChar}}, fault.Invalid},
		{"twice", []tar.Header{{Name: "x", Typeflag: tar.TypeReg}, {Name: "x", Typeflag: tar.TypeReg}}, fault.Invalid},
		{"bomb", []tar.Header{{Name: "x", Typeflag: tar.TypeReg, Size: 10 << 30}}, fault.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range tt.headers {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			w.Flush()
			dir := t.TempDir()
			root, err := os.OpenRoot(filepath.Join(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if err := Unpack(root, &b); !fault.Is(err, tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
