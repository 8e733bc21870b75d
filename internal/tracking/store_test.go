// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// open makes a store in a new folder, with a clock that moves on by a millisecond a look.
func open(t testing.TB) *Store {
	t.Helper()
	s := reopen(t, filepath.Join(t.TempDir(), "tracking.db"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func reopen(t testing.TB, path string) *Store {
	t.Helper()
	var looks atomic.Int64
	s, err := Open(Options{Path: path, Now: func() time.Time { return time.UnixMilli(1_700_000_000_000 + looks.Add(1)) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func in(t testing.TB, s *Store, name string) *Workspace {
	t.Helper()
	w, err := s.In(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newRun(t testing.TB, w *Workspace, experiment string) Run {
	t.Helper()
	run, err := w.CreateRun(t.Context(), NewRun{Experiment: experiment, User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// must fails the test on an error and gives the value otherwise.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("got %q (%v), want kind %q", fault.KindOf(err), err, kind)
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracking.db")
	s := reopen(t, path)
	w := in(t, s, "neurology")
	run := newRun(t, w, "0")
	if err := w.LogBatch(t.Context(), run.ID, Batch{Metrics: []Metric{{Key: "auc", Value: 0.9}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, path)
	defer s.Close()
	got := must(in(t, s, "neurology").Run(t.Context(), run.ID))(t)
	if len(got.Metrics) != 1 || got.Metrics[0].Value != 0.9 {
		t.Errorf("after opening again the run has %v", got.Metrics)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	db := must(sql.Open("sqlite3", newer))(t)
	must(db.Exec("PRAGMA user_version = 999"))(t)
	db.Close()
	for name, want := range map[string]fault.Kind{garbage: fault.Corrupt, newer: fault.Corrupt, filepath.Join(dir, "absent", "x.db"): fault.Unavailable, "": fault.Internal} {
		_, err := Open(Options{Path: name})
		wantKind(t, err, want)
	}
}

func TestWorkspaceNames(t *testing.T) {
	s := open(t)
	for _, name := range []string{"", "Upper", "a/b", "../x", "a b", strings.Repeat("x", 64)} {
		_, err := s.In(t.Context(), name)
		wantKind(t, err, fault.Invalid)
	}
}

func TestDeleteWorkspaceLeavesNothing(t *testing.T) {
	s := open(t)
	fill(t, in(t, s, "gone"))
	kept := fill(t, in(t, s, "kept"))
	before := countRows(t, s)
	fill(t, in(t, s, "third"))
	for _, name := range []string{"third", "gone", "absent"} {
		if err := s.DeleteWorkspace(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	after := countRows(t, s)
	for table, n := range before {
		if after[table]*2 != n {
			t.Errorf("%s: %d rows for two workspaces, %d after one was deleted", table, n, after[table])
		}
		if n == 0 {
			t.Errorf("%s: the test fills no row of it", table)
		}
	}
	if _, err := in(t, s, "kept").Run(t.Context(), kept.run); err != nil {
		t.Error(err)
	}
}

func TestDeletedWorkspaceTakesNoWrites(t *testing.T) {
	s := open(t)
	old := in(t, s, "neurology")
	if err := s.DeleteWorkspace(t.Context(), "neurology"); err != nil {
		t.Fatal(err)
	}
	_, err := old.CreateRegisteredModel(t.Context(), "m", "", nil)
	wantKind(t, err, fault.NotFound)
}

func countRows(t *testing.T, s *Store) map[string]int {
	t.Helper()
	r := s.pool.with(context.Background())
	tables := must(collect(r, func(s scanner) (string, error) {
		var name string
		err := s.Scan(&name)
		return name, err
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"))(t)
	counts := map[string]int{}
	for _, table := range tables {
		var n int
		if err := r.row("SELECT count(*) FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[table] = n
	}
	return counts
}

// filled are the identifiers of one thing of each sort in a workspace.
type filled struct {
	experiment, run, logged, model, artifact string
}

// fill writes at least one row into every table.
func fill(t testing.TB, w *Workspace) filled {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := filled{model: "m-" + w.Name(), artifact: "0/run/artifacts/" + w.Name()}
	f.experiment = must(w.CreateExperiment(ctx, "study of "+w.Name(), "", []Tag{{"a", "b"}}))(t)
	f.run = newRun(t, w, f.experiment).ID
	f.logged = must(w.CreateLoggedModel(ctx, NewLoggedModel{Experiment: f.experiment, Name: "x", Run: f.run, Params: []Tag{{"p", "1"}}, Tags: []Tag{{"t", "1"}}}))(t).ID
	check(w.LogBatch(ctx, f.run, Batch{Metrics: []Metric{{Key: "auc", Value: 1, Model: f.logged}}, Params: []Tag{{"C", "1"}}, Tags: []Tag{{"t", "1"}}}))
	check(w.LogInputs(ctx, f.run, []Input{{Dataset: Dataset{Name: "d", Digest: "1", SourceType: "x", Source: "y"}, Tags: []Tag{{contextTag, "training"}}}}, nil))
	check(w.LogOutputs(ctx, f.run, []ModelUse{{Model: f.logged}}))
	must(w.CreateRegisteredModel(ctx, f.model, "", []Tag{{"a", "b"}}))(t)
	must(w.CreateVersion(ctx, f.model, NewVersion{Source: "models:/" + f.logged, Tags: []Tag{{"a", "b"}}}))(t)
	check(w.SetAlias(ctx, f.model, "production", 1))
	check(w.PutArtifact(ctx, f.artifact, "sha256:"+"00", 1))
	return f
}

func TestWorkspaceDeletionKnowsEveryTable(t *testing.T) {
	s := open(t)
	for table := range countRows(t, s) {
		known := slices.ContainsFunc(workspaceDeletion, func(statement string) bool {
			return strings.HasPrefix(statement, "DELETE FROM "+table+" ")
		})
		if !known {
			t.Errorf("DeleteWorkspace leaves %s", table)
		}
	}
}
