// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
)

// forEverybody tells why the containers' user could not run what lies in dir: programs that were built or copied with a
// strict umask.
func forEverybody(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.Wrap(fault.Forbidden, "node.sandbox: programs", err)
	}
	paths := []string{dir}
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue // a link to nothing harms nobody
		}
		owner, others := info.Mode().Perm()>>6&0o5, info.Mode().Perm()&0o5
		if owner&^others != 0 {
			return fault.New(fault.Forbidden, "node.sandbox", "pods run as an unprivileged user, who may not use %s (mode %o)", path, info.Mode().Perm()).
				WithHint("chmod -R a+rX %s", dir)
		}
	}
	return nil
}
