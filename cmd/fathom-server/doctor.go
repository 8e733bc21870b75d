// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// newDoctor verifies what is stored, also while Fathom runs on it.
func newDoctor() *cobra.Command {
	var state, output string
	var asked examination
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Verify what is stored: keys, objects, databases, the audit chain, and every byte against its digest",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			syscall.Umask(0o022) // what is put again is read by pods
			report, err := examine(cmd.Context(), state, asked)
			if err != nil {
				return err
			}
			return tellFindings(cmd.OutOrStdout(), report, output)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "state directory")
	cmd.Flags().StringVar(&output, "output", "", "json, or empty for people")
	cmd.Flags().BoolVar(&asked.repair, "repair", false, "put right what can be without loss; Fathom must be stopped")
	cmd.Flags().StringVar(&asked.witness, "witness", "", "file of audit checkpoints that was kept elsewhere, see `up --audit-witness`")
	return cmd
}

// finding is something that doctor found wrong.
type finding struct {
	Part   string   `json:"part"` // keys, objects, database, audit, lake, models, capture, sources, runs, environments, disk
	Object string   `json:"object"`
	File   string   `json:"file,omitempty"`
	Detail string   `json:"detail"`
	UsedBy []string `json:"usedBy,omitempty"`
	Hint   string   `json:"hint,omitempty"`
	Mended bool     `json:"mended,omitempty"`
}

func (f finding) String() string {
	word := "DAMAGE"
	if f.Mended {
		word = "MENDED"
	}
	line := fmt.Sprintf("%s %s %s: %s", word, f.Part, f.Object, f.Detail)
	if f.File != "" && !strings.Contains(f.Detail, f.File) {
		line += " (" + f.File + ")"
	}
	if n := len(f.UsedBy); n > 0 {
		shown := f.UsedBy[:min(n, 5)]
		line += "; needed by " + strings.Join(shown, ", ")
		if n > len(shown) {
			line += fmt.Sprintf(" and %d more", n-len(shown))
		}
	}
	if f.Hint != "" && !f.Mended {
		line += "; " + f.Hint
	}
	return line
}

// examined is what was looked at and what is wrong.
type examined struct {
	State    string         `json:"state"`
	Running  bool           `json:"running"`
	Counts   map[string]int `json:"counts"` // what was verified, by part
	Findings []finding      `json:"findings"`
}

// left are the findings that were not mended.
func (r examined) left() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Mended {
			n++
		}
	}
	return n
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

func tellFindings(out io.Writer, r examined, output string) error {
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		tellLines(out, r)
	}
	if n := r.left(); n > 0 {
		return fault.New(fault.Corrupt, "doctor", "%d findings", n)
	}
	return nil
}

func tellLines(out io.Writer, r examined) {
	bad := map[string]bool{}
	for _, f := range r.Findings {
		bad[f.Part] = bad[f.Part] || !f.Mended
	}
	for _, part := range parts {
		verdict := part.well
		if bad[part.name] {
			verdict = "damaged, see below"
		}
		if n, looked := r.Counts[part.name]; looked && strings.Contains(part.counts, "%d") {
			fmt.Fprintf(out, "%s: %s, %s\n", part.title, fmt.Sprintf(part.counts, n), verdict)
		} else if looked {
			fmt.Fprintf(out, "%s: %s\n", part.title, verdict)
		}
	}
	for _, f := range r.Findings {
		fmt.Fprintln(out, f)
	}
}
