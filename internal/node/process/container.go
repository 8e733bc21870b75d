// SPDX-License-Identifier: Apache-2.0

//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

type container struct {
	pod     *pod
	spec    isolation.Container
	process *os.Process
	paths   rewriter
	done    chan struct{}
	exit    isolation.Exit
}

// Start runs the program with the pod's paths rewritten.
func (p *pod) Start(_ context.Context, c isolation.Container) (isolation.Process, error) {
	run := &container{pod: p, spec: c, done: make(chan struct{})}
	if err := errors.Join(run.prepare(), c.Save()); err != nil {
		return nil, fault.Wrap(fault.Internal, "node.process", err)
	}
	cmd, err := run.command(context.Background(), c.Args)
	if err != nil {
		return nil, err
	}
	pid, err := p.runtime.keeper.Start(keeper.Spec{ID: c.ID, Pod: p.config.ID, Program: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, Log: c.Log})
	if err != nil {
		return nil, &isolation.StartError{Message: err.Error()}
	}
	return run, run.follow(pid)
}

func (c *container) follow(pid int) error {
	var err error
	if c.process, err = os.FindProcess(pid); err != nil {
		return fault.Wrap(fault.Internal, "node.process: find process", err)
	}
	go c.wait()
	return nil
}

// Adopt finds a container of a former run.
func (p *pod) Adopt(id, dir string) (isolation.Process, bool) {
	for _, k := range p.runtime.kept.Processes {
		if k.ID != id {
			continue
		}
		c, err := isolation.LoadContainer(dir)
		run := &container{pod: p, spec: c, done: make(chan struct{})}
		if err := errors.Join(err, run.prepare()); err != nil {
			p.runtime.options.Logger.Error("container of a former run cannot be adopted", "container", id, "error", err)
			return nil, false
		}
		return run, run.follow(k.Pid) == nil
	}
	return nil, false
}

func (c *container) prepare() error {
	mounts := append([]isolation.Mount(nil), c.spec.Mounts...)
	if dir := c.pod.runtime.options.BinDir; dir != "" {
		mounts = append(mounts, isolation.Mount{Source: dir, Target: isolation.BinPath})
	}
	if c.spec.Environment != "" {
		mounts = append(mounts, isolation.Mount{Source: c.spec.Environment, Target: isolation.EnvironmentPath})
	}
	c.paths = newRewriter(mounts)
	return os.MkdirAll(c.tmp(), 0o700)
}

func (c *container) tmp() string { return filepath.Join(c.spec.Dir, "tmp") }

func (c *container) command(ctx context.Context, args []string) (*exec.Cmd, error) {
	args = c.texts(args)
	dir := c.tmp()
	if c.spec.WorkingDir != "" && c.spec.WorkingDir != "/" {
		dir = c.paths.path(c.spec.WorkingDir)
	}
	env := c.env()
	path, _ := isolation.Lookup(env, "PATH")
	program, ok := lookPath(args[0], path, dir)
	if !ok {
		return nil, &isolation.StartError{Message: fmt.Sprintf("exec: %q: executable file not found in $PATH", args[0])}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &isolation.StartError{Message: fmt.Sprintf("working directory %q does not exist", c.spec.WorkingDir)}
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Env, cmd.Dir = env, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd, nil
}

func (c *container) texts(list []string) []string {
	out := c.paths.paths(list)
	for i := range out {
		out[i] = loopbackNames(out[i], c.pod.config, "127.0.0.1")
	}
	return out
}

func (c *container) env() []string {
	env := []string{
		"HOME=" + c.tmp(), "TMPDIR=" + c.tmp(), "HOSTNAME=" + c.pod.config.Hostname, "PATH=" + hostPath(),
	}
	env = append(env, c.texts(c.spec.Env)...)
	if c.spec.Environment != "" {
		path, _ := isolation.Lookup(env, "PATH")
		env = append(env, "VIRTUAL_ENV="+c.spec.Environment, "PATH="+filepath.Join(c.spec.Environment, "bin")+":"+path)
	}
	return append(env, "FATHOM_ISOLATION="+string(isolation.LevelProcess), Marker+"="+c.marker())
}

func hostPath() string {
	if path := os.Getenv("PATH"); path != "" {
		return path
	}
	return defaultPath
}

func (c *container) marker() string { return c.pod.marker() + c.spec.ID + "/" }

func (c *container) wait() {
	defer close(c.done)
	exit, err := c.pod.runtime.keeper.Wait(context.Background(), c.spec.ID)
	c.exit = isolation.Exit{Code: exit.Code, At: exit.At}
	if err != nil || exit.Lost {
		c.exit = isolation.Exit{Code: 255, At: time.Now()}
		c.pod.runtime.options.Logger.Error("exit code of a container is lost", "container", c.spec.ID, "error", err)
	}
	c.killRest()
	reap(c.process.Pid)
}

// Flush waits for the rest of the output.
func (c *container) Flush() { c.pod.runtime.keeper.Flush(c.spec.ID) }

func (c *container) Done() <-chan struct{} { return c.done }
func (c *container) Exit() isolation.Exit  { return c.exit }

// Signal reaches the program only.
func (c *container) Signal(s syscall.Signal) error { return c.process.Signal(s) }

// Kill ends the program's process group and whatever else carries the container's marker.
func (c *container) Kill() error {
	c.killRest()
	if err := c.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, "node.process: kill", err)
	}
	return nil
}

func (c *container) killRest() {
	_ = syscall.Kill(-c.process.Pid, syscall.SIGKILL)
	killMarked(c.marker(), c.process.Pid)
}

func (c *container) Close(context.Context) error {
	c.pod.runtime.keeper.Forget(c.spec.ID)
	return fault.Wrap(fault.Internal, "node.process", os.RemoveAll(c.tmp()))
}

// Exec runs another command with the container's directories and environment.
func (c *container) Exec(ctx context.Context, e isolation.Exec) (int, error) {
	if len(e.Args) == 0 {
		return 0, fault.New(fault.Invalid, "node.process: exec", "no command")
	}
	cmd, err := c.command(ctx, e.Args)
	if err != nil {
		return 126, err
	}
	err = isolation.RunExec(cmd, e)
	if ctx.Err() != nil {
		return 0, fault.Wrap(fault.Unavailable, "node.process: exec", ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, fault.Wrap(fault.Internal, "node.process: exec", err)
}
