// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// errAbsent says that a write left nothing.
var errAbsent = errors.New("absent")

// write is one acknowledged step.
type write struct {
	name string
	do   func() error
	// kept looks, after a restart, for what the write has made: nil when it is there and whole, errAbsent when it is not there.
	kept func() error
}

// store is an open store with the writes that a driver makes, each of which may be made again.
type store struct {
	writes []write
	whole  func() error // verifies everything that the store knows how to; may be nil
	close  func() error
}

// component opens a store in a folder; where is the folder that survives.
type component struct {
	name string
	open func(dir string) (*store, error)
}

func components() []component {
	return []component{
		{"lake", openLake}, {"tracking", openTracking}, {"audit", openAudit}, {"capture", openCapture}, {"registry", openRegistry},
		{"runs", openRuns}, {"backup", openBackup}, {"environments", openEnvironments}, {"keys", openKeys},
	}
}

// driverEnv is "<component> <folder>" in the process that is killed.
const driverEnv = "FATHOM_CRASH_DRIVER"

func TestMain(m *testing.M) {
	if asked := os.Getenv(driverEnv); asked != "" {
		os.Exit(drive(asked))
	}
	os.Exit(m.Run())
}

// say writes past every buffer, so that the parent reads what was said before the kill.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }

func drive(asked string) int {
	runtime.LockOSThread() // strace counts calls by thread
	var name, dir string
	if _, err := fmt.Sscan(asked, &name, &dir); err != nil {
		return 3
	}
	for _, c := range components() {
		if c.name != name {
			continue
		}
		s, err := c.open(dir)
		if err != nil {
			say("refused to open: %v", err)
			return 2
		}
		for i, w := range s.writes {
			say("begin %d", i)
			if err := w.do(); err != nil {
				say("failed %d %v", i, err)
				continue
			}
			say("kept %d", i)
		}
		if err := s.close(); err != nil {
			say("refused to close: %v", err)
			return 2
		}
		say("done")
		return 0
	}
	return 3
}
