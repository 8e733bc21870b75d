// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
)

// finding is something that doctor found wrong.
type finding struct {
	Part   string `json:"part"` // audit or lake
	Object string `json:"object"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// newDoctor verifies what a stopped Fathom has stored. The audit log is also verified while Fathom runs; the lake is not,
// because only one process may have it open.
func newDoctor() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Verify what is stored: the audit chain, the lake's digests and its indexes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := examine(cmd.Context(), state)
			if err != nil {
				return err
			}
			return tellFindings(cmd, report, output)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "state directory")
	cmd.Flags().StringVar(&output, "output", "", "json, or empty for people")
	return cmd
}

// examined is what was looked at and what is wrong.
type examined struct {
	Entries  uint64    `json:"auditEntries"`
	Lake     bool      `json:"lakeVerified"`
	Datasets int       `json:"datasets"`
	Findings []finding `json:"findings"`
}

func examine(ctx context.Context, state string) (examined, error) {
	report := examined{Findings: []finding{}}
	if _, err := os.Stat(filepath.Join(state, "audit")); errors.Is(err, fs.ErrNotExist) {
		return report, fault.New(fault.NotFound, "doctor", "%s is not a state directory of Fathom", state).WithHint("name it with --state")
	}
	chain, err := audit.Verify(filepath.Join(state, "audit"))
	if err != nil {
		return report, err
	}
	report.Entries = chain.Entries
	for _, problem := range chain.Problems {
		report.Findings = append(report.Findings, finding{
			Part: "audit", Object: "audit log", Detail: problem.String(),
			Hint: "somebody or something changed the log: compare it with the checkpoints kept elsewhere",
		})
	}
	running, err := inUse(state)
	if err != nil || running {
		return report, err
	}
	return report, examineLake(ctx, state, &report)
}

func examineLake(ctx context.Context, state string, report *examined) error {
	store, err := lake.Open(lake.Options{Dir: filepath.Join(state, "lake")})
	if err != nil {
		return err
	}
	defer store.Close()
	damage, err := store.Verify(ctx)
	if err != nil {
		return err
	}
	report.Lake = true
	for _, d := range damage {
		report.Findings = append(report.Findings, finding{Part: "lake", Object: d.Object, Detail: d.Detail, Hint: d.Hint})
	}
	names, err := store.Datasets(ctx, "")
	report.Datasets = len(names)
	return err
}

// inUse reports whether a Fathom runs on the state directory.
func inUse(state string) (bool, error) {
	f, err := os.Open(filepath.Join(state, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fault.Wrap(fault.Forbidden, "doctor", err)
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, fault.Wrap(fault.Internal, "doctor", err)
}

func tellFindings(cmd *cobra.Command, r examined, output string) error {
	out := cmd.OutOrStdout()
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "audit log: %d entries, chain verified\n", r.Entries)
		if r.Lake {
			fmt.Fprintf(out, "lake: %d datasets verified, every blob matches its digest\n", r.Datasets)
		} else {
			fmt.Fprintln(out, "lake: not verified, because Fathom is running on this directory; stop it and run doctor again")
		}
		for _, f := range r.Findings {
			fmt.Fprintf(out, "DAMAGE %s %s: %s; %s\n", f.Part, f.Object, f.Detail, f.Hint)
		}
	}
	if len(r.Findings) > 0 {
		return fault.New(fault.Corrupt, "doctor", "%d findings", len(r.Findings))
	}
	return nil
}
