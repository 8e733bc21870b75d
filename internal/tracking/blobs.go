// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"

	"fathom.dev/fathom/internal/ref"
)

// Blobs calls keep with the digest of every artifact of every workspace.
func (s *Store) Blobs(ctx context.Context, keep func(ref.Digest)) error {
	rows, err := s.pool.with(ctx).rows("SELECT DISTINCT digest FROM artifacts")
	if err != nil {
		return storeError("tracking.Blobs", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d ref.Digest
		if err := rows.Scan(&d); err != nil {
			return storeError("tracking.Blobs", err)
		}
		keep(d)
	}
	return storeError("tracking.Blobs", rows.Err())
}
