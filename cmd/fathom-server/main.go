// SPDX-License-Identifier: Apache-2.0

// Command fathom-server is the server side of Fathom.
package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime/debug"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// version is set when the binary is built.
var version = "v0.1.0-dev"

func main() {
	// The control plane's heap is mostly caches that live long: collecting earlier saves some 50 MB for little time.
	debug.SetGCPercent(40)
	root := &cobra.Command{
		Use:           "fathom-server",
		Short:         "The server side of Fathom",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Invalid, "fathom "+cmd.Name(), "%v", err).WithHint("see `fathom %s --help`", cmd.Name())
	})
	root.AddCommand(newUp(), newKube(), newDoctor(), newBackup(), newRestore())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", inner.ReplaceAllString(err.Error(), "$1"))
		os.Exit(exitCode(err))
	}
}

// inner are names of our functions, with which errors begin; they tell people nothing.
var inner = regexp.MustCompile(`(^|: )[a-z]+\.[A-Z][A-Za-z]*: `)

// exitCode tells scripts what to do: 3 the directory or an object is in use, 4 something is not available (a port),
// 5 stored data is damaged, 6 no permission, 7 no space, 8 not found, 2 wrong usage, 1 anything else.
func exitCode(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return 2
	case fault.Conflict:
		return 3
	case fault.Unavailable:
		return 4
	case fault.Corrupt:
		return 5
	case fault.Forbidden:
		return 6
	case fault.Exhausted:
		return 7
	case fault.NotFound:
		return 8
	}
	return 1
}
