// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Blobs keeps bytes by digest, durably, whoever refers to them.
type Blobs interface {
	// PutBlob stores all of r and returns its digest and size.
	PutBlob(ctx context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error)
	// AdoptBlob takes a file over as a blob: it is gone from its place afterwards.
	AdoptBlob(ctx context.Context, path string, expected ref.Digest) (ref.Digest, int64, error)
	OpenBlob(ctx context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error)
}

// Options configures [Open]. Path, Dir and Blobs are required.
type Options struct {
	Path  string // the database, a SQLite file
	Dir   string // holds what is being uploaded; on the file system of the blobs, so that nothing is copied
	Blobs Blobs
	// Room is how many more bytes a workspace may store. Nil: as many as the disk holds.
	Room func(ctx context.Context, workspace string) (int64, error)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// Store is an open registry. Its methods may be called concurrently; one process at a time may hold it.
type Store struct {
	Options
	db *sql.DB

	mu   sync.Mutex
	busy map[string]bool // uploads that somebody writes to
}

const schemaVersion = 1

const schema = `
create table blobs (
  workspace text not null, name text not null, digest text not null, -- as clients name it: sha256 or sha512
  content text not null, size integer not null,                     -- the blob of the lake; bytes
  linked integer not null,                                           -- milliseconds since 1970
  primary key (workspace, name, digest)) without rowid;
create index blobs_digest on blobs (workspace, digest);
create table manifests (
  workspace text not null, name text not null, digest text not null, content text not null, size integer not null,
  media_type text not null, artifact_type text not null, subject text not null, annotations text not null, pushed integer not null,
  primary key (workspace, name, digest)) without rowid;
create index manifests_subject on manifests (workspace, name, subject, digest) where subject <> '';
create table parts ( -- what a manifest names
  workspace text not null, name text not null, manifest text not null, digest text not null,
  primary key (workspace, name, manifest, digest),
  foreign key (workspace, name, manifest) references manifests on delete cascade) without rowid;
create index parts_digest on parts (workspace, name, digest);
create table tags (
  workspace text not null, name text not null, tag text not null, digest text not null, updated integer not null,
  primary key (workspace, name, tag),
  foreign key (workspace, name, digest) references manifests on delete cascade) without rowid;
create index tags_digest on tags (workspace, name, digest);
create table uploads (
  id text primary key, workspace text not null, name text not null, touched integer not null) without rowid;
create index uploads_workspace on uploads (workspace);
`

// Open opens or makes the registry. Corrupt: the database cannot be read; Conflict: a newer program wrote it.
func Open(o Options) (*Store, error) {
	const op = "registry.Open"
	if o.Path == "" || o.Dir == "" || o.Blobs == nil {
		return nil, fault.New(fault.Internal, op, "Path, Dir and Blobs are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, op, err)
	}
	q := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"10000"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(o.Path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite3", u.String())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, op, err)
	}
	if err := migrate(db, o.Path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{Options: o, db: db, busy: map[string]bool{}}, nil
}

func migrate(db *sql.DB, path string) error {
	const op = "registry.Open"
	var have int
	if err := db.QueryRow("pragma user_version").Scan(&have); err != nil {
		return fault.New(fault.Corrupt, op, "%s cannot be opened: %w", path, err).WithHint("restore it from a backup")
	}
	if have > schemaVersion {
		return fault.New(fault.Conflict, op, "%s was written by a newer Fathom (%d)", path, have).WithHint("use that one")
	}
	if have == schemaVersion {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fault.Wrap(fault.Unavailable, op, err)
	}
	tx, err := db.Begin()
	if err != nil {
		return sqlFault(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if _, err := tx.Exec(schema + "pragma user_version = 1;"); err != nil {
		return sqlFault(err)
	}
	return sqlFault(tx.Commit())
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return sqlFault(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if err := do(tx); err != nil {
		return sqlFault(err)
	}
	return sqlFault(tx.Commit())
}

// sqlFault gives an error of SQLite a kind; one that has a kind keeps it.
func sqlFault(err error) error {
	var known *fault.Error
	var broken sqlite3.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &broken) && (broken.Code == sqlite3.ErrCorrupt || broken.Code == sqlite3.ErrNotADB):
		return fault.Wrap(fault.Corrupt, "registry", err)
	case errors.As(err, &broken) && broken.Code == sqlite3.ErrFull:
		return &fault.Error{Kind: fault.Exhausted, Op: "registry", Hint: "free disk space and try again", Err: err}
	}
	return fault.Wrap(fault.KindOf(err), "registry", err)
}

// missing turns "no rows" into NotFound.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "registry", format, args...)
	}
	return sqlFault(err)
}

func (s *Store) millis() int64 { return s.Now().UnixMilli() }

// Bytes is what the repositories of a workspace hold, in bytes: each blob once, with what is being uploaded.
func (s *Store) Bytes(ctx context.Context, workspace string) (int64, error) {
	var sum int64
	err := s.db.QueryRowContext(ctx, `select coalesce(sum(size), 0) from (
		select content, size from blobs where workspace = ?1 union select content, size from manifests where workspace = ?1)`, workspace).Scan(&sum)
	if err != nil {
		return 0, sqlFault(err)
	}
	ids, err := s.uploadsOf(ctx, workspace)
	for _, id := range ids {
		if info, err := os.Stat(s.uploadPath(id)); err == nil {
			sum += info.Size()
		}
	}
	return sum, err
}

// room is how many more bytes the workspace may store; Exhausted when there are none.
func (s *Store) room(ctx context.Context, workspace string) (int64, error) {
	if s.Room == nil {
		return 1 << 62, nil
	}
	left, err := s.Room(ctx, workspace)
	if err != nil {
		return 0, err
	}
	return max(left, 0), nil
}
