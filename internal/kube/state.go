// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

const loopback = "127.0.0.1"

// state is the state directory, held by one process at a time.
type state struct {
	dir    string
	lock   *os.File
	socket string // etcd's; in dir, or in socketDir where dir's path is too long for a Unix socket
	// socketDir is a private temporary directory; "" when not needed.
	socketDir string
}

// maxSocketPath is the longest path that every system allows for a Unix socket.
const maxSocketPath = 100

// openState makes the directory and takes its lock. The lock is the kernel's: it ends with the process however
// that dies, so a lock file that was left behind means nothing.
func openState(dir string) (*state, error) {
	for _, d := range []string{dir, filepath.Join(dir, "pki"), filepath.Join(dir, "logs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, pki.Unwritable(dir, err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, pki.Unwritable(dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(lock, 32))
		_ = lock.Close()
		return nil, fault.New(fault.Conflict, "kube.Start", "another Fathom (process %s) is using %s",
			strings.TrimSpace(string(holder)), dir).WithHint("stop it, or choose another state directory")
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid()))); err != nil {
		_ = lock.Close()
		return nil, pki.Unwritable(dir, err)
	}
	st := &state{dir: dir, lock: lock, socket: filepath.Join(dir, "pki", "etcd.sock")}
	if len(st.socket) <= maxSocketPath {
		return st, nil
	}
	if st.socketDir, err = os.MkdirTemp("", "fathom-"); err != nil {
		_ = lock.Close()
		return nil, pki.Unwritable(os.TempDir(), err)
	}
	link := st.socket // where backups look for it
	st.socket = filepath.Join(st.socketDir, "etcd.sock")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(pki.Unwritable(dir, err), st.close())
	}
	if err := os.Symlink(st.socket, link); err != nil {
		return nil, errors.Join(pki.Unwritable(dir, err), st.close())
	}
	return st, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (s *state) close() error {
	var err error
	if s.socketDir != "" {
		err = os.RemoveAll(s.socketDir)
	}
	return errors.Join(err, s.lock.Close())
}

func (s *state) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *state) key(name string) string { return s.path("pki", name) }

// used reports whether etcd has ever written here.
func (s *state) used() bool {
	_, err := os.Stat(s.path("etcd", "member"))
	return err == nil
}

// listen binds the API server's port. An automatic port is remembered, because kubeconfig files and processes that
// outlive a restart refer to it.
func (s *state) listen(port int) (net.Listener, error) {
	if port != 0 {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			return nil, portError(port, err)
		}
		return l, nil
	}
	if l, ok := s.lastPort(); ok {
		return l, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "kube.Start", err)
	}
	chosen := fmt.Sprintf("%d\n", l.Addr().(*net.TCPAddr).Port)
	if err := pki.WriteFile(s.key("port"), []byte(chosen), 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func (s *state) lastPort() (net.Listener, bool) {
	text, err := os.ReadFile(s.key("port"))
	if err != nil {
		return nil, false
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil || port == 0 {
		return nil, false
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.FormatUint(port, 10)))
	return l, err == nil
}

func portError(port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New(fault.Unavailable, "kube.Start", "port %d on %s is taken by another program", port, loopback).
			WithHint("stop that program, or choose another port (0 picks a free one)")
	}
	return fault.New(fault.Unavailable, "kube.Start", "port %d on %s cannot be opened: %w", port, loopback, err)
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "local"
	}
	return strings.ToLower(name)
}
