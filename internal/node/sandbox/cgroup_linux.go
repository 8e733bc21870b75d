// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupRoot is where the kernel's control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// cgroups is the node's place in the host's control groups: one parent group, in each hierarchy of version 1 or in the
// only one of version 2.
type cgroups struct {
	name    string // of the parent group, below each hierarchy
	unified bool   // version 2
	err     error  // why limits cannot be set
}

func findCgroups(dir string) cgroups {
	sum := sha256.Sum256([]byte(dir))
	c := cgroups{name: "fathom-" + hex.EncodeToString(sum[:4])}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		c.unified = true
	}
	for _, parent := range c.parents("memory") {
		if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // a control group
			c.err = err
		}
	}
	return c
}

// parents lists the directories of the parent group, in one hierarchy of version 1 or (controller "") in all.
func (c cgroups) parents(controller string) []string {
	if c.unified {
		return []string{filepath.Join(cgroupRoot, c.name)}
	}
	if controller == "" {
		controller = "*"
	}
	found, _ := filepath.Glob(filepath.Join(cgroupRoot, controller))
	for i := range found {
		found[i] = filepath.Join(found[i], c.name)
	}
	return found
}

func (r *Runtime) cgroupPath(pod, container string) string {
	if r.cgroups.err != nil {
		return ""
	}
	return "/" + filepath.Join(r.cgroups.name, pod, container)
}

// outOfMemory tells whether the kernel killed a process of the container for its memory limit.
func (c cgroups) outOfMemory(pod, container string) bool {
	file := "memory.oom_control"
	if c.unified {
		file = "memory.events"
	}
	for _, parent := range c.parents("memory") {
		if counter(filepath.Join(parent, pod, container, file), "oom_kill") > 0 {
			return true
		}
	}
	return false
}

// counter reads a value from a file of lines "name value"; 0 when there is none.
func counter(file, name string) int {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, _ := strconv.Atoi(value)
			return n
		}
	}
	return 0
}

// removePod removes the groups of a pod that has ended. A command of an exec may be about to end in one of them.
func (c cgroups) removePod(pod string) {
	for try := range 10 {
		if try > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		left := false
		for _, parent := range c.parents("") {
			left = !removeGroup(filepath.Join(parent, pod)) || left
		}
		if !left {
			return
		}
	}
}

// removeGroup removes a group and those in it, and tells whether it is gone.
func removeGroup(dir string) bool {
	inner, _ := os.ReadDir(dir)
	for _, e := range inner {
		if e.IsDir() {
			removeGroup(filepath.Join(dir, e.Name()))
		}
	}
	err := os.Remove(dir)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// removePods ends and removes all pods' groups except some.
func (c cgroups) removePods(except []string) {
	pods := map[string]bool{}
	for _, parent := range c.parents("") {
		entries, _ := os.ReadDir(parent)
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(except, e.Name()) {
				pods[e.Name()] = true
			}
		}
	}
	for pod := range pods {
		c.killPod(pod)
		c.removePod(pod)
	}
}

// killPod ends what still runs in a pod's groups: containers whose records were removed while Fathom was not there.
func (c cgroups) killPod(pod string) {
	for _, parent := range c.parents("") {
		_ = filepath.WalkDir(filepath.Join(parent, pod), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil //nolint:nilerr // a group may end meanwhile
			}
			text, _ := os.ReadFile(path)
			for _, line := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			return nil
		})
	}
}

func (c cgroups) remove() {
	c.removePods(nil)
	for _, parent := range c.parents("") {
		_ = os.Remove(parent)
	}
}
