// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const prSetChildSubreaper = 36 // linux/prctl.h

// adoptOrphans makes us the parent of every descendant whose own parent died. Process 1 is that already.
func adoptOrphans() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

// attributes puts the command into its own process group and lets it die with us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// endOrphans kills what the command left behind, also what left its process group: without its parent it is our child
// now. Killing one may make its children ours, hence the rounds.
func endOrphans() {
	for range 100 {
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		alive := false
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					alive = true
					_ = syscall.Kill(pid, syscall.SIGKILL)
					_, _ = syscall.Wait4(pid, nil, 0, nil)
				}
			}
		}
		if !alive {
			return
		}
	}
}
