// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/node/isolation"
)

// pin mounts opened sources at places that no container can change, and makes these places the sources. The function
// it returns undoes that; a container that has started keeps its own view.
func pin(c *isolation.Container) (unpin func(), err error) {
	var places []string
	unpin = func() {
		for _, place := range places {
			_ = unix.Unmount(place, unix.MNT_DETACH)
			_ = os.Remove(place)
		}
	}
	c.Mounts = append([]isolation.Mount(nil), c.Mounts...)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if m.Opened == nil {
			continue
		}
		place := filepath.Join(c.Dir, fmt.Sprintf("pin-%d", i))
		if err := makeLike(place, m.Opened); err != nil {
			return unpin, err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", m.Opened.Fd()), place, "", unix.MS_BIND, ""); err != nil {
			return unpin, err
		}
		places, m.Source = append(places, place), place
	}
	return unpin, nil
}

// makeLike makes an empty directory, or file, to mount the opened one on.
func makeLike(place string, opened *os.File) error {
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.Mkdir(place, 0o700)
	}
	return os.WriteFile(place, nil, 0o600)
}

// unmountBelow ends the mounts that a killed run left below dir.
func unmountBelow(dir string) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	var below []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			below = append(below, fields[4])
		}
	}
	for i := len(below) - 1; i >= 0; i-- {
		_ = unix.Unmount(below[i], unix.MNT_DETACH)
	}
}
