// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
)

// maxTail is how much of standard error a termination carries, in bytes.
const maxTail = 4 << 10

// run starts the command in its own process group, waits for it and for every orphan that falls to us, and passes
// SIGTERM on. Whoever wants more than the grace period is killed by the node.
func (l *launcher) run(ctx context.Context, s gang.Stage) (gang.Termination, error) {
	env := l.merged(s.Env)
	program, err := lookPath(env["PATH"], s.Command[0])
	if err != nil {
		return gang.Termination{}, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return gang.Termination{}, fault.Wrap(fault.Unavailable, "pipe", err)
	}
	tail := &tail{out: l.stderr}
	copied := make(chan struct{})
	go func() { defer close(copied); _, _ = io.Copy(tail, reader) }()
	before := oomKills()
	status, err := l.wait(ctx, program, s, env, writer)
	writer.Close()
	select {
	case <-copied:
	case <-time.After(time.Second): // something that survived holds the pipe
	}
	if err != nil {
		return gang.Termination{}, err
	}
	end := gang.Termination{ExitCode: status.ExitStatus(), Tail: tail.String()}
	if status.Signaled() {
		end.ExitCode, end.Signal = 128+int(status.Signal()), status.Signal().String()
		if status.Signal() == syscall.SIGKILL && oomKills() > before {
			end.Kind, end.Reason = fault.TooLarge, "OOMKilled"
			end.Message = "the command needed more memory than its limit; raise resources.memory"
		}
	}
	return end, nil
}

// wait keeps one thread for the command's whole life, because the kernel ties the parent-death signal to it.
func (l *launcher) wait(ctx context.Context, program string, s gang.Stage, env map[string]string, stderr *os.File) (syscall.WaitStatus, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	adoptOrphans()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, "command", err)
	}
	defer null.Close()
	pairs := make([]string, 0, len(env))
	for k, v := range env {
		pairs = append(pairs, k+"="+v)
	}
	process, err := os.StartProcess(program, s.Command, &os.ProcAttr{
		Dir: filepath.Join(l.code, filepath.FromSlash(s.Workdir)), Env: pairs,
		Files: []*os.File{null, l.stdout, stderr}, Sys: attributes(),
	})
	if err != nil {
		return 0, fault.New(fault.Invalid, "command", "%s cannot be started: %v", strings.Join(s.Command, " "), err)
	}
	pid := process.Pid
	defer context.AfterFunc(ctx, func() { _ = syscall.Kill(-pid, syscall.SIGTERM) })()
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fault.Wrap(fault.Internal, "wait", err)
		case got == pid:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			endOrphans()
			return status, nil
		}
	}
}

// merged is the pod's environment, the folders, and what the stage adds, in this order of weight. Fathom's own
// programs, which lie beside this one, come last on PATH.
func (l *launcher) merged(stage map[string]string) map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	for k, v := range l.environment() {
		env[k] = v
	}
	for k, v := range stage {
		env[k] = v
	}
	if env["PATH"] == "" {
		env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
	}
	if env["MLFLOW_TRACKING_URI"] != "" && env["MLFLOW_TRACKING_TOKEN"] == "" { // its client reads no token files
		if token, err := readUpTo(l.tokenFile, 64<<10); err == nil {
			env["MLFLOW_TRACKING_TOKEN"] = strings.TrimSpace(string(token))
		}
	}
	if self, err := os.Executable(); err == nil {
		env["PATH"] += ":" + filepath.Dir(self)
	}
	return env
}

// lookPath finds a program. "python" falls back to "python3", since many hosts have only that.
func lookPath(path, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(file) {
			return file, nil
		}
	}
	if name == "python" {
		return lookPath(path, "python3")
	}
	return "", fault.New(fault.NotFound, "command", "there is no program %s on PATH %s", name, path).
		WithHint("correct the command, or add what provides it to the environment")
}

// told joins what the step wrote about its end with what we saw.
func (l *launcher) told(end gang.Termination) gang.Termination {
	text, err := readUpTo(l.termination, 64<<10)
	if err != nil {
		return end
	}
	var said gang.Termination
	if err := json.Unmarshal(text, &said); err != nil {
		end.Message = fmt.Sprintf("the step's termination file is not JSON: %v", err)
		return end
	}
	said.ExitCode, said.Signal, said.Tail = end.ExitCode, end.Signal, end.Tail
	return said
}

func readUpTo(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // never wait for a pipe's writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// tail passes everything on and remembers the end.
type tail struct {
	out  io.Writer
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, p...)
	if len(t.last) > 4*maxTail {
		t.last = append(t.last[:0:0], t.last[len(t.last)-maxTail:]...)
	}
	t.mu.Unlock()
	return t.out.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.last
	if len(last) > maxTail {
		last = last[len(last)-maxTail:]
	}
	return strings.ToValidUTF8(string(last), "")
}

// oomKills counts the processes of our control group that ran out of memory; 0 where that cannot be read.
func oomKills() int {
	for _, name := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		text, err := readUpTo(name, 4<<10)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			var n int
			if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
				return n
			}
		}
	}
	return 0
}
