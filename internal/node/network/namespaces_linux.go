// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

// Namespaces are what the containers of a pod share. They live as long as these files or a process in them: nothing is
// mounted, so nothing is left behind when Fathom is killed.
type Namespaces struct {
	Net, IPC, UTS *os.File
}

// Path under which another program can join the namespace behind f.
func Path(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// NewNamespaces makes the namespaces of a pod with that hostname.
func NewNamespaces(hostname string) (*Namespaces, error) {
	type result struct {
		ns  *Namespaces
		err error
	}
	done := make(chan result)
	go func() {
		// The thread stays in the new namespaces, so it is never unlocked: it ends with this goroutine.
		runtime.LockOSThread()
		ns, err := unshare(hostname)
		done <- result{ns, err}
	}()
	r := <-done
	return r.ns, fault.Wrap(fault.Unavailable, "node.network: namespaces", r.err)
}

func unshare(hostname string) (*Namespaces, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return nil, err
	}
	disableIPv6("/proc/sys/net/ipv6/conf/all")
	set := func(name, value string) { _ = os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644) } //nolint:gosec // a kernel setting
	set("ip_unprivileged_port_start", "0")
	set("ping_group_range", "0 2147483647")
	ns := &Namespaces{}
	for name, file := range map[string]**os.File{"net": &ns.Net, "ipc": &ns.IPC, "uts": &ns.UTS} {
		f, err := os.Open("/proc/thread-self/ns/" + name)
		if err != nil {
			ns.Close()
			return nil, err
		}
		*file = f
	}
	return ns, nil
}

// Close lets go of the namespaces.
func (n *Namespaces) Close() {
	for _, f := range []*os.File{n.Net, n.IPC, n.UTS} {
		if f != nil {
			_ = f.Close()
		}
	}
}
