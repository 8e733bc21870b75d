// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// remote is a Keeper behind a socket.
type remote struct {
	dir  string
	life *net.UnixConn // open for as long as this process uses the keeper
}

// startLimit is how long the program may take to open its socket.
const startLimit = 10 * time.Second

// Attach connects to the keeper of dir, and starts the program if there is none. grace is how long it keeps things while
// nobody is attached.
func Attach(program, dir string, grace time.Duration) (Keeper, error) {
	if r, err := connect(dir); err == nil {
		return r, nil
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "keep.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.keeper", err)
	}
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(program, dir, grace.String())
	cmd.Stderr, cmd.Env = logFile, []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends Fathom's session does not end it
	if err := cmd.Start(); err != nil {
		return nil, fault.Wrap(fault.NotFound, "node.keeper", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(startLimit); ; {
		r, err := connect(dir)
		if err == nil {
			return r, nil
		}
		select {
		case why := <-ended:
			return nil, fault.New(fault.Unavailable, "node.keeper", "%s ended at once: %v", program, why).WithHint("see %s", logFile.Name())
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(end) {
			return nil, fault.Wrap(fault.Unavailable, "node.keeper", err)
		}
	}
}

// connect attaches to a keeper that is there; one of another version is ended.
func connect(dir string) (*remote, error) {
	r := &remote{dir: dir}
	c, err := r.dial()
	if err != nil {
		return nil, err
	}
	var a answer
	if err := send(c, request{Op: "attach"}); err != nil {
		_ = c.Close()
		return nil, err
	}
	if _, err := receive(c, &a); err != nil {
		_ = c.Close()
		return nil, err
	}
	if a.Version != version {
		_, err := r.ask(request{Op: "close"})
		_ = c.Close()
		return nil, fault.New(fault.Unavailable, "node.keeper", "one of version %d was there, end it: %v", a.Version, err)
	}
	r.life = c
	return r, nil
}

func (r *remote) dial() (*net.UnixConn, error) {
	var c *net.UnixConn
	err := within(r.dir, func(path string) (err error) {
		c, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	return c, err
}

func (r *remote) ask(q request, files ...*os.File) (answer, error) {
	return r.askWithin(context.Background(), q, files...)
}

func (r *remote) askWithin(ctx context.Context, q request, files ...*os.File) (answer, error) {
	var a answer
	c, err := r.dial()
	if err != nil {
		return a, fault.Wrap(fault.Unavailable, "node.keeper", err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := send(c, q, files...); err != nil {
		return a, fault.Wrap(fault.Unavailable, "node.keeper", err)
	}
	if _, err := receive(c, &a); err != nil {
		return a, fault.Wrap(fault.Unavailable, "node.keeper", err)
	}
	return a, a.err()
}

func (r *remote) Start(s Spec) (int, error) {
	a, err := r.ask(request{Op: "start", Spec: &s})
	return a.Pid, err
}

func (r *remote) Wait(ctx context.Context, id string) (Exit, error) {
	a, err := r.askWithin(ctx, request{Op: "wait", ID: id})
	return a.Exit, err
}

func (r *remote) Flush(id string)  { _, _ = r.ask(request{Op: "flush", ID: id}) }
func (r *remote) Forget(id string) { _, _ = r.ask(request{Op: "forget", ID: id}) }

func (r *remote) Hold(name, note string, files ...*os.File) error {
	_, err := r.ask(request{Op: "hold", ID: name, Note: note}, files...)
	return err
}

func (r *remote) Release(name string) { _, _ = r.ask(request{Op: "release", ID: name}) }

func (r *remote) List() (Listing, error) {
	a, err := r.ask(request{Op: "list"})
	if err != nil || a.Listing == nil {
		return Listing{}, err
	}
	return *a.Listing, nil
}

func (r *remote) Outlives() bool { return true }

func (r *remote) Close() error {
	_, err := r.ask(request{Op: "close"})
	return err
}
