// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"fathom.dev/fathom/internal/fault"
)

// WriteFile replaces a file in one step: after a crash it holds the old bytes or the new ones, never a part.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return Unwritable(filepath.Dir(path), err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
			err = Unwritable(filepath.Dir(path), err)
		}
	}()
	_, werr := tmp.Write(data)
	if err := errors.Join(werr, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last through a power cut: a key that was used and is gone would be the end of what it encrypted.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Unwritable is the error, of kind Forbidden (or Exhausted when the disk is full), for a directory that cannot be
// written.
func Unwritable(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.New(fault.Exhausted, "kube.Start", "%w", err).WithHint("free space on the disk of %s", dir)
	}
	return fault.New(fault.Forbidden, "kube.Start", "the state directory cannot be written: %w", err).
		WithHint("make %s writable for this user, or choose another state directory", dir)
}
