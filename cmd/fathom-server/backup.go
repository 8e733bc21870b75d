// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/backup"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/lake"
)

// newBackup is `fathom-server backup`: a state directory into one file, also while Fathom runs on it.
func newBackup() *cobra.Command {
	var state, output, program string
	var verify bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything that the state directory keeps into one file; it holds all keys",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			var summary backup.Summary
			var err error
			if verify {
				summary, err = backup.Verify(ctx, args[0], newTicker(cmd.ErrOrStderr(), "verified").of)
			} else {
				summary, err = takeBackup(ctx, state, args[0], program, newTicker(cmd.ErrOrStderr(), "read"))
			}
			if err != nil {
				return err
			}
			return tellBackup(cmd.OutOrStdout(), summary, output, verify)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "state directory")
	cmd.Flags().StringVar(&output, "output", "", "json, or empty for people")
	cmd.Flags().StringVar(&program, "program", "", "version that the backup says it is from")
	cmd.Flags().BoolVar(&verify, "verify", false, "read FILE and compare every byte with its digest; write nothing")
	return cmd
}

func tellBackup(out io.Writer, s backup.Summary, output string, verified bool) error {
	if output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	what := "written"
	if verified {
		what = "whole: every file matches its digest"
	}
	fmt.Fprintf(out, "%s is %s\n  of %s on %s, %s\n  %d files, %s; the backup has %s, SHA-256 %s\n", s.Path, what,
		s.State, s.Host, s.Created.Local().Format(time.RFC1123), s.Files, size(s.Bytes), size(s.Size), s.SHA256)
	if !verified {
		fmt.Fprintln(out, "It holds the keys of this Fathom: whoever can read it can read everything. Keep it where only you can, on another disk.")
	}
	return nil
}

// takeBackup adds the parts in the order in which they refer to each other: what a part names was written before the part, so
// it is there when its turn comes, and nothing of it is removed meanwhile.
func takeBackup(ctx context.Context, state, file, program string, progress *ticker) (backup.Summary, error) {
	state, err := existingState(state)
	if err != nil {
		return backup.Summary{}, err
	}
	running, err := inUse(state)
	if err != nil {
		return backup.Summary{}, err
	}
	release, err := lake.Hold(ctx, filepath.Join(state, "lake"))
	if err != nil {
		return backup.Summary{}, err
	}
	defer release() // it ends with the process at the latest
	host, _ := os.Hostname()
	total := bytesBelow(state)
	w, err := backup.Create(file, backup.Options{
		Header:   backup.Header{Program: program, State: state, Host: host, Created: time.Now().UTC(), Running: running},
		Progress: func(n int64) { progress.of(n, max(n, total)) },
	})
	if err != nil {
		return backup.Summary{}, err
	}
	if err := addParts(ctx, w, state); err != nil {
		return backup.Summary{}, errors.Join(err, w.Discard())
	}
	return w.Close()
}

const objectsFile = "etcd-snapshot.db" // the Kubernetes objects, as etcd's own tools read them

func addParts(ctx context.Context, w *backup.Writer, state string) error {
	in := func(parts ...string) string { return filepath.Join(append([]string{state}, parts...)...) }
	objects := filepath.Join(w.Scratch(), objectsFile)
	if err := kube.Snapshot(ctx, state, objects); err != nil {
		return err
	}
	if err := errors.Join(w.File(ctx, objects, objectsFile), os.Remove(objects)); err != nil {
		return err
	}
	if err := addDatabases(ctx, w, in("db")); err != nil {
		return err
	}
	// Checkpoints before the entries that they sign; the lines that come meanwhile are in the next backup.
	if err := w.File(ctx, in("audit", "checkpoints"), "audit/checkpoints"); err != nil {
		return err
	}
	for _, part := range []struct {
		path  string
		leave func(string) bool
	}{
		{"staging", nil},
		{"uploads", nil},
		{"capture", nil},
		{"lake/objects", unfinishedUpload},
		{"lake/blobs", func(p string) bool { return p == "tmp" }},
		{"lake/warehouse", nil},
		{"node/volumes", nil},
		{"audit", func(p string) bool { return p == "lock" || p == "checkpoints" }},
		{"pki", nil},
	} {
		if _, err := os.Stat(in(part.path)); errors.Is(err, fs.ErrNotExist) {
			continue // it was never used
		}
		if err := w.Tree(ctx, in(part.path), part.path, part.leave); err != nil {
			return err
		}
	}
	return nil
}

// addDatabases adds the lake's last: the others name what it holds, and its lineage names what its catalog holds.
func addDatabases(ctx context.Context, w *backup.Writer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		return fault.Wrap(fault.Internal, "backup", err)
	}
	last := []string{"lineage.db", "catalog.db"}
	files = slices.DeleteFunc(files, func(f string) bool { return slices.Contains(last, filepath.Base(f)) })
	for _, name := range last {
		files = append(files, filepath.Join(dir, name))
	}
	for _, file := range files {
		if err := w.SQLite(ctx, file, "db/"+filepath.Base(file)); err != nil {
			return err
		}
	}
	return nil
}

// unfinishedUpload: bodies that are still arriving were not acknowledged.
func unfinishedUpload(path string) bool {
	return path == ".stage" || strings.HasPrefix(path, ".stage/")
}

func existingState(state string) (string, error) {
	state, err := filepath.Abs(state)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "state", err)
	}
	if _, err := os.Stat(filepath.Join(state, "pki")); errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "state", "%s is not a state directory of Fathom", state).WithHint("name it with --state")
	} else if err != nil {
		return "", fault.Wrap(fault.Forbidden, "state", err)
	}
	return state, nil
}

// bytesBelow estimates how much there is to read.
func bytesBelow(state string) int64 {
	var sum int64
	for _, part := range []string{"db", "etcd/member/snap", "staging", "capture", "lake/objects", "lake/blobs", "audit"} {
		_ = filepath.WalkDir(filepath.Join(state, part), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // it is an estimate
			}
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
			return nil
		})
	}
	return sum
}

// ticker tells people how far something is, at most twice a second and only on a terminal.
type ticker struct {
	out      io.Writer
	verb     string
	terminal bool
	begun    time.Time
	told     time.Time
}

func newTicker(out io.Writer, verb string) *ticker {
	t := &ticker{out: out, verb: verb, begun: time.Now()}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		t.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return t
}

func (t *ticker) of(done, total int64) {
	if !t.terminal || time.Since(t.told) < 500*time.Millisecond && done < total {
		return
	}
	t.told = time.Now()
	left := "…"
	if took := time.Since(t.begun); done > 0 && took > time.Second {
		left = (time.Duration(float64(took) * float64(total-done) / float64(done))).Round(time.Second).String() + " left"
	}
	fmt.Fprintf(t.out, "\r\x1b[K%s of %s %s, %s", size(done), size(total), t.verb, left)
	if done >= total {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
}

// size in bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
