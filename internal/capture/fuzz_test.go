// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"os"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/ref"
)

// FuzzRecover: whatever a crash left in a growing segment, the store opens, and what it seals matches its digest.
func FuzzRecover(f *testing.F) {
	f.Add([]byte(`{"request_id":"a","row":0}` + "\n" + `{"request_id":"b`))
	f.Add([]byte("\x00\x00\n\n{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		folder := filepath.Join(dir, "w", "e")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, growing(1)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), ref.Name{Workspace: "w", Name: "e"}, Record{RequestID: "x", Rows: 1}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, damage, err := Verify(dir); err != nil || len(damage) > 0 {
			t.Errorf("sealed %+v, %v", damage, err)
		}
	})
}
