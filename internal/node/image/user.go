// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"fathom.dev/fathom/internal/fault"
)

// User is who an image wants to run as.
type User struct {
	UID, GID uint32
	Group    bool   // GID is known
	Home     string // "" where the image does not tell
}

// User reads "user[:group]" of the configuration, names through the image's own files. False: the image does not say.
// Invalid: a name that the image does not know. The files are read inside of the image, wherever links lead.
func (i Image) User() (u User, said bool, err error) {
	if i.Config.User == "" {
		return User{}, false, nil
	}
	name, group, grouped := strings.Cut(i.Config.User, ":")
	uid, err := strconv.ParseUint(name, 10, 31)
	entry := i.entry("etc/passwd", func(f []string) bool { return len(f) > 5 && (f[0] == name || err == nil && f[2] == name) })
	switch {
	case entry != nil:
		if uid, err = strconv.ParseUint(entry[2], 10, 31); err != nil {
			return User{}, false, i.unknown("user", name)
		}
		u.Home = entry[5]
		if gid, err := strconv.ParseUint(entry[3], 10, 31); err == nil {
			u.GID, u.Group = uint32(gid), true
		}
	case err != nil:
		return User{}, false, i.unknown("user", name)
	}
	u.UID = uint32(uid)
	if !grouped {
		return u, true, nil
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		entry := i.entry("etc/group", func(f []string) bool { return len(f) > 2 && f[0] == group })
		if entry == nil {
			return User{}, false, i.unknown("group", group)
		}
		if gid, err = strconv.ParseUint(entry[2], 10, 31); err != nil {
			return User{}, false, i.unknown("group", group)
		}
	}
	u.GID, u.Group = uint32(gid), true
	return u, true, nil
}

func (i Image) unknown(what, name string) error {
	return fault.New(fault.Invalid, "image "+i.ID, "it wants to run as the %s %.60q, which it does not know", what, name).WithHint("set runAsUser and runAsGroup in the pod's securityContext")
}

// entry finds a line of a file of the image, split at its colons.
func (i Image) entry(path string, wanted func([]string) bool) []string {
	root, err := os.OpenRoot(i.Root)
	if err != nil {
		return nil
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(path), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); wanted(fields) {
			return fields
		}
	}
	return nil
}
