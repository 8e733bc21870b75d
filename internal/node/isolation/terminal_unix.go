// SPDX-License-Identifier: Apache-2.0

//go:build unix

package isolation

import (
	"os"
	"os/exec"
	"syscall"
)

func openTerminal(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
}

// prepareTerminal makes the command the leader of a session that the terminal controls.
func prepareTerminal(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = false
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Setctty = true
}
