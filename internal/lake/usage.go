// SPDX-License-Identifier: Apache-2.0

package lake

import "context"

// Bytes is what all versions of a workspace's datasets hold together, in bytes. Files that versions share count for each.
func (s *Store) Bytes(ctx context.Context, workspace string) (int64, error) {
	var sum int64
	err := s.history.QueryRowContext(ctx, `select coalesce(sum(json_extract(cast(record as text), '$.bytes')), 0)
		from versions where workspace = ?`, workspace).Scan(&sum)
	return sum, sqlFault(err)
}
