// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An environment has thousands of files, and waiting until they are on the disk would keep whoever needs it waiting. So it is
// used at once and written through in the background; a mark beside it says when that is done. A kill loses nothing. After a
// power cut, which is another boot of the machine, an environment without its mark may have holes: it is removed and built again.

const bootFile = ".boot"

func (b *Builder) markPath(name string) string { return filepath.Join(b.Dir, ".whole-"+name) }

// settle writes an environment through and marks it.
func (b *Builder) settle(name string) {
	dir, err := os.Open(b.Dir)
	if err != nil {
		return
	}
	defer dir.Close()
	if unix.Syncfs(int(dir.Fd())) == nil {
		_ = os.WriteFile(b.markPath(name), nil, 0o600) // without it, it is built again after a power cut
	}
}

// Settled waits until all environments that were built are written through and marked.
func (b *Builder) Settled() { b.settling.Wait() }

// distrust removes what an earlier boot of the machine may not have written through.
func (b *Builder) distrust() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil //nolint:nilerr // a system that does not tell: what is there is taken as whole
	}
	last, err := os.ReadFile(filepath.Join(b.Dir, bootFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk(err)
	}
	if string(last) == string(boot) {
		return nil
	}
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return disk(err)
	}
	for _, e := range entries {
		if !e.IsDir() || !finishedPattern.MatchString(e.Name()) || len(last) == 0 { // made before marks were, or nothing
			continue
		}
		if _, err := os.Stat(b.markPath(e.Name())); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := b.discard(e.Name()); err != nil {
			return disk(err)
		}
	}
	return disk(os.WriteFile(filepath.Join(b.Dir, bootFile), boot, 0o600))
}

// discard removes an environment, whose folders are read-only.
func (b *Builder) discard(name string) error {
	path := filepath.Join(b.Dir, name)
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}
