// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/node/isolation"
)

// overlay lays a folder of the container's own over the image, which stays as it is: runc makes places to mount on, and the
// container writes, in the upper folder.
func overlay(c isolation.Container, root string) error {
	upper, work := filepath.Join(c.Dir, "upper"), filepath.Join(c.Dir, "work")
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the container's root
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", escape(c.Root), escape(upper), escape(work))
	if err := unix.Mount("overlay", root, "overlay", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("overlay of image root %s: %w (the file system under the state directory must permit overlays)", c.Root, err)
	}
	return nil
}

// escape keeps commas, colons and backslashes of a path from being taken for the mount's own.
func escape(path string) string {
	out := make([]byte, 0, len(path))
	for _, b := range []byte(path) {
		if b == ',' || b == ':' || b == '\\' {
			out = append(out, '\\')
		}
		out = append(out, b)
	}
	return string(out)
}

// liftOverlay ends what overlay began; there may be nothing.
func liftOverlay(c isolation.Container) {
	if c.Root != "" {
		_ = unix.Unmount(filepath.Join(c.Dir, "bundle", "rootfs"), unix.MNT_DETACH)
	}
}
