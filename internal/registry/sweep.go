// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"time"

	"fathom.dev/fathom/internal/ref"
)

// Drop forgets uploads that ended, and blobs that have been in their repository for so long without a manifest that names them.
// A manifest that is pushed afterwards names a blob that is not there, and is refused.
func (s *Store) Drop(ctx context.Context, grace time.Duration) error {
	if err := s.Expire(ctx); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, `delete from blobs where linked < ? and not exists (
		select 1 from parts p where p.workspace = blobs.workspace and p.name = blobs.name and p.digest = blobs.digest)`,
		s.Now().Add(-grace).UnixMilli())
	return sqlFault(err)
}

// Contents calls keep with the lake's digest of every blob and manifest of every repository.
func (s *Store) Contents(ctx context.Context, keep func(ref.Digest)) error {
	rows, err := s.db.QueryContext(ctx, "select content from blobs union select content from manifests")
	if err != nil {
		return sqlFault(err)
	}
	all, err := column[ref.Digest](rows)
	for _, d := range all {
		keep(d)
	}
	return err
}
