// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// A backup reads the lake's files while commits go on: what a commit adds is never changed. What would be removed meanwhile is
// kept by a lock of the kernel's on this file, which ends with the process that holds it.
const holdName = "hold"

// Hold keeps everybody from removing anything from the lake in dir, until release is called. Commits go on; [Store.Delete] and
// whatever collects garbage answer Unavailable. Unavailable: ctx ended before a removal did.
func Hold(ctx context.Context, dir string) (release func() error, err error) {
	const op = "lake.Hold"
	f, err := openHold(dir)
	if err != nil {
		return nil, diskFault(op, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(diskFault(op, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fault.Wrap(fault.Unavailable, op, ctx.Err()), f.Close())
		}
	}
}

func openHold(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, holdName), os.O_CREATE|os.O_RDWR, 0o600)
}

// removing must be called before anything is removed that an acknowledged write has made, and its answer after it. Unavailable:
// a backup is being taken.
func (s *Store) removing() (done func() error, err error) {
	f, err := openHold(filepath.Dir(s.blobDir))
	if err != nil {
		return nil, diskFault("lake", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return f.Close, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fault.New(fault.Unavailable, "lake", "a backup is being taken, nothing is removed meanwhile").WithHint("try again when it is done")
	}
	return nil, errors.Join(err, f.Close())
}
