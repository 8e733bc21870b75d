// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap ends the zombies of a process group whose leader has been waited for.
func reap(group int) {
	for {
		if pid, err := unix.Wait4(-group, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}

// adopt makes orphans of containers children of this process, so that their end is noticed by it and not by init.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// killMarked kills every process but one whose Marker begins with prefix and not with one of those to keep, until a pass over the process table finds
// none: a program may start others while the first pass runs. Those that this process has adopted are waited for.
func killMarked(prefix string, except int, keep ...string) {
	want := []byte(Marker + "=" + prefix)
	for range 10 {
		found := false
		environs, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range environs {
			raw, err := os.ReadFile(file)
			if err != nil || len(raw) == 0 || !marked(raw, want) || slices.ContainsFunc(keep, func(k string) bool { return marked(raw, []byte(Marker+"="+k)) }) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() && pid != except {
				found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
				go func() { _, _ = unix.Wait4(pid, nil, 0, nil) }() // fails at once unless it is a child
			}
		}
		if !found {
			return
		}
	}
}

func marked(environ, want []byte) bool {
	return bytes.HasPrefix(environ, want) || bytes.Contains(environ, append([]byte{0}, want...))
}
