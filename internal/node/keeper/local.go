// SPDX-License-Identifier: Apache-2.0

//go:build unix

package keeper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/output"
)

// Local is a Keeper in this process.
type Local struct {
	mu        sync.Mutex
	processes map[string]*kept
	held      map[string]holding
	busy      map[int]bool // children that somebody waits for
}

type kept struct {
	state   State
	process *os.Process
	group   bool
	ended   chan struct{}
	flushed chan struct{}
}

type holding struct {
	note  string
	files []*os.File
}

// NewLocal makes an empty one.
func NewLocal() *Local {
	return &Local{processes: map[string]*kept{}, held: map[string]holding{}, busy: map[int]bool{}}
}

// Outlives is false.
func (l *Local) Outlives() bool { return false }

// Start starts a process in a group of its own.
func (l *Local) Start(s Spec) (int, error) {
	out, err := output.Create(s.Log, time.Now)
	if err != nil {
		return 0, err
	}
	cmd := &exec.Cmd{Path: s.Program, Args: s.Args, Env: s.Env, Dir: s.Dir, Stdout: out.Stdout, Stderr: out.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	k := &kept{state: State{ID: s.ID, Pod: s.Pod}, group: s.PidFile == "", ended: make(chan struct{}), flushed: make(chan struct{})}
	wait, err := l.launch(cmd, s.PidFile, k)
	if err != nil {
		out.Close()
		return 0, err
	}
	out.CloseWriters()
	l.mu.Lock()
	l.processes[s.ID] = k
	l.mu.Unlock()
	go func() {
		exit := wait()
		l.mu.Lock()
		delete(l.busy, k.state.Pid)
		k.state.Ended, k.state.Exit = true, exit
		l.mu.Unlock()
		close(k.ended)
		out.Close()
		close(k.flushed)
	}()
	return k.state.Pid, nil
}

// launch starts the program and finds the process that is meant.
func (l *Local) launch(cmd *exec.Cmd, pidFile string, k *kept) (wait func() Exit, err error) {
	l.mu.Lock()
	err = cmd.Start()
	if err == nil {
		l.busy[cmd.Process.Pid] = true
	}
	l.mu.Unlock()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "", err)
	}
	if pidFile == "" {
		k.state.Pid, k.process = cmd.Process.Pid, cmd.Process
		return func() Exit {
			_ = cmd.Wait()
			return exitOf(cmd.ProcessState)
		}, nil
	}
	err = cmd.Wait()
	l.mu.Lock()
	delete(l.busy, cmd.Process.Pid)
	l.mu.Unlock()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "", err)
	}
	return l.follow(pidFile, k)
}

// follow waits for the process that the program has left, which has become a child of this one.
func (l *Local) follow(pidFile string, k *kept) (wait func() Exit, err error) {
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.keeper: pid", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.keeper: pid", err)
	}
	l.mu.Lock()
	l.busy[pid] = true
	l.mu.Unlock()
	if k.process, err = os.FindProcess(pid); err != nil {
		return nil, fault.Wrap(fault.Internal, "node.keeper: find process", err)
	}
	k.state.Pid = pid
	return func() Exit {
		state, err := k.process.Wait()
		if err != nil {
			return Exit{Code: 255, At: time.Now(), Lost: true}
		}
		return exitOf(state)
	}, nil
}

func exitOf(s *os.ProcessState) Exit {
	e := Exit{Code: s.ExitCode(), At: time.Now()}
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Code = 128 + int(status.Signal())
	}
	return e
}

func (l *Local) find(id string) (*kept, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.processes[id]; ok {
		return k, nil
	}
	return nil, fault.New(fault.NotFound, "node.keeper", "process %q is not kept", id)
}

// Wait waits for the end of a process.
func (l *Local) Wait(ctx context.Context, id string) (Exit, error) {
	k, err := l.find(id)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-k.ended:
		l.mu.Lock()
		defer l.mu.Unlock()
		return k.state.Exit, nil
	case <-ctx.Done():
		return Exit{}, fault.Wrap(fault.Unavailable, "node.keeper", ctx.Err())
	}
}

// Flush waits for the output of an ended process.
func (l *Local) Flush(id string) {
	if k, err := l.find(id); err == nil {
		<-k.flushed
	}
}

// Forget removes a record.
func (l *Local) Forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.processes[id]; ok && k.state.Ended {
		delete(l.processes, id)
	}
}

// Hold takes over the files: it closes them when they are released.
func (l *Local) Hold(name, note string, files ...*os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.held[name]; ok {
		closeAll(old.files)
	}
	own := make([]*os.File, 0, len(files))
	for _, f := range files {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			closeAll(own)
			return fault.Wrap(fault.Internal, "node.keeper: hold", err)
		}
		syscall.CloseOnExec(fd)
		own = append(own, os.NewFile(uintptr(fd), f.Name()))
	}
	l.held[name] = holding{note, own}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Release lets go of the files of a name.
func (l *Local) Release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	closeAll(l.held[name].files)
	delete(l.held, name)
}

// List gives everything that is kept, in order of names.
func (l *Local) List() (Listing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all Listing
	for _, k := range l.processes {
		all.Processes = append(all.Processes, k.state)
	}
	for name, h := range l.held {
		held := Held{Name: name, Note: h.note, Pid: os.Getpid()}
		for _, f := range h.files {
			held.Fds = append(held.Fds, int(f.Fd()))
		}
		all.Held = append(all.Held, held)
	}
	sort.Slice(all.Processes, func(i, j int) bool { return all.Processes[i].ID < all.Processes[j].ID })
	sort.Slice(all.Held, func(i, j int) bool { return all.Held[i].Name < all.Held[j].Name })
	return all, nil
}

// Close kills what still runs and lets go of everything.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.processes {
		if !k.state.Ended {
			_ = k.process.Kill()
			if k.group {
				_ = syscall.Kill(-k.state.Pid, syscall.SIGKILL)
			}
		}
	}
	for name, h := range l.held {
		closeAll(h.files)
		delete(l.held, name)
	}
	return nil
}

// Open opens a held file again, in another process too.
func (h Held) Open(i int) (*os.File, error) {
	if i >= len(h.Fds) {
		return nil, fault.New(fault.NotFound, "node.keeper", "%s holds %d files", h.Name, len(h.Fds))
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", h.Pid, h.Fds[i]))
	return f, fault.Wrap(fault.NotFound, "node.keeper", err)
}
