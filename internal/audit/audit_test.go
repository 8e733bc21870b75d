// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

func open(t *testing.T, opt Options) *Log {
	t.Helper()
	if opt.Now == nil {
		opt.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600)) }
	}
	l, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// fill writes n entries and closes the log.
func fill(t *testing.T, opt Options, n int) {
	t.Helper()
	l := open(t, opt)
	for i := range n {
		if err := l.Append(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func entry(i int) Entry {
	return Entry{User: "ada", Groups: []string{"stewards"}, Action: "get datasets/data", Object: fmt.Sprintf("ws/voice-%d", i), Decision: Allowed, Door: "s3"}
}

func verify(t *testing.T, dir string) Report {
	t.Helper()
	r, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWriteReopenVerify(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		fill(t, Options{Dir: dir, SegmentBytes: 2000, CheckpointEvery: 7}, 25)
		r := verify(t, dir)
		if want := uint64(25 * (round + 1)); !r.OK() || r.Entries != want || r.Signed != want || r.Segments < 3 || r.Torn != 0 {
			t.Fatalf("round %d: %+v", round, r)
		}
	}
	for name, mode := range map[string]os.FileMode{"key": 0o600, "key.pub": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func TestConcurrentAppends(t *testing.T) {
	dir, n := t.TempDir(), 500
	l := open(t, Options{Dir: dir})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := l.Append(t.Context(), entry(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Everything is on disk before Close: that is what Append promised.
	if r := verify(t, dir); !r.OK() || r.Entries != uint64(n) {
		t.Errorf("%+v", r)
	}
}

func TestOddTexts(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	for _, s := range []string{"", "a\xffb", "line\nbreak\r\x00", "<&> \u2028 é", strings.Repeat("é", 3000), `"}{"seq":1}`} {
		if err := l.Append(t.Context(), Entry{User: s, Groups: []string{s}, Action: s, Object: s, Reason: s, Remote: s, Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, dir); !r.OK() || r.Entries != 6 {
		t.Errorf("%+v", r)
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentBytes: 1500})
	for i := range 40 {
		e := entry(i)
		if i%4 == 0 {
			e.User, e.Decision = "eve", Refused
		}
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		filter Filter
		limit  int
		want   []uint64
	}{
		{"newest", Filter{}, 3, []uint64{40, 39, 38}},
		{"next page", Filter{Before: 38}, 3, []uint64{37, 36, 35}},
		{"by user", Filter{User: "eve"}, 2, []uint64{37, 33}},
		{"by decision and object", Filter{Decision: Refused, Object: "ws/voice-2"}, 10, []uint64{29, 25, 21}},
		{"by door, across all segments", Filter{Door: "s3", Before: 3}, 10, []uint64{2, 1}},
		{"by action", Filter{Action: "delete"}, 10, nil},
		{"of a workspace", Filter{Workspace: "ws"}, 2, []uint64{40, 39}},
		{"of a workspace whose name begins alike", Filter{Workspace: "w"}, 2, nil},
		{"in the future", Filter{Since: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, 10, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := l.Tail(t.Context(), tt.filter, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			var seqs []uint64
			for _, e := range got {
				seqs = append(seqs, e.Seq)
			}
			if fmt.Sprint(seqs) != fmt.Sprint(tt.want) {
				t.Errorf("got %v, want %v", seqs, tt.want)
			}
		})
	}
}

func TestTailReadsLongBlocks(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	for i := range 300 {
		e := entry(i)
		e.Object = strings.Repeat("x", 900)
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Tail(t.Context(), Filter{}, 1000)
	if err != nil || len(got) != 300 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i, e := range got {
		if e.Seq != uint64(300-i) {
			t.Fatalf("entry %d has seq %d", i, e.Seq)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !fault.Is(err, fault.Conflict) {
		t.Errorf("second open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), entry(0)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("append after close: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !fault.Is(err, fault.Invalid) {
		t.Errorf("key that others can read: %v", err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("no directory was accepted")
	}
}

func TestFailedDisk(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	if err := l.Append(t.Context(), entry(0)); err != nil {
		t.Fatal(err)
	}
	_ = l.segment.Close() // every write and its undoing now fail
	for range 2 {
		if err := l.Append(t.Context(), entry(1)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("append on a failed disk: %v", err)
		}
	}
}

func TestAppendGivesUp(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	_ = l.Close()
	l.closing = make(chan struct{}) // nobody writes and nobody says so
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, entry(0)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	close(l.closing)
}

func TestWitness(t *testing.T) {
	var seen []uint64
	fill(t, Options{Dir: t.TempDir(), CheckpointEvery: 10, Witness: func(c Checkpoint) { seen = append(seen, c.Seq) }}, 25)
	if fmt.Sprint(seen) != "[1 11 21 25]" {
		t.Errorf("witnessed %v", seen)
	}
}

// lines reads a file as lines with their ends.
func lines(t *testing.T, path string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(b))
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.Append(context.Background(), entry(1)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
