// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const (
	writeEvery = 200 * time.Millisecond // while there is something to write or to seal
	writeAt    = 1 << 20                // bytes that are written without waiting
	spareMost  = 2 << 20                // bytes of a buffer that is used again
)

// segment is a file that grows.
type segment struct {
	file   *os.File
	number int
	size   int64
	rows   int
	since  time.Time // of its first row
	hash   hash.Hash // of what the file holds
	synced bool      // all that it holds is on the disk
}

// job is what the writer does for one endpoint in one pass.
type job struct {
	name  ref.Name
	log   *log
	lines []byte
	rows  int
	since time.Time
	// removing: all that there is of the endpoint goes
	removing bool

	sealed *File // result
	path   string
}

// write runs while there is something to write or to seal.
func (s *Store) write() {
	timer := time.NewTimer(writeEvery)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		}
		if s.pass() {
			return
		}
		timer.Reset(writeEvery)
	}
}

// pass writes what has come, seals what is due, and reports whether nothing is left.
func (s *Store) pass() (done bool) {
	jobs, closing := s.take()
	for _, j := range jobs {
		if j.removing {
			s.remove(j)
			continue
		}
		s.extend(j)
		if g := j.log.grow; g != nil && (closing || s.due(g)) {
			s.seal(j)
		}
	}
	return s.publish(jobs, closing)
}

func (s *Store) take() (jobs []*job, closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.active {
		jobs = append(jobs, &job{name: name, log: l, lines: l.buffer, rows: l.rows, since: l.since, removing: l.removed})
		l.buffer, l.spare, l.rows = l.spare, nil, 0
	}
	return jobs, s.closed
}

// publish makes the pass's results known.
func (s *Store) publish(jobs []*job, closing bool) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		s.pending -= int64(len(j.lines))
		l := j.log
		if cap(j.lines) <= spareMost {
			l.spare = j.lines[:0]
		}
		if j.sealed != nil {
			l.sealed = append(l.sealed, *j.sealed)
			s.digests[j.sealed.Digest] = j.path
		}
		switch {
		case j.removing:
			s.pending -= int64(len(l.buffer))
			for _, f := range l.sealed {
				delete(s.digests, f.Digest)
			}
			delete(s.logs, j.name)
			delete(s.active, j.name)
		case l.removed:
		case len(l.buffer) == 0 && (l.grow == nil || closing): // what could not be sealed is recovered at the next start
			delete(s.active, j.name)
			l.buffer, l.spare = nil, nil
		}
	}
	done = len(s.active) == 0
	if done {
		s.writing = false
	}
	s.passes++
	s.changed.Broadcast()
	return done
}

func (s *Store) due(g *segment) bool {
	age := s.opt.Now().Sub(g.since)
	return g.rows >= s.opt.Rows || g.size >= s.opt.Bytes || age >= s.opt.Age || age < 0
}

// extend writes a job's lines behind its segment: all of them or none.
func (s *Store) extend(j *job) {
	if len(j.lines) == 0 {
		return
	}
	l := j.log
	if l.grow == nil {
		g, err := s.begin(j)
		if err != nil {
			s.opt.Lost(j.name, j.rows, err)
			return
		}
		l.grow = g
	}
	g := l.grow
	if _, err := g.file.WriteAt(j.lines, g.size); err != nil {
		_ = g.file.Truncate(g.size) // else the next write or the recovery covers it
		s.opt.Lost(j.name, j.rows, fault.Wrap(fault.Exhausted, "capture", err))
		return
	}
	_, _ = g.hash.Write(j.lines) // never fails
	g.synced = false
	g.size += int64(len(j.lines))
	g.rows += j.rows
}

func (s *Store) begin(j *job) (*segment, error) {
	dir := s.dir(j.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Exhausted, "capture", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, growing(j.log.next)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Exhausted, "capture", err)
	}
	g := &segment{file: file, number: j.log.next, since: j.since, hash: sha256.New()}
	j.log.next++
	return g, nil
}

// seal makes a segment final. When it cannot be renamed that is tried again in the next pass; when it cannot be written through,
// its rows are lost: after a failed fsync nobody knows what is on the disk, and a second one would say that all is well.
func (s *Store) seal(j *job) {
	g := j.log.grow
	if g.size == 0 { // its first write failed
		_ = g.file.Close()
		_ = os.Remove(g.file.Name())
		j.log.grow = nil
		return
	}
	if !g.synced {
		if err := g.file.Sync(); err != nil {
			s.lose(j, g.file.Name(), err)
			return
		}
		g.synced = true
	}
	digest := ref.Digest("sha256:" + hex.EncodeToString(g.hash.Sum(nil)))
	path := filepath.Join(s.dir(j.name), sealedName(g.number, digest))
	if err := os.Rename(g.file.Name(), path); err != nil {
		return
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		s.lose(j, path, err)
		return
	}
	_ = g.file.Close()
	j.log.grow = nil
	j.sealed, j.path = &File{Path: shown(g.number), Digest: digest, Size: g.size}, path
}

// lose gives a segment up and says so.
func (s *Store) lose(j *job, path string, err error) {
	s.opt.Lost(j.name, j.log.grow.rows, fault.Wrap(fault.Unavailable, "capture", err))
	_ = j.log.grow.file.Close()
	_ = os.Remove(path)
	j.log.grow = nil
}

// settle renames durably.
func settle(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

func (s *Store) remove(j *job) {
	if g := j.log.grow; g != nil {
		_ = g.file.Close()
		j.log.grow = nil
	}
	j.log.err = os.RemoveAll(s.dir(j.name))
}

func growing(n int) string { return fmt.Sprintf("%010d.ndjson.open", n) }

func sealedName(n int, d ref.Digest) string { return fmt.Sprintf("%010d-%s.ndjson", n, d.Hex()) }

func shown(n int) string { return fmt.Sprintf("%010d.ndjson", n) }
