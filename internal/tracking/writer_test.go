// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// TestGroupKeepsWritesApart commits good, failing and panicking writes in one transaction.
func TestGroupKeepsWritesApart(t *testing.T) {
	s := open(t)
	w := in(t, s, "neurology")
	hold, held := make(chan struct{}), make(chan struct{})
	go s.writer.do(context.Background(), "hold", func(*tx) error { close(held); <-hold; return nil })
	<-held // what comes now waits, and goes into the next transaction together
	insert := func(name string, then func() error) func(*tx) error {
		return func(t *tx) error {
			if _, err := t.name(w.id, name); err != nil {
				return err
			}
			return then()
		}
	}
	var group sync.WaitGroup
	results := make([]error, 30)
	for i := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			results[i] = s.writer.do(context.Background(), "test", insert(fmt.Sprint("n", i), func() error {
				switch i % 3 {
				case 1:
					return invalid("no")
				case 2:
					panic("oh")
				}
				return nil
			}))
		}()
	}
	close(hold)
	group.Wait()
	for i, err := range results {
		wantKind(t, err, []fault.Kind{"", fault.Invalid, fault.Internal}[i%3])
		var n int
		if err := w.read(t.Context()).row("SELECT count(*) FROM names WHERE name = ?", fmt.Sprint("n", i)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if want := 1 - min(1, i%3); n != want {
			t.Errorf("write %d left %d rows, want %d", i, n, want)
		}
	}
}

func TestBatchIsAllOrNothing(t *testing.T) {
	w := in(t, open(t), "neurology")
	run := newRun(t, w, "0")
	ok := Batch{Params: []Tag{{"C", "1"}}}
	if err := w.LogBatch(t.Context(), run.ID, ok); err != nil {
		t.Fatal(err)
	}
	err := w.LogBatch(t.Context(), run.ID, Batch{Metrics: []Metric{{Key: "auc", Value: 1}}, Params: []Tag{{"A", "1"}, {"C", "2"}}, Tags: []Tag{{"t", "1"}}})
	wantKind(t, err, fault.Invalid)
	got := must(w.Run(t.Context(), run.ID))(t)
	if len(got.Metrics) != 0 || len(got.Params) != 1 || len(got.Tags) != 1 {
		t.Errorf("a refused batch left %+v", got)
	}
}

func TestBatchAgainAddsNothing(t *testing.T) {
	w := in(t, open(t), "neurology")
	run := newRun(t, w, "0")
	b := Batch{Params: []Tag{{"C", "1"}}, Tags: []Tag{{"t", "1"}}}
	for i := range 500 {
		b.Metrics = append(b.Metrics, Metric{Key: fmt.Sprint("m", i%3), Value: float64(i), Time: int64(i), Step: int64(i)})
	}
	for range 3 {
		if err := w.LogBatch(t.Context(), run.ID, b); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for i := range 3 {
		token := ""
		for {
			points, next, err := w.MetricHistory(t.Context(), run.ID, fmt.Sprint("m", i), 50, token)
			if err != nil {
				t.Fatal(err)
			}
			total += len(points)
			if token = next; token == "" {
				break
			}
		}
	}
	if total != 500 {
		t.Errorf("%d points, want 500", total)
	}
}

func TestLimits(t *testing.T) {
	w := in(t, open(t), "neurology")
	run := newRun(t, w, "0")
	long := strings.Repeat("é", 251)
	points := func(n int) (list []Metric) {
		for i := range n {
			list = append(list, Metric{Key: "m", Step: int64(i)})
		}
		return list
	}
	for name, b := range map[string]Batch{
		"1001 metrics": {Metrics: points(1001)}, "101 params": {Params: make([]Tag, 101)}, "101 tags": {Tags: make([]Tag, 101)},
		"1001 together": {Metrics: points(950), Params: make([]Tag, 51)}, "long key": {Params: []Tag{{long, ""}}}, "no key": {Params: []Tag{{"", ""}}},
		"climbing": {Metrics: []Metric{{Key: "../x"}}}, "absolute": {Tags: []Tag{{"/x", ""}}}, "double slash": {Params: []Tag{{"a//b", ""}}},
		"dot": {Params: []Tag{{".", ""}}}, "control": {Params: []Tag{{"a\nb", ""}}}, "characters": {Tags: []Tag{{"a;b", ""}}}, "backslash": {Tags: []Tag{{`a\b`, ""}}},
		"negative time": {Metrics: []Metric{{Key: "a", Time: -1}}}, "twice": {Params: []Tag{{"a", "1"}, {"a", "1"}}}, "not UTF-8": {Params: []Tag{{"\xff", ""}}},
	} {
		if err := w.LogBatch(t.Context(), run.ID, b); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	err := w.LogBatch(t.Context(), run.ID, Batch{Params: []Tag{{long[:500], strings.Repeat("é", 6001)}}, Tags: []Tag{{"a/b.c: d-e_é", strings.Repeat("x", 8001)}}})
	if err != nil {
		t.Fatal(err)
	}
	got := must(w.Run(t.Context(), run.ID))(t)
	if len(got.Params[0].Value) != 12000 || len(got.Tags[0].Value) != 8000 {
		t.Errorf("values were cut to %d and %d bytes", len(got.Params[0].Value), len(got.Tags[0].Value))
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	s := reopen(t, filepath.Join(t.TempDir(), "tracking.db"))
	w := in(t, s, "neurology")
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := w.CreateRun(context.Background(), NewRun{})
	wantKind(t, err, fault.Unavailable)
}

func TestEveryCommitIsSynced(t *testing.T) {
	s := open(t)
	var mode string
	var level int
	err := s.writer.do(t.Context(), "test", func(t *tx) error {
		return errors.Join(t.row("PRAGMA journal_mode").Scan(&mode), t.row("PRAGMA synchronous").Scan(&level))
	})
	if err != nil || mode != "wal" || level != 2 {
		t.Errorf("journal_mode %s, synchronous %d, %v; want wal and 2 (FULL)", mode, level, err)
	}
}

// TestFullDisk fills the database: writes fail as Exhausted, what was acknowledged stays, and writing goes on when there
// is room again.
func TestFullDisk(t *testing.T) {
	s := open(t)
	w := in(t, s, "neurology")
	run := newRun(t, w, "0")
	room := func(pages string) {
		t.Helper()
		err := s.writer.do(t.Context(), "test", func(t *tx) error {
			var n int
			return t.row("PRAGMA max_page_count = " + pages).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	if err := w.read(t.Context()).row("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	room(fmt.Sprint(pages + 50))
	log := func(step int) error {
		b := Batch{Tags: []Tag{{"filler", strings.Repeat("x", 8000)}}}
		for i := range 200 {
			b.Metrics = append(b.Metrics, Metric{Key: "m", Step: int64(step), Time: int64(1000*step + i)})
		}
		return w.LogBatch(t.Context(), run.ID, b)
	}
	acknowledged, full := 0, error(nil)
	for ; full == nil && acknowledged < 1000; acknowledged++ {
		full = log(acknowledged)
	}
	acknowledged--
	wantKind(t, full, fault.Exhausted)
	points, _, err := w.MetricHistory(t.Context(), run.ID, "m", 0, "")
	if err != nil || len(points) != 200*acknowledged {
		t.Errorf("%d points, %v; %d batches of 200 were acknowledged", len(points), err, acknowledged)
	}
	room("1000000")
	if err := log(acknowledged); err != nil {
		t.Error(err)
	}
}

// crashFile is set in the process that TestAcknowledgedWritesSurviveKill kills.
const crashFile = "FATHOM_TRACKING_CRASH"

// TestAcknowledgedWritesSurviveKill kills a process that writes from eight callers, again and again, and counts: what
// was acknowledged is there, and every batch is whole.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	if path := os.Getenv(crashFile); path != "" {
		writeForEver(t, path)
	}
	path := filepath.Join(t.TempDir(), "tracking.db")
	acknowledged := map[string]int{}
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestAcknowledgedWritesSurviveKill$")
		child.Env = append(os.Environ(), crashFile+"="+path)
		out := must(child.StdoutPipe())(t)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var run string
			var step int
			if _, err := fmt.Sscanf(lines.Text(), "ack %s %d", &run, &step); err == nil {
				acknowledged[run] = max(acknowledged[run], step)
			}
			if n == 100+37*round {
				_ = child.Process.Kill()
			}
		}
		_ = child.Wait() // it was killed
		s := reopen(t, path)
		checkSurvivors(t, in(t, s, "neurology"), acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 24 {
		t.Errorf("only %d runs were written to", len(acknowledged))
	}
}

const crashBatch = 20

func writeForEver(t *testing.T, path string) {
	s := reopen(t, path)
	w := in(t, s, "neurology")
	var out sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		run := newRun(t, w, "0").ID
		group.Go(func() {
			for step := 1; ; step++ {
				var b Batch
				for i := range crashBatch {
					b.Metrics = append(b.Metrics, Metric{Key: fmt.Sprint("m", i), Value: 1, Step: int64(step)})
				}
				if err := w.LogBatch(context.Background(), run, b); err != nil {
					panic(err)
				}
				out.Lock()
				fmt.Printf("ack %s %d\n", run, step)
				out.Unlock()
			}
		})
	}
	group.Wait()
}

func checkSurvivors(t *testing.T, w *Workspace, acknowledged map[string]int) {
	t.Helper()
	for run, step := range acknowledged {
		got, err := w.Run(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Metrics) != crashBatch {
			t.Fatalf("run %s has %d metrics", run, len(got.Metrics))
		}
		for _, m := range got.Metrics {
			if m.Step < int64(step) || m.Step != got.Metrics[0].Step {
				t.Fatalf("run %s: %s is at step %d, %s at %d, acknowledged was %d", run, m.Key, m.Step, got.Metrics[0].Key, got.Metrics[0].Step, step)
			}
			points, _, err := w.MetricHistory(t.Context(), run, m.Key, 0, "")
			if err != nil || len(points) != int(m.Step) {
				t.Fatalf("run %s: %s has %d points at step %d, %v", run, m.Key, len(points), m.Step, err)
			}
		}
	}
}
