// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// paxAttribute is how tar programs name extended attributes.
const paxAttribute = "SCHILY.xattr."

// attributes reads the extended attributes that belong to users; none where the file system has none.
func attributes(f *os.File) map[string]string {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), list)
	if err != nil || n <= 0 {
		return nil
	}
	out := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		value := make([]byte, 64<<10)
		if n, err := unix.Fgetxattr(int(f.Fd()), name, value); err == nil {
			out[paxAttribute+name] = string(value[:n])
		}
	}
	return out
}

// setAttributes gives a restored file its extended attributes. A file system without them keeps the bytes alone.
func setAttributes(f *os.File, records map[string]string) error {
	for key, value := range records {
		name, ok := strings.CutPrefix(key, paxAttribute)
		if !ok || !strings.HasPrefix(name, "user.") {
			continue
		}
		err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return nil
}
