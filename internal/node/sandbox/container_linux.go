// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
)

// container is a started one.
type container struct {
	pod     *pod
	spec    isolation.Container
	process *os.Process
	done    chan struct{}
	exit    isolation.Exit
}

// Start runs a container and returns when runc has executed its program.
func (p *pod) Start(_ context.Context, c isolation.Container) (isolation.Process, error) {
	unpin, err := pin(&c)
	defer unpin()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox: volumes", err)
	}
	bundle, err := p.writeBundle(c)
	if err != nil {
		liftOverlay(c)
		return nil, fault.Wrap(fault.Internal, "node.sandbox: bundle", err)
	}
	if err := c.Save(); err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox: record", err)
	}
	logFile, pidFile := filepath.Join(c.Dir, "runc.log"), filepath.Join(c.Dir, "pid")
	cmd := p.runtime.runc(context.Background(), "--log", logFile, "--log-format", "json",
		"run", "--detach", "--bundle", bundle, "--pid-file", pidFile, c.ID)
	pid, err := p.runtime.keeper.Start(keeper.Spec{ID: c.ID, Pod: p.config.ID, Program: cmd.Path, Args: cmd.Args, Env: os.Environ(), PidFile: pidFile, Log: c.Log})
	if err != nil {
		p.delete(c.ID)
		liftOverlay(c)
		if !fault.Is(err, fault.Invalid) {
			return nil, err
		}
		return nil, startError(err, logFile)
	}
	return p.follow(c, pid)
}

// follow waits for the end of a container.
func (p *pod) follow(c isolation.Container, pid int) (isolation.Process, error) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox: find process", err)
	}
	run := &container{pod: p, spec: c, process: process, done: make(chan struct{})}
	go run.wait()
	return run, nil
}

// Adopt finds a container of a former run.
func (p *pod) Adopt(id, dir string) (isolation.Process, bool) {
	for _, k := range p.runtime.kept.Processes {
		if k.ID != id {
			continue
		}
		c, err := isolation.LoadContainer(dir)
		if err != nil {
			p.runtime.options.Logger.Error("container of a former run cannot be adopted", "container", id, "error", err)
			return nil, false
		}
		process, err := p.follow(c, k.Pid)
		return process, err == nil
	}
	return nil, false
}

// startError turns what runc logged into one sentence.
func startError(err error, logFile string) error {
	message := err.Error()
	if raw, readErr := os.ReadFile(logFile); readErr == nil {
		for line := range bytes.Lines(raw) {
			var entry struct{ Level, Msg string }
			if json.Unmarshal(line, &entry) == nil && entry.Level == "error" {
				message = entry.Msg
			}
		}
	}
	message = strings.TrimPrefix(message, "runc run failed: ")
	message = strings.TrimPrefix(message, "unable to start container process: ")
	return &isolation.StartError{Message: message}
}

func (c *container) wait() {
	defer close(c.done)
	exit, err := c.pod.runtime.keeper.Wait(context.Background(), c.spec.ID)
	c.exit = isolation.Exit{Code: exit.Code, At: exit.At}
	if err != nil || exit.Lost {
		c.exit = isolation.Exit{Code: 255, At: time.Now()}
		c.pod.runtime.options.Logger.Error("exit code of a container is lost", "container", c.spec.ID, "error", err)
		return
	}
	c.exit.OutOfMemory = c.exit.Code != 0 && c.pod.runtime.cgroups.outOfMemory(c.pod.config.ID, c.spec.ID)
}

// Flush waits for the rest of the output.
func (c *container) Flush() { c.pod.runtime.keeper.Flush(c.spec.ID) }

func (c *container) Done() <-chan struct{} { return c.done }
func (c *container) Exit() isolation.Exit  { return c.exit }

// Signal reaches the first process of the container only, as the kubelet's does.
func (c *container) Signal(s syscall.Signal) error { return c.process.Signal(s) }

// Kill ends the first process; the kernel then kills all others of its process namespace.
func (c *container) Kill() error {
	if err := c.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, "node.sandbox: kill", err)
	}
	return nil
}

// Close removes runc's records and the cgroup.
func (c *container) Close(context.Context) error {
	c.pod.delete(c.spec.ID)
	c.pod.runtime.keeper.Forget(c.spec.ID)
	liftOverlay(c.spec)
	return fault.Wrap(fault.Internal, "node.sandbox", removeContents(c.spec.Dir, "bundle", "upper", "work", "tmp", "pid", "passwd"))
}

func removeContents(dir string, names ...string) error {
	var all error
	for _, name := range names {
		all = errors.Join(all, os.RemoveAll(filepath.Join(dir, name)))
	}
	return all
}

// delete is best effort and independent of callers' deadlines: what stays is swept at the next start.
func (p *pod) delete(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := p.runtime.runc(ctx, "delete", "--force", id).CombinedOutput(); err != nil {
		p.runtime.options.Logger.Warn("container could not be deleted", "container", id, "error", err, "output", string(out))
	}
}

// Exec runs another command in the container.
func (c *container) Exec(ctx context.Context, e isolation.Exec) (int, error) {
	if len(e.Args) == 0 {
		return 0, fault.New(fault.Invalid, "node.sandbox: exec", "no command")
	}
	cwd := c.spec.WorkingDir
	if cwd == "" {
		cwd = "/"
	}
	process := c.pod.process(c.spec, e.Args, cwd)
	process.Terminal = e.TTY
	raw, err := json.Marshal(process)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, "node.sandbox: exec", err)
	}
	file, err := os.CreateTemp(c.spec.Dir, "exec-*.json")
	if err != nil {
		return 0, fault.Wrap(fault.Internal, "node.sandbox: exec", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(raw)
	if err := errors.Join(err, file.Close()); err != nil {
		return 0, fault.Wrap(fault.Internal, "node.sandbox: exec", err)
	}
	return c.runExec(ctx, e, file.Name())
}

func (c *container) runExec(ctx context.Context, e isolation.Exec, processFile string) (int, error) {
	logFile := processFile + ".log"
	defer func() { _ = os.Remove(logFile) }()
	cmd := c.pod.runtime.runc(ctx, "--log", logFile, "--log-format", "json", "exec", "--process", processFile, c.spec.ID)
	cmd.WaitDelay = time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := isolation.RunExec(cmd, e)
	if err == nil {
		return 0, nil
	}
	if ctx.Err() != nil {
		return 0, fault.Wrap(fault.Unavailable, "node.sandbox: exec", ctx.Err())
	}
	code := cmd.ProcessState.ExitCode()
	if raw, readErr := os.ReadFile(logFile); readErr == nil && len(raw) > 0 && code == 255 {
		return 126, startError(err, logFile)
	}
	if code < 0 {
		return 0, fault.New(fault.Internal, "node.sandbox: exec", "%v", fmt.Errorf("runc: %w", err))
	}
	return code, nil
}
