// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// Damaged bytes are found when they are read, not served; whether they were read before does not matter.
func TestDamagedBlobIsNeverServed(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	v := commit(t, s, second(t, s))
	files, err := s.Files(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	d := files[0].Digest
	for range 2 {
		if err := s.CheckBlob(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	flip(t, s.BlobPath(d))
	_, _, err = s.OpenBlob(t.Context(), d)
	wantKind(t, err, fault.Corrupt)
	wantKind(t, s.CheckBlob(t.Context(), d), fault.Corrupt)
	s.Close()
	s = openTest(t, dir)
	_, _, err = s.OpenBlob(t.Context(), d)
	wantKind(t, err, fault.Corrupt)
	_, err = s.Schema(t.Context(), v)
	if err != nil {
		t.Errorf("the schema of a damaged version: %v", err)
	}
	flip(t, s.BlobPath(v.Manifest))
	_, err = s.Files(t.Context(), v)
	wantKind(t, err, fault.Corrupt)
}
