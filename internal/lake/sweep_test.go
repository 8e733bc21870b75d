// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func noRoots(context.Context, func(ref.Digest)) error { return nil }

// aged opens a lake whose clock stands still until it is set forward.
func aged(t testing.TB, dir string) (*Store, *atomic.Int64) {
	t.Helper()
	var ahead atomic.Int64 // nanoseconds
	o := testOptions(dir)
	o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_123).Add(time.Duration(ahead.Load())) }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &ahead
}

func isThere(s *Store, d ref.Digest) bool {
	_, err := s.StatBlob(context.Background(), d)
	return err == nil
}

func TestSweepKeepsWhatIsReferredTo(t *testing.T) {
	s, ahead := aged(t, t.TempDir())
	ctx := t.Context()
	digests := map[string]ref.Digest{}
	blob := func(name, content string) ref.Digest {
		digests[name] = put(t, s, name, []byte(content)).Digest
		return digests[name]
	}
	v := commit(t, s, first(t, s))
	commit(t, s, second(t, s))
	run := aRun("u1", "train")
	run.Log = blob("log", "a log")
	m, err := NewManifest([]File{put(t, s, "model.onnx", []byte("a model"))})
	if err != nil {
		t.Fatal(err)
	}
	if run.Output, err = s.PutManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
	run.Code = blob("code", "a bundle")
	if err := s.RecordRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	digests["a file of the output"], digests["the output"] = m.Files[0].Digest, run.Output
	evaluation := blob("evaluation", "a report")
	model := blob("model", `{"deep":{"evaluation":"`+string(evaluation)+`"}}`)
	if err := s.RecordEdges(ctx, []Edge{{From: ModelArtifact(ref.Name{Workspace: "w", Name: "m"}, 1, model), To: v.Artifact(), Role: RoleInput}}); err != nil {
		t.Fatal(err)
	}
	far := blob("named far inside", "far")
	wide := blob("wide", `["`+strings.Repeat("x", 1<<18-30)+`","`+string(far)+`"]`)
	digests["root"] = wide
	kept := len(digests)
	garbage := []ref.Digest{blob("nobody's", "nobody's"), blob("nobody's list", `["`+string(blob("of nobody's list", "x"))+`"]`)}
	digests["text that names"] = blob("text", "see "+string(garbage[0]))
	roots := func(_ context.Context, keep func(ref.Digest)) error {
		keep(wide)
		keep(digests["text that names"])
		keep(ref.DigestOf([]byte("not a blob at all")))
		return nil
	}
	try := func(o SweepOptions, want int) {
		t.Helper()
		if o.Roots == nil {
			o.Roots = roots
		}
		if got, err := s.Sweep(ctx, o); err != nil || got.Removed != want {
			t.Errorf("a sweep removed %+v, want %d: %v", got, want, err)
		}
	}
	try(SweepOptions{}, 0) // all is young
	ahead.Store(int64(Grace + time.Minute))
	try(SweepOptions{Grace: 2 * Grace}, 0)
	try(SweepOptions{Try: true}, 3)
	failing := errors.New("the objects cannot be listed")
	if _, err := s.Sweep(ctx, SweepOptions{Roots: func(context.Context, func(ref.Digest)) error { return failing }}); !errors.Is(err, failing) {
		t.Errorf("roots failed: %v", err)
	}
	put(t, s, "again", []byte("x")) // as good as new
	try(SweepOptions{}, 2)
	for name, d := range digests {
		if strings.HasPrefix(name, "nobody's") {
			if isThere(s, d) {
				t.Errorf("%s is still there", name)
			}
		} else if !isThere(s, d) {
			t.Errorf("%s is gone", name)
		}
	}
	if kept < 8 {
		t.Errorf("only %d kinds of reference were tried", kept)
	}
	wantClean(t, s)
	ahead.Add(int64(2 * Grace))
	try(SweepOptions{}, 1)
}

func TestSweepRefuses(t *testing.T) {
	dir := t.TempDir()
	s, ahead := aged(t, dir)
	for _, o := range []SweepOptions{{}, {Roots: noRoots, Grace: time.Second}} {
		_, err := s.Sweep(t.Context(), o)
		wantKind(t, err, fault.Invalid)
	}
	put(t, s, "x", []byte("x"))
	ahead.Store(int64(2 * Grace))
	release, err := Hold(t.Context(), testOptions(dir).Dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Sweep(t.Context(), SweepOptions{Roots: noRoots})
	wantKind(t, err, fault.Unavailable)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Sweep(t.Context(), SweepOptions{Roots: noRoots}); err != nil || got.Removed != 1 {
		t.Errorf("after the backup: %+v, %v", got, err)
	}
}

// TestSweepsBesideCommits lets many write the same few contents, at once with sweeps and a clock that leaps. Whoever refers to
// what it stored within the grace period must always find it.
func TestSweepsBesideCommits(t *testing.T) {
	s, ahead := aged(t, t.TempDir())
	ctx := context.Background()
	var epoch sync.RWMutex // what is stored and referred to under it happens within one grace period
	var tables [][]byte
	for i := range 3 {
		tables = append(tables, parquetOf(t, ints("x", i)))
	}
	var writing, sweeping sync.WaitGroup
	stop := make(chan struct{})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Sweep(ctx, SweepOptions{Roots: noRoots}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(40 * time.Millisecond):
			}
			epoch.Lock()
			ahead.Add(int64(Grace + time.Hour))
			epoch.Unlock()
		}
	})
	var garbage atomic.Int64
	var named sync.Map // every file of every run and version
	for w := range 4 {
		r := rand.New(rand.NewPCG(uint64(w), 7))
		writing.Go(func() {
			for i := range 100 {
				epoch.RLock()
				err := act(ctx, s, r, fmt.Sprintf("%d-%d", w, i), tables, &garbage, &named)
				epoch.RUnlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	sweeping.Wait()
	wantClean(t, s)
	named.Range(func(d, by any) bool {
		if err := s.VerifyBlob(ctx, d.(ref.Digest)); err != nil {
			t.Errorf("what %s names: %v", by, err)
		}
		return true
	})
	ahead.Add(int64(2 * Grace))
	if swept, err := s.Sweep(ctx, SweepOptions{Roots: noRoots}); err != nil || garbage.Load() == 0 {
		t.Errorf("%+v of %d pieces of garbage, %v", swept, garbage.Load(), err)
	}
	if old, err := s.olderThan(ctx, s.now().Add(-Grace)); err != nil || len(old) == 0 {
		t.Errorf("nothing is left: %v", err)
	}
	wantClean(t, s)
}

// act stores something, and refers to it by a run or a version, or not at all.
func act(ctx context.Context, s *Store, r *rand.Rand, id string, tables [][]byte, garbage *atomic.Int64, named *sync.Map) error {
	put := func(path string, content []byte) File {
		d, n, err := s.PutBlob(ctx, bytes.NewReader(content), "")
		if err != nil {
			panic(err)
		}
		return File{path, d, n}
	}
	// Contents are few, so that what was stored for nothing in one grace period is stored again, and named, in another.
	shared := put("shared.txt", fmt.Appendf(nil, "one of some %d", r.IntN(60)))
	switch r.IntN(12) {
	default:
		garbage.Add(1)
		return nil
	case 0, 1, 2:
		m, err := NewManifest([]File{shared})
		if err != nil {
			return err
		}
		run := aRun("uid-"+id, "run-"+id)
		if run.Output, err = s.PutManifest(ctx, m); err != nil {
			return err
		}
		named.Store(shared.Digest, run.Name)
		return s.RecordRun(ctx, run)
	case 3:
	}
	m, err := NewManifest([]File{shared, put("data.parquet", tables[r.IntN(len(tables))])})
	if err != nil {
		return err
	}
	named.Store(shared.Digest, id)
	_, err = s.Commit(ctx, CommitRequest{Name: ref.Name{Workspace: "w", Name: "d" + id[:1]}, Fingerprint: id, Files: m})
	return err
}

func TestWhatIsPutWhileItIsRemovedStays(t *testing.T) {
	s, ahead := aged(t, t.TempDir())
	f := put(t, s, "x", []byte("x"))
	ahead.Store(int64(2 * Grace))
	done := make(chan error, 1)
	s.atPoint = func(at string) {
		if at != "sweep-looked" {
			return
		}
		go func() {
			_, _, err := s.PutBlob(context.Background(), strings.NewReader("x"), f.Digest)
			done <- err
		}()
		select { // it must wait until the blob is gone
		case err := <-done:
			done <- err
		case <-time.After(50 * time.Millisecond):
		}
	}
	if swept, err := s.Sweep(t.Context(), SweepOptions{Roots: noRoots}); err != nil || swept.Removed != 1 {
		t.Fatalf("%+v, %v", swept, err)
	}
	if err := <-done; err != nil || !isThere(s, f.Digest) {
		t.Errorf("what was acknowledged is there: %t, %v", isThere(s, f.Digest), err)
	}
}

func TestKilledSweep(t *testing.T) {
	for _, point := range []string{"sweep-marked", "sweep-removed"} {
		dir := t.TempDir()
		s := openTest(t, dir)
		v := commit(t, s, first(t, s))
		for i := range 5 {
			put(t, s, "garbage", fmt.Appendf(nil, "garbage %d", i))
		}
		s.Close()
		if !dieAt(t, dir, "sweep", point, 1) {
			t.Fatalf("%s was not passed", point)
		}
		s, ahead := aged(t, dir)
		wantClean(t, s)
		ahead.Store(int64(2 * Grace))
		swept, err := s.Sweep(t.Context(), SweepOptions{Roots: noRoots})
		if err != nil || !slices.Contains([]int{4, 5}, swept.Removed) {
			t.Errorf("after %s: %+v, %v", point, swept, err)
		}
		if got := scan(t, s, v); len(got) != 1 {
			t.Errorf("after %s version 1 holds %v", point, got)
		}
		wantClean(t, s)
	}
}

// sweepLater is what the child of the crash test does.
func sweepLater(s *Store) error {
	s.now = func() time.Time { return time.UnixMilli(1_700_000_000_123).Add(2 * Grace) }
	_, err := s.Sweep(context.Background(), SweepOptions{Roots: noRoots})
	return err
}

func TestDigests(t *testing.T) {
	a, b := ref.DigestOf([]byte("a")), ref.DigestOf([]byte("b"))
	text, err := json.Marshal(map[string]any{"x": string(a), "y": []string{strings.Repeat("-", 1<<18) + string(b), string(a), "sha256:short"}})
	if err != nil {
		t.Fatal(err)
	}
	var found []ref.Digest
	if err := Digests(bytes.NewReader(text), func(d ref.Digest) { found = append(found, d) }); err != nil || !slices.Equal(found, []ref.Digest{a, b}) {
		t.Errorf("found %v, %v", found, err)
	}
	closed, _ := os.Open(os.DevNull)
	closed.Close()
	if Digests(closed, func(ref.Digest) {}) == nil {
		t.Error("a reader that fails finds nothing without saying so")
	}
}
