// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
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
	var repair bool
	var witness string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Verify what is stored on this machine",
		Long: "Verify what is stored on this machine, also while Fathom runs: keys, Kubernetes objects, databases, the audit chain, and every byte " +
			"against its digest. Each damage is named with its file and what to do.",
		Example: "  fathom doctor --state ./study-state\n" +
			"  fathom doctor --repair  # puts right what can be without loss; Fathom must be stopped",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return g.server("doctor", "--state", g.state, "--output", g.machine(), fmt.Sprintf("--repair=%v", repair), "--witness", witness)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "put right what can be without loss; Fathom must be stopped")
	cmd.Flags().StringVar(&witness, "witness", "", "compare the audit log with this file of checkpoints, see `fathom up --audit-witness`")
	return cmd
}

func newBackup(g *global) *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything into one file",
		Long: "Write everything that the state directory keeps into one file, also while Fathom runs: the Kubernetes objects, datasets with all " +
			"versions, files in buckets, experiments, models, lineage, captured traffic, the audit log, and the keys.\n\n" +
			"The file holds the keys of this Fathom and all personal data that it has: whoever can read it can read everything. Only its owner " +
			"may (mode 0600); keep it on another disk, encrypted if others can reach that. Python environments, logs and sandboxes are left out, " +
			"they are made again.",
		Example: "  fathom backup /mnt/backups/monday.fathom\n" +
			"  fathom backup --verify /mnt/backups/monday.fathom  # read it again and compare every byte with its digest",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return g.server("backup", "--state", g.state, "--output", g.machine(), "--program", version, fmt.Sprintf("--verify=%v", verify), "--", args[0])
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "read FILE and compare every byte with its digest; write nothing")
	return cmd
}

func newRestore(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a state directory from a backup",
		Long: "Make a state directory from a backup, on this or another machine, at this or another path. The directory given with --state must " +
			"be empty or not there; it appears when everything in it matches its digest, and not before. Then `fathom up` goes on where the backup " +
			"was taken: nothing is computed again.",
		Example: "  fathom restore /mnt/backups/monday.fathom --state ./restored\n" +
			"  fathom up --state ./restored",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return g.server("restore", "--state", g.state, "--output", g.machine(), "--", args[0])
		},
	}
}

// server becomes a verb of fathom-server, which links what knows the state directory.
func (g *global) server(arguments ...string) error {
	server, err := sibling("fathom-server")
	if err != nil {
		return err
	}
	return syscall.Exec(server, append([]string{server}, arguments...), os.Environ())
}

// machine is the output format that fathom-server's verbs know.
func (g *global) machine() string {
	if g.forPrograms() {
		return "json"
	}
	return ""
}
