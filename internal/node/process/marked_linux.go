// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// adopt makes orphans of containers children of this process, so that their end is noticed by it and not by init.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// killMarked kills every process whose Marker begins with prefix, until a pass over the process table finds none: a
// program may start others while the first pass runs.
func killMarked(prefix string) {
	want := []byte(Marker + "=" + prefix)
	for range 10 {
		found := false
		environs, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range environs {
			raw, err := os.ReadFile(file)
			if err != nil || len(raw) == 0 || !marked(raw, want) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
				found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
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
