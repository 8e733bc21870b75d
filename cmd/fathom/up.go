// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

func newUp(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "up [flags of fathom-server up]",
		Short: "Run Fathom on this machine until Ctrl-C",
		Long:  "Run Fathom on this machine until Ctrl-C: a Kubernetes API, a node, a lake and all doors in one process, all state in one directory.",
		Example: "  fathom up\n" +
			"  fathom up --state ./study-state",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := sibling("fathom-server")
			if err != nil {
				return err
			}
			argv := []string{server, "up"}
			if !mentions(args, "--state") {
				argv = append(argv, "--state", g.state)
			}
			return syscall.Exec(server, append(argv, args...), os.Environ())
		},
	}
}

func mentions(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || len(a) > len(flag) && a[:len(flag)+1] == flag+"=" || a == "-h" || a == "--help" {
			return true
		}
	}
	return false
}

// sibling finds one of Fathom's binaries beside this one.
func sibling(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fault.New(fault.Unavailable, "fathom", "%s is not beside %s", name, self).
			WithHint("keep Fathom's binaries together in one folder")
	}
	return path, nil
}

func newDoctor(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Verify what is stored on this machine",
		Long:    "Verify what is stored on this machine: the audit chain, the digests of all that the lake holds, and the indexes.",
		Example: "  fathom doctor --state ./study-state",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			server, err := sibling("fathom-server")
			if err != nil {
				return err
			}
			return syscall.Exec(server, []string{server, "doctor", "--state", g.state, "--output", g.output}, os.Environ())
		},
	}
}
