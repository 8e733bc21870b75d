// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// TestWriteAndUnpack: the file still runs as the program that it begins with, and what is behind it comes out once, whole.
func TestWriteAndUnpack(t *testing.T) {
	dir := t.TempDir()
	program, server := filepath.Join(dir, "fathom"), filepath.Join(dir, "fathom-server")
	binary, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no program true")
	}
	content := bytes.Repeat([]byte("the server "), 100_000)
	var all bytes.Buffer
	if err := os.WriteFile(server, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(&all, binary, []string{server}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, all.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(program).Run(); err != nil {
		t.Errorf("it does not run: %v", err)
	}
	state := filepath.Join(dir, "state", "bin")
	folder, err := Unpack(program, state)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "fathom-server"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("unpacked %d bytes, %v", len(got), err)
	}
	info, err := os.Stat(filepath.Join(folder, "fathom-server"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := Unpack(program, state); err != nil || again != folder {
		t.Errorf("again: %s, %v", again, err)
	}
	if entries, _ := os.ReadDir(state); len(entries) != 1 {
		t.Errorf("it left %v", entries)
	}
}

// TestDamage: nothing is used of a file that is not whole.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if err := Write(&all, file, []string{file}); err != nil {
		t.Fatal(err)
	}
	whole := all.Bytes()
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   fault.Kind
	}{
		{"no archive", func([]byte) []byte { return bytes.Repeat([]byte("y"), 500) }, fault.NotFound},
		{"too short", func(b []byte) []byte { return b[:10] }, fault.NotFound},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, fault.NotFound},
		{"a flipped bit in the archive", func(b []byte) []byte { b[120] ^= 1; return b }, fault.Corrupt},
		{"a flipped bit in the digest", func(b []byte) []byte { b[len(b)-trailerSize] ^= 1; return b }, fault.Corrupt},
		{"longer than the file", func(b []byte) []byte { b[len(b)-len(mark)-7] = 1; return b }, fault.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fathom")
			if err := os.WriteFile(path, c.change(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			state := filepath.Join(t.TempDir(), "bin")
			if folder, err := Unpack(path, state); !fault.Is(err, c.want) {
				t.Errorf("%q, %v, want %s", folder, err, c.want)
			}
			if entries, _ := os.ReadDir(state); len(entries) != 0 {
				t.Errorf("it left %v", entries)
			}
		})
	}
}
