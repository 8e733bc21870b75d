// SPDX-License-Identifier: Apache-2.0

// Package isolation is the contract between the local node and the ways in which it runs containers.
//
// A Runtime opens pods; a Pod starts containers; a Process is one started container. The node above decides what
// runs when; a runtime below only knows how. Two runtimes implement it: package sandbox (namespaces, through runc)
// and package process (plain processes of the current user).
package isolation

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Level names how far containers are kept apart from the host and from each other.
type Level string

const (
	// LevelSandbox gives each pod its own namespaces, root file system and unprivileged user.
	LevelSandbox Level = "sandbox"
	// LevelProcess runs plain processes of the current user with directories of their own.
	LevelProcess Level = "process"
)

// Where Fathom's own things appear in every container.
const (
	// BinPath holds Fathom's programs, read-only.
	BinPath = "/fathom/bin"
	// EnvironmentPath holds the pod's language environment, read-only, if it asks for one.
	EnvironmentPath = "/fathom/env"
)

// Runtime runs pods at one Level.
type Runtime interface {
	// Level of isolation that this runtime gives.
	Level() Level
	// Unenforced lists, in words for people, what a cluster's node would enforce and this one does not.
	Unenforced() []string
	// HostAddress is the address at which pods reach the node's forwards to the host.
	HostAddress() netip.Addr
	// Sweep ends whatever a former run of the node left behind, except what a keeper has kept. Call it before the first
	// Open.
	Sweep(ctx context.Context) error
	// Kept lists the pods of a former run that still live. Adopt takes one over, as Open did; Abandon ends it.
	Kept() []string
	Adopt(pod PodConfig) (Pod, error)
	Abandon(pod string)
	// Open prepares a pod: namespaces, an address, names.
	Open(ctx context.Context, pod PodConfig) (Pod, error)
	// Close releases what the runtime holds on the host. All pods must be closed.
	Close() error
	// Leave ends this process's part only: pods go on and can be adopted. It is false when nothing would outlive this
	// process; then nothing has been done.
	Leave() bool
}

// PodConfig says what a pod's containers share.
type PodConfig struct {
	// ID is unique among pods and safe as a file name (the pod's UID).
	ID string
	// Dir belongs to the pod; the runtime may create entries starting with "run-" in it.
	Dir string
	// Hostname inside the pod.
	Hostname string
	// Namespace and Subdomain locate the pod's own name, <Hostname>.<Subdomain>.<Namespace>.svc; Subdomain may be empty.
	Namespace, Subdomain string
	// Hosts are further lines of the hosts file.
	Hosts []HostAlias
	// Names says how names are resolved; the zero value means as the cluster does.
	Names Names
}

// Names is what a pod adds to how names are resolved.
type Names struct {
	// Only: without what the cluster says.
	Only                       bool
	Servers, Searches, Options []string
}

// HostAlias is a line of a hosts file.
type HostAlias struct {
	Address string
	Names   []string
}

// Pod is an opened pod.
type Pod interface {
	// Address of the pod, reachable from the host and from other pods.
	Address() netip.Addr
	// Start runs a container and returns once its program runs. A program that cannot be executed gives a *StartError.
	Start(ctx context.Context, c Container) (Process, error)
	// Adopt finds a container that a former run started in an adopted pod, whether it still runs or has ended since.
	Adopt(id, dir string) (Process, bool)
	// Dial connects from the host to a TCP port of the pod.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Close kills what still runs and releases the pod's resources.
	Close(ctx context.Context) error
}

// Container says what to run.
type Container struct {
	// ID is unique among all containers and attempts, safe as a file name.
	ID string
	// Dir belongs to this attempt: the runtime keeps its files here.
	Dir string
	// Args is the program and its arguments; never empty.
	Args []string
	// Env holds KEY=value pairs; a later pair wins.
	Env []string
	// WorkingDir is absolute, as seen inside; empty means "/".
	WorkingDir string
	// Root is the host directory of an unpacked image that the container sees as "/", over which what it writes is laid; empty
	// means the host's own programs, read-only. ReadOnly: nothing of the image can be written over either.
	Root     string
	ReadOnly bool
	// Environment is the host directory of the language environment mounted at EnvironmentPath; empty for none.
	Environment string
	Mounts      []Mount
	User        User
	Limits      Limits
	// Log is the file that takes what the program writes, in the format of package output.
	Log string
}

// Mount shows a host path inside a container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
	// Opened, if set, is the source itself, open until the container has started: a sandbox shows this file or directory
	// even when something else has meanwhile taken its place at Source.
	Opened *os.File `json:"-"`
}

// User is who a container runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Limits bound what a container uses; zero means no bound.
type Limits struct {
	// CPURequest and CPULimit are in thousandths of a core.
	CPURequest, CPULimit int64
	// Memory is in bytes.
	Memory int64
	// Processes is the largest number of processes and threads.
	Processes int64
}

// Process is a started container.
type Process interface {
	// Done is closed when the program has ended.
	Done() <-chan struct{}
	// Exit tells how it ended; valid after Done.
	Exit() Exit
	// Flush waits, after Done, until all that it wrote is in its log.
	Flush()
	// Signal sends a signal to the program.
	Signal(s syscall.Signal) error
	// Kill ends the program and everything it started, at once.
	Kill() error
	// Exec runs another command in the container and returns its exit code.
	Exec(ctx context.Context, e Exec) (int, error)
	// Usage is what the container has used; an error when that is not known.
	Usage() (Usage, error)
	// Close releases the container's resources; call it after Done.
	Close(ctx context.Context) error
}

// Usage is what a container has used so far and uses now.
type Usage struct {
	// CPU is the time of processors since the start.
	CPU time.Duration
	// Memory is in bytes, without what the kernel can take back at once.
	Memory uint64
}

// Exit tells how a program ended.
type Exit struct {
	// Code is the exit code, or 128 plus the number of the signal that killed it.
	Code int
	// OutOfMemory: the kernel killed a process of the container because of its memory limit.
	OutOfMemory bool
	At          time.Time
}

// Exec is a command to run in a running container. Nil streams are empty or discarded.
type Exec struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// TTY gives the command a terminal; Stderr is then unused. Resize may be nil.
	TTY    bool
	Resize <-chan Size
}

// Size is that of a terminal, in characters.
type Size struct{ Width, Height uint16 }

// StartError: the program could not be executed (not found, not executable, bad working directory).
type StartError struct{ Message string }

func (e *StartError) Error() string { return fmt.Sprintf("start container: %s", e.Message) }

// Lookup returns the last value of a variable in KEY=value pairs.
func Lookup(env []string, key string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], key+"="); ok {
			return v, true
		}
	}
	return "", false
}
