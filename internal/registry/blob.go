// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"database/sql"
	"io"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Stat returns the lake's digest and the size of a blob of the repository; NotFound when this repository does not hold it,
// even if another one does.
func (s *Store) Stat(ctx context.Context, r Repository, d digest.Digest) (ref.Digest, int64, error) {
	var content string
	var size int64
	err := s.db.QueryRowContext(ctx, "select content, size from blobs where workspace = ? and name = ? and digest = ?",
		r.Workspace, r.Name, string(d)).Scan(&content, &size)
	return ref.Digest(content), size, missing(err, "%s holds no blob %s", r, d)
}

// Put stores all of body as a blob of the repository, in one go. Invalid: it has another digest, and nothing is kept.
func (s *Store) Put(ctx context.Context, r Repository, body io.Reader, expected digest.Digest) error {
	left, err := s.room(ctx, r.Workspace)
	if err != nil {
		return err
	}
	verifier := expected.Verifier()
	content, size, err := s.Blobs.PutBlob(ctx, io.TeeReader(&bounded{body, left, r.Workspace}, verifier), inLake(expected))
	if err != nil {
		return err
	}
	if !verifier.Verified() { // only for algorithms that the lake does not check itself
		return fault.New(fault.Invalid, "digest", "the content is not %s", expected)
	}
	return s.link(ctx, r, expected, content, size)
}

// inLake is the digest that the lake is told to expect: "" when it names blobs otherwise.
func inLake(d digest.Digest) ref.Digest {
	if d.Algorithm() == digest.SHA256 {
		return ref.Digest(d)
	}
	return ""
}

// link makes a blob of the lake one of the repository.
func (s *Store) link(ctx context.Context, r Repository, d digest.Digest, content ref.Digest, size int64) error {
	_, err := s.db.ExecContext(ctx, `insert into blobs (workspace, name, digest, content, size, linked) values (?, ?, ?, ?, ?, ?)
		on conflict do update set linked = excluded.linked`, r.Workspace, r.Name, string(d), string(content), size, s.millis())
	return sqlFault(err)
}

// Mount makes a blob of another repository one of this one, without copying. An empty from means any repository of the same
// workspace. NotFound when there is no such blob. The caller has decided that the user may read from.
func (s *Store) Mount(ctx context.Context, r Repository, d digest.Digest, from Repository) error {
	if from == (Repository{}) {
		from.Workspace = r.Workspace
	}
	result, err := s.db.ExecContext(ctx, `insert into blobs (workspace, name, digest, content, size, linked)
		select ?, ?, digest, content, size, ? from blobs where workspace = ? and digest = ? and (? = '' or name = ?) limit 1
		on conflict do update set linked = excluded.linked`,
		r.Workspace, r.Name, s.millis(), from.Workspace, string(d), from.Name, from.Name)
	if err != nil {
		return sqlFault(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return missing(sql.ErrNoRows, "%s holds no blob %s", from, d)
	}
	return nil
}

// DeleteBlob takes a blob from the repository. NotFound: it is not there; Conflict: a manifest of the repository needs it.
func (s *Store) DeleteBlob(ctx context.Context, r Repository, d digest.Digest) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var manifest string
		err := tx.QueryRowContext(ctx, "select manifest from parts where workspace = ? and name = ? and digest = ? limit 1",
			r.Workspace, r.Name, string(d)).Scan(&manifest)
		if err == nil {
			return fault.New(fault.Conflict, "registry", "manifest %s of %s needs the blob", manifest, r).WithHint("delete the manifest first")
		} else if err != sql.ErrNoRows {
			return err
		}
		result, err := tx.ExecContext(ctx, "delete from blobs where workspace = ? and name = ? and digest = ?", r.Workspace, r.Name, string(d))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return missing(sql.ErrNoRows, "%s holds no blob %s", r, d)
		}
		return nil
	})
}

// bounded refuses to read more than the workspace may store.
type bounded struct {
	r         io.Reader
	left      int64
	workspace string
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		p = p[:b.left+1] // one byte more, to notice that there is one
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fault.New(fault.TooLarge, "registry", "this is more than workspace %s may still store", b.workspace).
			WithHint("delete images, or raise spec.quota.storage")
	}
	return n, err
}
