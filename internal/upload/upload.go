// SPDX-License-Identifier: Apache-2.0

// Package upload remembers which workspace brought which bytes: code bundles, requirements files and pages.
//
// The lake keeps bytes by their digest, once for everybody. A digest alone must not open what another workspace uploaded, so
// an object may name only what its own workspace brought. One empty file stands for one upload:
// <dir>/<workspace>/<digest in hex>; that it is there is all that is known.
package upload

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Ledger is the memory. It is safe for many goroutines.
type Ledger struct {
	dir   string
	fresh bool
}

// Open uses a directory, which is made with mode 0700 when missing. Errors: Unavailable.
func Open(dir string) (*Ledger, error) {
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "upload.Open", err)
	}
	return &Ledger{dir: dir, fresh: errors.Is(missing, fs.ErrNotExist)}, nil
}

// Fresh says that the directory was not there: what was uploaded before is not known.
func (l *Ledger) Fresh() bool { return l.fresh }

// Add remembers an upload, durably. Errors: Invalid for a name that no workspace has, Exhausted when the disk is full,
// Unavailable when it fails.
func (l *Ledger) Add(workspace string, digest ref.Digest) error {
	path, err := l.path(workspace, digest)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err == nil {
		err = syncDir(l.dir)
		if err != nil {
			return fault.Wrap(fault.Unavailable, "upload", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Exhausted, "upload", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(fault.Exhausted, "upload", err)
	}
	return fault.Wrap(fault.Unavailable, "upload", errors.Join(f.Close(), syncDir(dir)))
}

// Check is nil when the workspace brought the bytes. Errors: Invalid when it did not, whether or not another workspace did;
// Unavailable when it could not find out.
func (l *Ledger) Check(workspace, digest string) error {
	d, err := ref.ParseDigest(digest)
	if err != nil {
		return err
	}
	path, err := l.path(workspace, d)
	if err != nil {
		return err
	}
	_, err = os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Invalid, "", "workspace %s has no upload %s", workspace, d.Short()).
			WithHint("apply again with `fathom apply`, which uploads what is missing")
	}
	return fault.Wrap(fault.Unavailable, "upload", err)
}

// Forget forgets a workspace.
func (l *Ledger) Forget(workspace string) error {
	if err := (ref.Name{Workspace: workspace, Name: "x"}).Validate(); err != nil {
		return err
	}
	return fault.Wrap(fault.Unavailable, "upload", os.RemoveAll(filepath.Join(l.dir, workspace)))
}

func (l *Ledger) path(workspace string, digest ref.Digest) (string, error) {
	if err := (ref.Name{Workspace: workspace, Name: "x"}).Validate(); err != nil {
		return "", err
	}
	if _, err := ref.ParseDigest(string(digest)); err != nil {
		return "", err
	}
	return filepath.Join(l.dir, workspace, digest.Hex()), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
