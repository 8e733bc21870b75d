// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLine: what is accepted as a line is exactly what the log would write.
func FuzzLine(f *testing.F) {
	e := entry(1)
	line, err := e.seal(1, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"seq":1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parse(b)
		if err != nil {
			return
		}
		if again, err := e.seal(e.Seq, e.Prev); err != nil || !bytes.Equal(again, append(bytes.Clone(b), '\n')) {
			t.Errorf("%q was accepted as %q", b, again)
		}
	})
}

// FuzzSegment: no bytes on disk bring the reader down.
func FuzzSegment(f *testing.F) {
	f.Add([]byte("{}\n\x00\n"), []byte("{}\n"))
	f.Fuzz(func(t *testing.T, segment, marks []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{firstSegment: segment, "checkpoints": marks, "key.pub": []byte("00")} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = Verify(dir)
		if l, err := Open(Options{Dir: dir}); err == nil {
			_, _ = l.Tail(t.Context(), Filter{}, 5)
			_ = l.Close()
		}
	})
}
