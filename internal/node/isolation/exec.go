// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"io"
	"os/exec"

	"github.com/containerd/console"
)

// RunExec runs a prepared command with the streams of e, on a new terminal if e asks for one.
func RunExec(cmd *exec.Cmd, e Exec) error {
	if e.TTY {
		return runOnTerminal(cmd, e)
	}
	if e.Stdin != nil {
		// A pipe of our own: with cmd.Stdin, Wait would wait for the client to close its side.
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(in, e.Stdin)
			_ = in.Close()
		}()
	}
	cmd.Stdout, cmd.Stderr = e.Stdout, e.Stderr
	return cmd.Run()
}

func runOnTerminal(cmd *exec.Cmd, e Exec) error {
	terminal, path, err := console.NewPty()
	if err != nil {
		return err
	}
	defer func() { _ = terminal.Close() }()
	side, err := openTerminal(path)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	prepareTerminal(cmd)
	if err := cmd.Start(); err != nil {
		_ = side.Close()
		return err
	}
	_ = side.Close()
	if e.Stdin != nil {
		go func() { _, _ = io.Copy(terminal, e.Stdin) }()
	}
	if e.Resize != nil {
		go func() {
			for s := range e.Resize {
				_ = terminal.Resize(console.WinSize{Width: s.Width, Height: s.Height})
			}
		}()
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if e.Stdout != nil {
			_, _ = io.Copy(e.Stdout, terminal) // ends with EIO when the last process lets go of the terminal
		}
	}()
	err = cmd.Wait()
	<-copied
	return err
}
