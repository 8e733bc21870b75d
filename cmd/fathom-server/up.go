// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
)

// newUp is `fathom-server up`: the whole platform in one process, until it is interrupted.
func newUp() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Fathom in this process until it is interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			syscall.Umask(0o022) // what is not for others says so itself; pods run as another user and must read the rest
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			return up(ctx, cmd, s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.state, "state", "", "directory that keeps all state")
	flags.IntVar(&s.kube.Port, "api-port", 0, "port of the Kubernetes API on 127.0.0.1; 0 picks a free one and keeps it")
	flags.IntVar(&s.doorPort, "door-port", 0, "port of the doors and pages on 127.0.0.1; 0 picks a free one and keeps it")
	flags.IntVar(&s.s3Port, "s3-port", 0, "port of the S3 door on 127.0.0.1; 0 picks a free one and keeps it")
	flags.StringVar(&s.isolation, "isolation", "auto", "how pods are kept apart: sandbox, process, or auto for the best that is permitted")
	flags.StringVar(&s.witness, "audit-witness", "", "`file` on another disk or machine that gets each signed checkpoint of the audit log, for fathom doctor --witness")
	flags.StringVar(&s.kube.NodeName, "node-name", "local", "name of the local node")
	return cmd
}

func up(ctx context.Context, cmd *cobra.Command, s settings) error {
	begin := time.Now()
	var err error
	if s.state == "" {
		return fault.New(fault.Invalid, "up", "--state is missing")
	}
	if s.state, err = filepath.Abs(s.state); err != nil {
		return fault.Wrap(fault.Invalid, "state", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fault.Wrap(fault.Internal, "up", err)
	}
	s.binDir = filepath.Dir(self)
	if err := s.check(); err != nil {
		return err
	}
	s.logger = slog.New(slog.NewTextHandler(&lumberjack.Logger{
		Filename: filepath.Join(s.state, "logs", "fathom.log"), MaxSize: 32, MaxBackups: 3,
	}, nil))
	out := cmd.OutOrStdout()
	s.progress = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	starting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	p, err := startPlatform(starting, s)
	if err != nil {
		return err
	}
	s.progress("doors at %s, objects at https://%s", p.doors.url(), p.doors.s3.Addr())
	s.progress("kubeconfig %s", p.control.KubeconfigPath())
	s.progress("Fathom is ready after %.1fs; Ctrl-C ends it, the next start resumes", time.Since(begin).Seconds())
	select {
	case <-ctx.Done():
		s.progress("stopping")
	case err = <-p.control.Failed():
	}
	stopping, stopped := context.WithTimeout(context.Background(), stopPatience)
	defer stopped()
	if stopErr := p.stop(stopping); err == nil {
		err = stopErr
	}
	return err
}

// check refuses what cannot work before anything is started.
func (s settings) check() error {
	for name, port := range map[string]int{"--api-port": s.kube.Port, "--door-port": s.doorPort, "--s3-port": s.s3Port} {
		if port < 0 || port > 65535 {
			return fault.New(fault.Invalid, name, "port %d is not between 0 and 65535", port)
		}
	}
	if !slices.Contains([]string{"auto", "sandbox", "process"}, s.isolation) {
		return fault.New(fault.Invalid, "--isolation", "%q is not auto, sandbox or process", s.isolation)
	}
	if running, err := inUse(s.state); err == nil && running {
		return nil // the start says so, and names the process
	}
	if err := s.checkState(); err != nil {
		return err
	}
	for _, port := range []int{s.doorPort, s.s3Port} {
		if port == 0 {
			continue
		}
		l, err := listen(port, 0)
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return fault.Wrap(fault.Unavailable, "doors", err)
		}
	}
	return nil
}

// leastRoom is what a first start needs on the disk: etcd's log alone is made 64 MiB long.
const leastRoom = 160 << 20

// checkState refuses a file in the directory's place, and a disk on which not even an empty Fathom fits. One that was
// started before starts on a full disk, too, so that room can be made.
func (s settings) checkState() error {
	info, err := os.Stat(s.state)
	if err == nil && !info.IsDir() {
		return fault.New(fault.Invalid, "--state", "%s is a file, not a directory", s.state).WithHint("name a directory; it is made when it is not there")
	}
	if _, err := os.Stat(filepath.Join(s.state, "etcd")); err == nil {
		return nil
	}
	at := s.state
	for ; err != nil && at != filepath.Dir(at); _, err = os.Stat(at) {
		at = filepath.Dir(at)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(at, &disk); err != nil {
		return nil // the start says what is wrong
	}
	if room := uint64(disk.Bsize) * disk.Bavail; room < leastRoom {
		return fault.New(fault.Exhausted, "--state", "the disk of %s has %d MiB of room, a start needs %d", s.state, room>>20, leastRoom>>20).
			WithHint("make room, or name a directory on another disk")
	}
	return nil
}

// setAside sends what libraries print past the log into a file, for example the API server's etcd client while everything
// stops. A crash is still told here. The function it returns undoes that; where it cannot be done, nothing changes.
func setAside(path string) (undo func()) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return func() {}
	}
	defer file.Close()
	copied, err := unix.Dup(syscall.Stderr)
	if err != nil {
		return func() {}
	}
	unix.CloseOnExec(copied)
	told := os.NewFile(uintptr(copied), "stderr")
	_ = debug.SetCrashOutput(told, debug.CrashOptions{})
	_ = unix.Dup2(int(file.Fd()), syscall.Stderr)
	return func() {
		_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
		_ = unix.Dup2(int(told.Fd()), syscall.Stderr)
	}
}

// runControlPlane starts the control plane alone, says where it is, and stops it when ctx ends or a component dies.
func runControlPlane(ctx context.Context, cmd *cobra.Command, opts kube.Options) error {
	begin := time.Now()
	starting, started := context.WithTimeout(ctx, 2*time.Minute)
	defer started()
	cp, err := kube.Start(starting, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ready in %.1fs: %s\nkubeconfig: %s\n",
		time.Since(begin).Seconds(), cp.Endpoint(), cp.KubeconfigPath())
	select {
	case <-ctx.Done():
	case err = <-cp.Failed():
	}
	stopping, stopped := context.WithTimeout(context.Background(), 20*time.Second)
	defer stopped()
	if stopErr := cp.Stop(stopping); err == nil {
		err = stopErr
	}
	return err
}
