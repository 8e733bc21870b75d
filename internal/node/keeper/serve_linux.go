// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

// server is a Local that others use through a socket.
type server struct {
	local *Local
	dir   string
	grace time.Duration

	mu       sync.Mutex
	attached int
	alone    time.Time // since when nobody has been attached
	quit     chan struct{}
	once     sync.Once
}

// look is how often the server looks whether it is still wanted, and for orphans that have ended.
const look = time.Second

// Serve keeps things for whoever attaches to the socket of dir, until it is told to end, or nobody has been attached for
// grace, or the directory is gone; then it ends all that it keeps.
func Serve(dir string, grace time.Duration) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fault.Wrap(fault.Internal, "node.keeper", err)
	}
	var listener *net.UnixListener
	err := within(dir, func(path string) (err error) {
		_ = os.Remove(path)
		if listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		listener.SetUnlinkOnClose(false)
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return fault.Wrap(fault.Unavailable, "node.keeper", err)
	}
	s := &server{local: NewLocal(), dir: dir, grace: grace, alone: time.Now(), quit: make(chan struct{})}
	go s.accept(listener)
	s.watch()
	_ = os.Remove(filepath.Join(dir, socketName))
	return s.local.Close()
}

func (s *server) accept(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			s.end()
			return
		}
		go s.converse(c)
	}
}

func (s *server) end() { s.once.Do(func() { close(s.quit) }) }

// watch returns when the server is no longer wanted.
func (s *server) watch() {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
		s.reapOrphans()
		s.mu.Lock()
		alone := s.attached == 0
		since := time.Since(s.alone)
		s.mu.Unlock()
		_, err := os.Stat(filepath.Join(s.dir, socketName))
		if alone && (since > s.grace || errors.Is(err, os.ErrNotExist)) {
			return
		}
	}
}

// reapOrphans lets go of ended processes whose parents, in containers without a process namespace, ended before them.
func (s *server) reapOrphans() {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range lists {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			s.local.mu.Lock()
			if !s.local.busy[pid] {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
			s.local.mu.Unlock()
		}
	}
}

func (s *server) converse(c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	var q request
	files, err := receive(c, &q)
	if err != nil {
		closeAll(files)
		return
	}
	if q.Op == "attach" {
		s.attach(c)
		return
	}
	a := s.do(c, q, files)
	closeAll(files)
	_ = send(c, a)
	if q.Op == "close" {
		s.end()
	}
}

// attach counts the connection until the other side closes it.
func (s *server) attach(c *net.UnixConn) {
	s.mu.Lock()
	s.attached++
	s.mu.Unlock()
	_ = send(c, answer{Version: version})
	_, _ = io.Copy(io.Discard, c)
	s.mu.Lock()
	s.attached--
	s.alone = time.Now()
	s.mu.Unlock()
}

func (s *server) do(c *net.UnixConn, q request, files []*os.File) answer {
	switch q.Op {
	case "start":
		if q.Spec == nil || q.Spec.Program == "" {
			return failure(fault.New(fault.Invalid, "node.keeper", "nothing to start"))
		}
		pid, err := s.local.Start(*q.Spec)
		a := failure(err)
		a.Pid = pid
		return a
	case "wait":
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { // until the other side loses interest
			_, _ = io.Copy(io.Discard, c)
			cancel()
		}()
		exit, err := s.local.Wait(ctx, q.ID)
		a := failure(err)
		a.Exit = exit
		return a
	case "flush":
		s.local.Flush(q.ID)
	case "forget":
		s.local.Forget(q.ID)
	case "hold":
		return failure(s.local.Hold(q.ID, q.Note, files...))
	case "release":
		s.local.Release(q.ID)
	case "list":
		all, err := s.local.List()
		a := failure(err)
		a.Listing = &all
		return a
	case "close":
	default:
		return failure(fmt.Errorf("unknown operation %q", q.Op))
	}
	return answer{}
}
