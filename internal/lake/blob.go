// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// PutBlob stores all of r and returns its digest and size in bytes. When expected is not empty and the content has
// another digest, nothing is stored and the error is Invalid; Exhausted means that the disk is full. When PutBlob returns
// the blob is on disk. Putting what is there already is fine, also at the same time, and heals a damaged blob.
func (s *Store) PutBlob(ctx context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error) {
	const op = "lake.PutBlob"
	if expected != "" {
		if _, err := ref.ParseDigest(string(expected)); err != nil {
			return "", 0, err
		}
	}
	f, err := os.CreateTemp(s.tmpDir, "blob-*")
	if err != nil {
		return "", 0, diskFault(op, err)
	}
	defer os.Remove(f.Name()) // gone already when the blob was kept
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), contextReader{ctx, r})
	if err != nil {
		return "", n, diskFault(op, err)
	}
	d := ref.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
	if expected != "" && d != expected {
		return "", n, fault.New(fault.Invalid, op, "the content is %s, not %s", d.Short(), expected.Short())
	}
	if there, err := s.renew(ctx, d, true); there || err != nil {
		return d, n, diskFault(op, err) // it was synced before it got its name
	}
	return d, n, s.keepBlob(f, d)
}

// AdoptBlob takes a file over as a blob, without copying it: the file must lie on the lake's file system, nobody may write to it
// any more, and it is gone from its place afterwards unless the error is not nil. Otherwise it is like PutBlob.
func (s *Store) AdoptBlob(ctx context.Context, path string, expected ref.Digest) (ref.Digest, int64, error) {
	const op = "lake.AdoptBlob"
	if expected != "" {
		if _, err := ref.ParseDigest(string(expected)); err != nil {
			return "", 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", 0, diskFault(op, err)
	}
	defer f.Close()
	d, n, err := ref.DigestFrom(contextReader{ctx, f})
	if err != nil {
		return "", n, diskFault(op, err)
	}
	if expected != "" && d != expected {
		return "", n, fault.New(fault.Invalid, op, "the content is %s, not %s", d.Short(), expected.Short())
	}
	if there, err := s.renew(ctx, d, true); err != nil {
		return "", n, diskFault(op, err)
	} else if there {
		return d, n, diskFault(op, os.Remove(path))
	}
	return d, n, s.keepBlob(f, d)
}

// keepBlob gives the temporary file its final name, durably.
func (s *Store) keepBlob(f *os.File, d ref.Digest) error {
	const op = "lake.PutBlob"
	final := s.BlobPath(d)
	now := s.now()
	if err := errors.Join(f.Chmod(0o444), os.Chtimes(f.Name(), now, now)); err != nil {
		return diskFault(op, err)
	}
	if err := f.Sync(); err != nil {
		return diskFault(op, err)
	}
	s.hook("blob-written")
	dir := filepath.Dir(final)
	if err := makeDir(dir); err != nil {
		return diskFault(op, err)
	}
	s.sweeping.RLock()
	err := os.Rename(f.Name(), final)
	s.sweeping.RUnlock()
	if err != nil {
		return diskFault(op, err)
	}
	s.hook("blob-renamed")
	return diskFault(op, syncDir(dir))
}

// OpenBlob opens a blob for reading and returns its size in bytes; NotFound when there is none, Corrupt when it does not match
// its digest: the first opening in a process reads it whole, so that damaged bytes are never served. The caller closes.
func (s *Store) OpenBlob(ctx context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error) {
	f, info, err := s.openFile(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	if err := s.verified(ctx, f, info, d); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (s *Store) openFile(ctx context.Context, d ref.Digest) (*os.File, os.FileInfo, error) {
	const op = "lake.OpenBlob"
	if err := checkDigest(ctx, d); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(s.BlobPath(d))
	if err != nil {
		return nil, nil, s.blobFault(op, d, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, diskFault(op, err)
	}
	return f, info, nil
}

// StatBlob returns a blob's size in bytes; NotFound when there is none.
func (s *Store) StatBlob(ctx context.Context, d ref.Digest) (int64, error) {
	if err := checkDigest(ctx, d); err != nil {
		return 0, err
	}
	info, err := os.Stat(s.BlobPath(d))
	if err != nil {
		return 0, s.blobFault("lake.StatBlob", d, err)
	}
	return info.Size(), nil
}

// BlobPath is where the blob's file is, or would be, for readers on the same machine. It is read-only for everyone.
// d must be a valid digest.
func (s *Store) BlobPath(d ref.Digest) string {
	h := d.Hex()
	return filepath.Join(s.blobDir, "sha256", h[:2], h)
}

// VerifyBlob reads the whole blob: Corrupt when it does not match its digest, NotFound when it is missing.
func (s *Store) VerifyBlob(ctx context.Context, d ref.Digest) error {
	f, _, err := s.openFile(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	got, _, err := ref.DigestFrom(contextReader{ctx, f})
	if err != nil {
		return fault.Wrap(fault.Internal, "lake.VerifyBlob", err)
	}
	if got != d {
		return corrupt("lake.VerifyBlob", d)
	}
	return nil
}

func checkDigest(ctx context.Context, d ref.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := ref.ParseDigest(string(d))
	return err
}

func corrupt(op string, d ref.Digest) error {
	return fault.New(fault.Corrupt, op, "blob %s does not match its digest", d.Hex()).
		WithHint("restore it from a backup, or replay what made it")
}

func (s *Store) blobFault(op string, d ref.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, op, "there is no blob %s", d.Hex())
	}
	return diskFault(op, err)
}

// diskFault tells a full disk from other failures; nil stays nil.
func diskFault(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &fault.Error{Kind: fault.Exhausted, Op: op, Hint: "free disk space and try again", Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Unavailable, op, err)
	}
	return fault.Wrap(fault.Internal, op, err)
}

// makeDir makes a folder and its parents, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// contextReader stops a copy when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
