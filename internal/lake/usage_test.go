// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"fmt"
	"testing"

	"fathom.dev/fathom/internal/ref"
)

func TestBytes(t *testing.T) {
	s := openTest(t, t.TempDir())
	var want int64
	for i := range 3 {
		r := request(t, fmt.Sprint("fp", i), put(t, s, "data.parquet", parquetOf(t, ints("x", i))))
		want += commit(t, s, r).Bytes
	}
	name := request(t, "x").Name
	for workspace, bytes := range map[string]int64{name.Workspace: want, "other": 0} {
		if got, err := s.Bytes(t.Context(), workspace); err != nil || got != bytes {
			t.Errorf("Bytes(%s) = %d, %v; want %d", workspace, got, err, bytes)
		}
	}
	if err := s.Delete(t.Context(), ref.Name{Workspace: name.Workspace, Name: name.Name}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Bytes(t.Context(), name.Workspace); err != nil || got != 0 {
		t.Errorf("after Delete: %d, %v", got, err)
	}
}
