// SPDX-License-Identifier: Apache-2.0

// Package keeper holds on to what pods need while Fathom itself is not there: the processes of containers as their parent,
// which learns how they end; their output, which it writes into log files; the namespaces of pods.
//
// A Local keeps them for as long as its own process lives. The program fathom-keep is a process with a Local that it serves
// on a Unix socket of the state directory (Serve); Fathom starts it, or finds the one of its former run (Attach). When no
// Fathom has been attached for a while, or its directory is gone, the program ends everything that it keeps, so that nothing
// runs on that nobody watches.
package keeper

import (
	"context"
	"os"
	"time"
)

// Spec says what to start.
type Spec struct {
	// ID is unique; Pod is the pod that it belongs to.
	ID, Pod string
	// Program is a path; Args begins with the name under which the program is called.
	Program string
	Args    []string
	Env     []string
	Dir     string
	// PidFile, if set, names the file in which the program leaves the number of the process that is meant, before it ends.
	PidFile string
	// Log is the file that takes the output.
	Log string
}

// State of a kept process.
type State struct {
	ID, Pod string
	Pid     int
	Ended   bool
	Exit    Exit
}

// Exit tells how a process ended.
type Exit struct {
	// Code is the exit code, or 128 plus the number of the signal.
	Code int
	At   time.Time
	// Lost: how it ended could not be learned.
	Lost bool
}

// Held are namespaces, or whatever else files stand for.
type Held struct {
	Name, Note string
	// Pid and Fds say where another process finds the files: /proc/<Pid>/fd/<Fd>.
	Pid int
	Fds []int
}

// Listing is all that a keeper has.
type Listing struct {
	Processes []State
	Held      []Held
}

// Keeper is a Local, or a connection to one.
type Keeper interface {
	// Start starts a process and returns its number. A program that cannot be started, or fails before it has left the
	// number of another, gives an error of kind Invalid.
	Start(spec Spec) (pid int, err error)
	// Wait waits for the end of a process. An unknown one gives an error of kind NotFound.
	Wait(ctx context.Context, id string) (Exit, error)
	// Flush waits until all output of an ended process is in its log, at most a second.
	Flush(id string)
	// Forget removes the record of an ended process.
	Forget(id string)
	// Hold takes files under a name, with a note.
	Hold(name, note string, files ...*os.File) error
	// Release lets go of the files of a name.
	Release(name string)
	// List gives everything that is kept.
	List() (Listing, error)
	// Outlives tells whether what is kept outlives this process.
	Outlives() bool
	// Close ends the keeper, and what it keeps.
	Close() error
}
