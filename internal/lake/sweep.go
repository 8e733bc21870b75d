// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Grace is how long a blob that nothing refers to is kept: whoever stores one has so long to refer to it.
const Grace = 24 * time.Hour

// MinGrace is the least that Sweep accepts while others write.
const MinGrace = time.Hour

// fresh is how old a blob's time may be when it is put again: younger ones need no new time, which spares a write.
const fresh = MinGrace / 4

// SweepOptions says what a sweep keeps besides what the lake itself refers to.
type SweepOptions struct {
	// Grace: younger blobs are kept. Zero means [Grace].
	Grace time.Duration
	// Roots calls keep with every digest that something outside of the lake refers to. Where references move from one place to
	// another, it must look at the first place first. Its error ends the sweep with nothing removed.
	Roots func(ctx context.Context, keep func(ref.Digest)) error
	// Try removes nothing, and tells what would be.
	Try bool
}

// Swept is what a sweep did.
type Swept struct {
	Removed int   `json:"removed"` // blobs
	Bytes   int64 `json:"bytes"`
	Kept    int   `json:"kept"` // blobs that are old enough and referred to
}

// Sweep removes blobs that nothing refers to and that are older than a grace period: uploads that were given up, outputs of runs
// that nobody remembers. What versions, runs, lineage and the roots name is kept, with everything that is named by what is kept,
// in whatever JSON: a reference that is only suspected keeps a blob too. It may run beside everything else, and be interrupted at
// any point. Unavailable: a backup is being taken.
func (s *Store) Sweep(ctx context.Context, o SweepOptions) (Swept, error) {
	if o.Grace == 0 {
		o.Grace = Grace
	}
	if o.Grace < MinGrace || o.Roots == nil {
		return Swept{}, fault.New(fault.Invalid, "lake.Sweep", "the grace period is at least %s, and roots are required", MinGrace)
	}
	before := s.now().Add(-o.Grace)
	candidates, err := s.olderThan(ctx, before)
	if err != nil || len(candidates) == 0 {
		return Swept{}, err
	}
	m := marking{s: s, ctx: ctx, seen: map[ref.Digest]bool{}}
	if err := errors.Join(o.Roots(ctx, m.keep), m.own()); err != nil {
		return Swept{}, err
	}
	if err := m.spread(); err != nil {
		return Swept{}, err
	}
	s.hook("sweep-marked")
	return s.remove(ctx, candidates, m.seen, before, o.Try)
}

// olderThan lists blobs by their time.
func (s *Store) olderThan(ctx context.Context, before time.Time) ([]ref.Digest, error) {
	root := filepath.Join(s.blobDir, "sha256")
	var found []ref.Digest
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // nothing was ever put, or it went meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir():
			return nil
		}
		d, err := ref.ParseDigest("sha256:" + e.Name())
		if err != nil || s.BlobPath(d) != path {
			return nil //nolint:nilerr // a stranger: doctor tells of it
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			found = append(found, d)
		}
		return nil
	})
	return found, diskFault("lake.Sweep", err)
}

// remove takes away what is not marked and still old: what was put again meanwhile has a new time.
func (s *Store) remove(ctx context.Context, candidates []ref.Digest, marked map[ref.Digest]bool, before time.Time, try bool) (swept Swept, err error) {
	done, err := s.removing()
	if err != nil {
		return Swept{}, err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, d := range candidates {
		if ctx.Err() != nil {
			return swept, diskFault("lake.Sweep", ctx.Err())
		}
		if marked[d] {
			swept.Kept++
			continue
		}
		size, gone, err := s.removeOld(d, before, try)
		if err != nil {
			return swept, diskFault("lake.Sweep", err)
		}
		if gone {
			swept.Removed++
			swept.Bytes += size
			s.hook("sweep-removed")
		}
	}
	return swept, nil
}

func (s *Store) removeOld(d ref.Digest, before time.Time, try bool) (size int64, gone bool, err error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	info, err := os.Stat(s.BlobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	} else if err != nil || !info.ModTime().Before(before) {
		return 0, false, err
	}
	if try {
		return info.Size(), true, nil
	}
	s.hook("sweep-looked")
	return info.Size(), true, os.Remove(s.BlobPath(d))
}

// renew gives a blob that is there a new time, so that no sweep takes it before it can be referred to. False: it is not there,
// or damaged. While whole is false its bytes are not read.
func (s *Store) renew(ctx context.Context, d ref.Digest, whole bool) (bool, error) {
	s.sweeping.RLock()
	defer s.sweeping.RUnlock()
	if whole && s.VerifyBlob(ctx, d) != nil {
		return false, nil
	}
	path := s.BlobPath(d)
	info, err := os.Stat(path)
	if err != nil {
		return false, nil //nolint:nilerr // it is put again
	}
	if whole { // it was synced before it got its name, but perhaps not the name
		if err := syncDir(filepath.Dir(path)); err != nil {
			return false, err
		}
	}
	now := s.now()
	if now.Sub(info.ModTime()) < fresh {
		return true, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := os.Chtimes(path, now, now); err != nil {
		return false, err
	}
	return true, f.Sync() // the time too outlives a power cut
}

// marking finds what is referred to.
type marking struct {
	s     *Store
	ctx   context.Context
	seen  map[ref.Digest]bool
	queue []ref.Digest
}

func (m *marking) keep(d ref.Digest) {
	if !m.seen[d] {
		m.seen[d] = true
		m.queue = append(m.queue, d)
	}
}

// own marks what the lake's databases and tables name. Datasets' versions are looked for in their tables and rows, not in the
// lineage, which also remembers what was deleted.
func (m *marking) own() error {
	for _, query := range []string{
		"select record from runs", "select digest from artifacts where kind <> '" + KindDataset + "'", "select digest from subject_sets",
		"select record from versions",
	} {
		if err := m.rows(query); err != nil {
			return err
		}
	}
	names, err := m.s.tables.locations(m.ctx)
	if err != nil {
		return sqlFault(err)
	}
	for key := range names {
		tbl, err := m.s.tables.load(m.ctx, tableName(key))
		if err != nil {
			return fault.New(fault.Corrupt, "lake.Sweep", "the table %s cannot be read, so nothing is removed: %w", key, err).WithHint("see `fathom doctor`")
		}
		if tbl == nil {
			continue // deleted meanwhile
		}
		for _, snap := range snapshots(tbl.Metadata()) {
			m.text([]byte(snap.record + " " + snap.manifest))
		}
	}
	return m.rows("select record from versions") // what was committed since; its blobs are young, or were renewed
}

func (m *marking) rows(query string) error {
	rows, err := m.s.history.QueryContext(m.ctx, query)
	if err != nil {
		return sqlFault(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return sqlFault(err)
		}
		m.text(text)
	}
	return sqlFault(rows.Err())
}

// digestPattern is what counts as a reference, wherever it stands.
var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

const digestLength = len("sha256:") + 64

func (m *marking) text(b []byte) {
	for _, found := range digestPattern.FindAll(b, -1) {
		m.keep(ref.Digest(found))
	}
}

// Digests calls keep with everything in r that looks like a digest.
func Digests(r io.Reader, keep func(ref.Digest)) error {
	m := marking{seen: map[ref.Digest]bool{}}
	if err := m.stream(r); err != nil {
		return err
	}
	for _, d := range m.queue {
		keep(d)
	}
	return nil
}

// spread marks what marked blobs name: manifests of files, of images, run parameters, reports.
func (m *marking) spread() error {
	for len(m.queue) > 0 {
		if err := m.ctx.Err(); err != nil {
			return fault.Wrap(fault.Unavailable, "lake.Sweep", err)
		}
		d := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		if err := m.inside(d); err != nil {
			return err
		}
	}
	return nil
}

// inside reads a blob that begins as JSON does; others name nothing.
func (m *marking) inside(d ref.Digest) error {
	f, _, err := m.s.openFile(m.ctx, d)
	if fault.Is(err, fault.NotFound) {
		return nil // not a blob of the lake, or lost: doctor tells
	} else if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<16)
	first, err := b.Peek(1)
	if err == io.EOF || err == nil && !slices.Contains([]byte("{["), first[0]) {
		return nil
	} else if err != nil {
		return diskFault("lake.Sweep", err)
	}
	return m.stream(b)
}

// stream marks what r names, in pieces that overlap by a digest's length.
func (m *marking) stream(r io.Reader) error {
	buffer := make([]byte, 0, 1<<18)
	for {
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err != nil || len(buffer) == cap(buffer) {
			m.text(buffer)
			tail := buffer[max(0, len(buffer)-digestLength+1):]
			buffer = buffer[:copy(buffer[:cap(buffer)], tail)]
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return diskFault("lake.Sweep", err)
		}
	}
}
