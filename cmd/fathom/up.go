// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/dist"
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
			argv := []string{"", "up"}
			if state := valueOf(args, "--state"); state != "" {
				g.state = state
			} else if !mentions(args, "--state") {
				argv = append(argv, "--state", g.state)
			}
			server, err := sibling("fathom-server", g.programs())
			if err != nil {
				return err
			}
			argv[0] = server
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

// valueOf is what a flag is given, as "--flag value" or "--flag=value"; "" when it is not there.
func valueOf(args []string, flag string) string {
	for i, a := range args {
		if value, found := strings.CutPrefix(a, flag+"="); found {
			return value
		}
		if a == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// programs is where programs are unpacked that came inside this one.
func (g *global) programs() string { return filepath.Join(g.state, "programs") }

// sibling finds one of Fathom's programs: beside this one, or inside of it, unpacked into a folder by its digest.
func sibling(name, programs string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	folder, err := dist.Unpack(self, programs)
	if fault.Is(err, fault.NotFound) {
		return "", fault.New(fault.Unavailable, "fathom", "%s is neither beside %s nor inside of it", name, self).
			WithHint("keep Fathom's binaries together in one folder, or use the one file that `make dist` makes")
	}
	return filepath.Join(folder, name), err
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
	cmd.Flags().StringVar(&witness, "witness", "", "compare the audit log with this `file` of checkpoints, which fathom up --audit-witness keeps")
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
	programs := g.programs()
	if cache, err := os.UserCacheDir(); err == nil && len(arguments) > 0 && arguments[0] == "restore" { // which wants an empty directory
		programs = filepath.Join(cache, "fathom", "programs")
	}
	server, err := sibling("fathom-server", programs)
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
