// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/backup"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/lake"
)

// newRestore is `fathom-server restore`: a state directory from a file of backup.
func newRestore() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a state directory from a backup",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			syscall.Umask(0o022) // pods run as another user and must read the blobs
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			summary, err := restore(ctx, args[0], state, newTicker(cmd.ErrOrStderr(), "restored"))
			if err != nil {
				return err
			}
			if err := settle(summary.State); err != nil {
				return err
			}
			found, err := examine(ctx, summary.State, examination{})
			if err != nil {
				return err
			}
			if err := tellRestored(cmd, summary, found, output); err != nil || len(found.Findings) == 0 {
				return err
			}
			return fault.New(fault.Corrupt, "restore", "%d findings", len(found.Findings)).WithHint("see `fathom doctor --state %s`", summary.State)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory to make; it must be empty or not there")
	cmd.Flags().StringVar(&output, "output", "", "json, or empty for people")
	return cmd
}

// restored is a summary whose State is the new directory.
type restored struct {
	backup.Summary
	From string `json:"from"` // the directory that the backup is of
}

// restore makes the directory beside its place and renames it when it is whole: it is there completely or not at all.
func restore(ctx context.Context, file, state string, progress *ticker) (restored, error) {
	const op = "restore"
	state, err := filepath.Abs(state)
	if err != nil {
		return restored{}, fault.Wrap(fault.Invalid, op, err)
	}
	if err := wantEmpty(state); err != nil {
		return restored{}, err
	}
	parent := filepath.Dir(state)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return restored{}, fault.Wrap(fault.Forbidden, op, err)
	}
	part, err := os.MkdirTemp(parent, ".fathom-restore-*")
	if err != nil {
		return restored{}, fault.Wrap(fault.Forbidden, op, err)
	}
	defer os.RemoveAll(part) // gone already when all went well
	root, err := os.OpenRoot(part)
	if err != nil {
		return restored{}, fault.Wrap(fault.Forbidden, op, err)
	}
	defer root.Close()
	summary, err := backup.Extract(ctx, file, root, progress.of)
	if err != nil {
		return restored{}, err
	}
	objects := filepath.Join(part, objectsFile)
	if err := errors.Join(kube.RestoreSnapshot(objects, part), os.Remove(objects), syncAll(part)); err != nil {
		return restored{}, err
	}
	if err := os.Rename(part, state); err != nil { // over an empty directory, if there is one
		return restored{}, fault.Wrap(fault.Conflict, op, err)
	}
	from := summary.State
	summary.State = state
	return restored{Summary: summary, From: from}, fault.Wrap(fault.Internal, op, syncAll(parent))
}

// settle lets the lake find its tables where it lies now.
func settle(state string) error {
	store, err := lake.Open(lake.Options{Dir: filepath.Join(state, "lake")})
	if err != nil {
		return err
	}
	return store.Close()
}

func wantEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.Wrap(fault.Forbidden, "restore", err)
	case len(entries) > 0:
		return fault.New(fault.Conflict, "restore", "%s is not empty", dir).WithHint("name a directory that is not there yet with --state")
	}
	return nil
}

// syncAll writes everything of the directory's file system to the disk.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fault.Wrap(fault.Internal, "restore", err)
	}
	return fault.Wrap(fault.Internal, "restore", errors.Join(unix.Syncfs(int(f.Fd())), f.Close()))
}

func tellRestored(cmd *cobra.Command, r restored, found examined, output string) error {
	out := cmd.OutOrStdout()
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			restored
			Findings []finding `json:"findings"`
		}{r, found.Findings})
	}
	fmt.Fprintf(out, "%s is restored from %s, a backup of %s from %s: %d files, %s\n", r.State, r.Path, r.From,
		r.Created.Local().Format("2006-01-02 15:04"), r.Files, size(r.Bytes))
	tellLines(out, found)
	fmt.Fprintf(out, "Start it with `fathom up --state %s`. Python environments are built again when code needs them.\n", r.State)
	return nil
}
