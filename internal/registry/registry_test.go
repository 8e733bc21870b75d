// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
)

// world is a registry over a real lake, with one clock for both.
type world struct {
	*testing.T
	dir   string
	lake  *lake.Store
	store *Store
	ahead atomic.Int64 // nanoseconds
}

var began = time.UnixMilli(1_700_000_000_000)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) open() {
	w.Helper()
	now := func() time.Time { return began.Add(time.Duration(w.ahead.Load())) }
	var err error
	if w.lake, err = lake.Open(lake.Options{Dir: filepath.Join(w.dir, "lake"), Now: now}); err != nil {
		w.Fatal(err)
	}
	w.store, err = Open(Options{Path: filepath.Join(w.dir, "db", "registry.db"), Dir: filepath.Join(w.dir, "lake", "uploads"), Blobs: w.lake, Now: now})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) close() {
	w.Helper()
	if err := errors.Join(w.store.Close(), w.lake.Close()); err != nil {
		w.Error(err)
	}
}

// sweep does what the server does now and then.
func (w *world) sweep(ctx context.Context) (lake.Swept, error) {
	if err := w.store.Drop(ctx, lake.Grace); err != nil {
		return lake.Swept{}, err
	}
	return w.lake.Sweep(ctx, lake.SweepOptions{Roots: w.store.Contents})
}

var place = Repository{"clinic", "tools/image"}

// push stores a layer unless it is there, as clients do, and an image of it.
func (w *world) push(ctx context.Context, r Repository, tag, content string) (digest.Digest, error) {
	parts := []string{"{}", content}
	for _, part := range parts {
		d := digest.FromString(part)
		if _, _, err := w.store.Stat(ctx, r, d); err == nil {
			continue
		}
		id, err := w.store.Begin(ctx, r)
		if err == nil {
			err = w.store.Finish(ctx, r, id, -1, strings.NewReader(part), d)
		}
		if err != nil {
			return "", err
		}
	}
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/c","digest":%q,"size":2},"layers":[{"mediaType":"a/l","digest":%q,"size":%d}]}`,
		v1.MediaTypeImageManifest, digest.FromString(parts[0]), digest.FromString(content), len(content))
	m, err := ParseManifest([]byte(body), v1.MediaTypeImageManifest)
	if err != nil {
		return "", err
	}
	d := digest.FromString(body)
	return d, w.store.PutManifest(ctx, r, m, []byte(body), d, tag, func(digest.Digest) error { return nil })
}

// whole checks that every tag can be pulled with all its parts.
func (w *world) whole(ctx context.Context, r Repository) (tags int) {
	w.Helper()
	list, _, err := w.store.Tags(ctx, r, Page{Limit: MaxPage})
	if err != nil {
		w.Fatal(err)
	}
	for _, tag := range list {
		k, err := w.store.Resolve(ctx, r, Reference{Tag: tag})
		if err != nil {
			w.Fatal(err)
		}
		body, err := w.store.Read(ctx, k)
		if err != nil {
			w.Fatalf("%s: %v", tag, err)
		}
		m, err := ParseManifest(body, k.MediaType)
		if err != nil {
			w.Fatal(err)
		}
		for _, d := range m.Blobs {
			content, _, err := w.store.Stat(ctx, r, d)
			if err == nil {
				err = w.lake.VerifyBlob(ctx, content)
			}
			if err != nil {
				w.Fatalf("%s of %s: %v", d, tag, err)
			}
		}
	}
	return len(list)
}

func TestSweepsBesidePushes(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var epoch sync.RWMutex // an upload and the manifest that names it come within one grace period
	var pushing, sweeping sync.WaitGroup
	stop := make(chan struct{})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(40 * time.Millisecond):
			}
			epoch.Lock()
			w.ahead.Add(int64(lake.Grace + time.Hour))
			epoch.Unlock()
		}
	})
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.sweep(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var refused atomic.Int64
	for i := range 4 {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		pushing.Go(func() {
			for j := range 40 {
				epoch.RLock()
				d, err := w.push(ctx, place, fmt.Sprintf("t%d-%d", i, j), fmt.Sprintf("layer %d", random.IntN(6)))
				epoch.RUnlock()
				var missing *MissingError
				switch {
				case errors.As(err, &missing): // what was there when it looked had been there unused for long
					refused.Add(1)
				case err != nil:
					t.Error(err)
				case random.IntN(2) == 0:
					if err := w.store.Delete(ctx, place, Reference{Digest: d}); err != nil && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	pushing.Wait()
	close(stop)
	sweeping.Wait()
	if _, err := w.push(ctx, place, "last", "layer 0"); err != nil {
		t.Fatal(err)
	}
	tags := w.whole(ctx, place)
	t.Logf("%d tags, %d pushes had to begin again", tags, refused.Load())
	for range 2 {
		w.ahead.Add(int64(2 * lake.Grace))
		if _, err := w.sweep(ctx); err != nil {
			t.Fatal(err)
		}
		w.whole(ctx, place)
	}
	if damage, err := w.lake.Verify(ctx); err != nil || len(damage) > 0 {
		t.Errorf("damage %+v, %v", damage, err)
	}
}

func TestWhatNobodyNamesIsDropped(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	kept, err := w.push(ctx, place, "v1", "kept")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := w.push(ctx, place, "v2", "gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Put(ctx, place, strings.NewReader("never named"), digest.FromString("never named")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Begin(ctx, place); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(ctx, place, Reference{Digest: gone}); err != nil {
		t.Fatal(err)
	}
	w.ahead.Store(int64(lake.Grace + time.Hour))
	swept, err := w.sweep(ctx)
	if err != nil || swept.Removed != 3 { // a manifest, its layer, a blob
		t.Errorf("%+v, %v", swept, err)
	}
	for content, want := range map[string]bool{"kept": true, "{}": true, "gone": false, "never named": false} {
		if _, _, err := w.store.Stat(ctx, place, digest.FromString(content)); (err == nil) != want {
			t.Errorf("%q: %v, want it there: %t", content, err, want)
		}
	}
	if _, err := w.store.Resolve(ctx, place, Reference{Digest: kept}); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(w.store.Dir); err != nil || len(left) != 0 {
		t.Errorf("uploads are left: %v, %v", left, err)
	}
	if tags := w.whole(ctx, place); tags != 1 {
		t.Errorf("%d tags", tags)
	}
}

func TestReopened(t *testing.T) {
	w := newWorld(t)
	if _, err := w.push(t.Context(), place, "v1", "layer"); err != nil {
		t.Fatal(err)
	}
	id, err := w.store.Begin(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Append(t.Context(), place, id, -1, strings.NewReader("hel")); err != nil {
		t.Fatal(err)
	}
	w.close()
	w.open()
	if tags := w.whole(t.Context(), place); tags != 1 {
		t.Errorf("%d tags after a restart", tags)
	}
	if err := w.store.Finish(t.Context(), place, id, 3, strings.NewReader("lo"), digest.FromString("hello")); err != nil {
		t.Errorf("an upload cannot go on after a restart: %v", err)
	}
	if bytes, err := w.store.Bytes(t.Context(), "clinic"); err != nil || bytes < 12 {
		t.Errorf("%d bytes, %v", bytes, err)
	}
	path := filepath.Join(w.dir, "broken.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: path, Dir: w.dir, Blobs: w.lake}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a damaged database: %v", err)
	}
}
