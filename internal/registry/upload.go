// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
)

const (
	// SessionLife is how long an upload waits for its next bytes.
	SessionLife = 6 * time.Hour
	maxSessions = 200 // of one workspace
)

// Begin starts an upload and returns its secret id. Exhausted: the workspace has too many of them, or no room.
func (s *Store) Begin(ctx context.Context, r Repository) (string, error) {
	if left, err := s.room(ctx, r.Workspace); err != nil {
		return "", err
	} else if left == 0 {
		return "", fault.New(fault.TooLarge, "registry", "workspace %s may store nothing more", r.Workspace).
			WithHint("delete images, or raise spec.quota.storage")
	}
	if err := s.Expire(ctx); err != nil {
		return "", err
	}
	id := strings.ToLower(rand.Text())
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var open int
		if err := tx.QueryRowContext(ctx, "select count(*) from uploads where workspace = ?", r.Workspace).Scan(&open); err != nil {
			return err
		}
		if open >= maxSessions {
			return fault.New(fault.Exhausted, "registry", "workspace %s has %d unfinished uploads", r.Workspace, open).
				WithHint("finish or cancel some; unfinished ones end after %s", SessionLife)
		}
		_, err := tx.ExecContext(ctx, "insert into uploads (id, workspace, name, touched) values (?, ?, ?, ?)", id, r.Workspace, r.Name, s.millis())
		return err
	})
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(s.uploadPath(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", diskFault(err)
	}
	return id, f.Close()
}

func (s *Store) uploadPath(id string) string { return filepath.Join(s.Dir, id) }

// Offset is how many bytes an upload has; NotFound: there is no such upload in this repository, or it ended.
func (s *Store) Offset(ctx context.Context, r Repository, id string) (int64, error) {
	var touched int64
	err := s.db.QueryRowContext(ctx, "select touched from uploads where id = ? and workspace = ? and name = ?", id, r.Workspace, r.Name).Scan(&touched)
	if err != nil {
		return 0, missing(err, "%s has no such upload", r)
	}
	if s.Now().Sub(time.UnixMilli(touched)) > SessionLife {
		return 0, missing(sql.ErrNoRows, "the upload has expired")
	}
	info, err := os.Stat(s.uploadPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, missing(sql.ErrNoRows, "%s has no such upload", r)
	} else if err != nil {
		return 0, diskFault(err)
	}
	return info.Size(), nil
}

// hold makes the caller the only one who writes to an upload; Conflict when somebody else does.
func (s *Store) hold(id string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[id] {
		return nil, fault.New(fault.Conflict, "registry", "the upload is being written to by another request")
	}
	s.busy[id] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, id)
	}, nil
}

// OffsetError is a chunk that does not begin where the upload ends.
type OffsetError struct{ Have int64 }

func (e *OffsetError) Error() string { return "the chunk does not begin where the upload ends" }

// Append adds bytes to an upload and returns how many it then has. A negative at means "at its end"; another at than its
// end is an *OffsetError. When reading fails, the upload is as before.
func (s *Store) Append(ctx context.Context, r Repository, id string, at int64, body io.Reader) (int64, error) {
	release, err := s.hold(id)
	if err != nil {
		return 0, err
	}
	defer release()
	return s.append(ctx, r, id, at, body)
}

func (s *Store) append(ctx context.Context, r Repository, id string, at int64, body io.Reader) (int64, error) {
	have, err := s.Offset(ctx, r, id)
	if err != nil {
		return 0, err
	}
	if at >= 0 && at != have {
		return have, &OffsetError{have}
	}
	left, err := s.room(ctx, r.Workspace)
	if err != nil {
		return have, err
	}
	f, err := os.OpenFile(s.uploadPath(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return have, diskFault(err)
	}
	defer f.Close()
	n, err := io.Copy(f, &bounded{body, left, r.Workspace})
	if err != nil {
		return have, errors.Join(diskFault(err), f.Truncate(have))
	}
	_, err = s.db.ExecContext(ctx, "update uploads set touched = ? where id = ?", s.millis(), id)
	return have + n, sqlFault(err)
}

// Finish adds the last bytes, if any, and makes the upload a blob of the repository. Invalid: its digest is another, and the
// upload is gone. When Finish returns nil, the blob is on disk.
func (s *Store) Finish(ctx context.Context, r Repository, id string, at int64, body io.Reader, expected digest.Digest) error {
	release, err := s.hold(id)
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.append(ctx, r, id, at, body); err != nil {
		return err
	}
	path := s.uploadPath(id)
	if expected.Algorithm() != digest.SHA256 {
		if err := verify(path, expected); err != nil {
			return errors.Join(err, s.forget(ctx, id))
		}
	}
	content, size, err := s.Blobs.AdoptBlob(ctx, path, inLake(expected))
	if err == nil {
		err = s.link(ctx, r, expected, content, size)
	}
	if err == nil || fault.Is(err, fault.Invalid) {
		err = errors.Join(err, s.forget(ctx, id))
	}
	return err
}

func verify(path string, expected digest.Digest) error {
	f, err := os.Open(path)
	if err != nil {
		return diskFault(err)
	}
	defer f.Close()
	verifier := expected.Verifier()
	if _, err := io.Copy(verifier, f); err != nil {
		return diskFault(err)
	}
	if !verifier.Verified() {
		return fault.New(fault.Invalid, "digest", "the content is not %s", expected)
	}
	return nil
}

// Cancel ends an upload; NotFound.
func (s *Store) Cancel(ctx context.Context, r Repository, id string) error {
	release, err := s.hold(id)
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.Offset(ctx, r, id); err != nil {
		return err
	}
	return s.forget(ctx, id)
}

func (s *Store) forget(ctx context.Context, id string) error {
	if err := os.Remove(s.uploadPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskFault(err)
	}
	_, err := s.db.ExecContext(ctx, "delete from uploads where id = ?", id)
	return sqlFault(err)
}

// Expire ends uploads that waited too long.
func (s *Store) Expire(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "select id from uploads where touched < ?", s.Now().Add(-SessionLife).UnixMilli())
	if err != nil {
		return sqlFault(err)
	}
	old, err := column[string](rows)
	if err != nil {
		return err
	}
	for _, id := range old {
		release, err := s.hold(id)
		if err != nil {
			continue // somebody writes to it: it is not old any more
		}
		err = s.forget(ctx, id)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) uploadsOf(ctx context.Context, workspace string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "select id from uploads where workspace = ?", workspace)
	if err != nil {
		return nil, sqlFault(err)
	}
	return column[string](rows)
}

// column reads a list of one column.
func column[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, sqlFault(err)
		}
		out = append(out, v)
	}
	return out, sqlFault(rows.Err())
}

// diskFault gives an error of the file system a kind; one that has a kind keeps it.
func diskFault(err error) error {
	var known *fault.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &fault.Error{Kind: fault.Exhausted, Op: "registry", Hint: "free disk space and try again", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return fault.New(fault.Invalid, "registry", "the request's body ended early")
	}
	return fault.Wrap(fault.Internal, "registry", err)
}
