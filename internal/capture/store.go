// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Options configures [Open]. Dir is required.
type Options struct {
	// Dir holds <workspace>/<endpoint>/<segments>. It is made when missing, with mode 0700.
	Dir string
	// Rows after which a segment is sealed. Zero: 10,000.
	Rows int
	// Bytes after which a segment is sealed. Zero: 8 MiB.
	Bytes int64
	// Age at which a segment is sealed, counted from its first row. Zero: 15 s.
	Age time.Duration
	// Buffer bounds the rows that wait for the disk, in bytes. Zero: 16 MiB.
	Buffer int64
	// Lost is told of rows that were accepted but could not be written. It must not block. Nil: nobody is told.
	Lost func(endpoint ref.Name, rows int, err error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// File is a sealed segment.
type File struct {
	Path   string // "00000001.ndjson": sorts in order of time
	Digest ref.Digest
	Size   int64 // bytes
}

// Store keeps captured traffic. It is safe for many goroutines; one process may have it open.
type Store struct {
	opt  Options
	wake chan struct{}

	mu      sync.Mutex
	logs    map[ref.Name]*log
	digests map[ref.Digest]string // path of each sealed segment
	pending int64                 // bytes that wait for the disk
	active  map[ref.Name]*log     // those with something to write or to seal
	writing bool                  // the writer runs
	changed *sync.Cond            // the writer has ended, or an endpoint is removed
	closed  bool
	passes  uint64 // of the writer
}

// log is one endpoint's traffic.
type log struct {
	sealed []File
	next   int // number of the next segment
	buffer []byte
	spare  []byte    // takes turns with buffer while there is traffic
	rows   int       // in buffer
	since  time.Time // of the first row in buffer
	grow   *segment  // the writer's; nil for none

	removed bool
	err     error // of removing it
}

// Open opens a store and seals what a crash left behind. Errors: Unavailable when the directory cannot be used.
func Open(opt Options) (*Store, error) {
	if opt.Dir == "" || opt.Rows < 0 || opt.Bytes < 0 || opt.Age < 0 || opt.Buffer < 0 {
		return nil, fault.New(fault.Internal, "capture.Open", "Dir is required, limits must not be negative")
	}
	if opt.Rows == 0 {
		opt.Rows = 10_000
	}
	if opt.Bytes == 0 {
		opt.Bytes = 8 << 20
	}
	if opt.Age == 0 {
		opt.Age = 15 * time.Second
	}
	if opt.Buffer == 0 {
		opt.Buffer = 16 << 20
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Lost == nil {
		opt.Lost = func(ref.Name, int, error) {}
	}
	s := &Store{opt: opt, wake: make(chan struct{}, 1), logs: map[ref.Name]*log{}, digests: map[ref.Digest]string{},
		active: map[ref.Name]*log{}}
	s.changed = sync.NewCond(&s.mu)
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "capture.Open", err)
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	return s, nil
}

// scratch holds lines on their way into a buffer.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Append takes a request and its answer; it is written soon after. The record is not kept. Errors: Invalid for a wrong name, Exhausted when too much
// waits for the disk, Unavailable after Close.
func (s *Store) Append(_ context.Context, endpoint ref.Name, r Record) error {
	if err := endpoint.Validate(); err != nil {
		return err
	}
	if r.Rows < 1 {
		return nil
	}
	if int64(r.Rows) > s.opt.Buffer/r.least() { // before they are written out
		return fault.New(fault.Exhausted, "capture.Append", "%d rows are more than the buffer holds", r.Rows)
	}
	held := scratch.Get().(*[]byte)
	lines := r.appendLines((*held)[:0])
	if *held = lines; cap(lines) <= spareMost {
		defer scratch.Put(held)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fault.New(fault.Unavailable, "capture.Append", "the store is closed")
	case s.logs[endpoint] != nil && s.logs[endpoint].removed:
		return fault.New(fault.NotFound, "capture.Append", "endpoint %s is being removed", endpoint)
	case s.pending+int64(len(lines)) > s.opt.Buffer:
		return fault.New(fault.Exhausted, "capture.Append", "%d bytes wait for the disk already", s.pending)
	}
	l := s.logs[endpoint]
	if l == nil {
		l = &log{next: 1}
		s.logs[endpoint] = l
	}
	l.buffer = append(l.buffer, lines...)
	l.rows += r.Rows
	s.pending += int64(len(lines))
	if l.rows == r.Rows {
		l.since = s.opt.Now()
	}
	s.active[endpoint] = l
	s.start()
	if s.pending > writeAt {
		s.prod()
	}
	return nil
}

// start runs the writer unless it runs. The caller holds s.mu.
func (s *Store) start() {
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// prod makes the writer write now.
func (s *Store) prod() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Captured lists an endpoint's sealed segments, oldest first.
func (s *Store) Captured(_ context.Context, workspace, endpoint string) ([]File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[ref.Name{Workspace: workspace, Name: endpoint}]
	if l == nil {
		return nil, nil
	}
	return append([]File(nil), l.sealed...), nil
}

// Open reads a sealed segment and tells its size in bytes. Errors: NotFound.
func (s *Store) Open(_ context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	s.mu.Lock()
	path, known := s.digests[digest]
	s.mu.Unlock()
	if !known {
		return nil, 0, fault.New(fault.NotFound, "capture.Open", "there is no captured segment %s", digest.Short())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fault.Wrap(fault.Unavailable, "capture.Open", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, fault.Wrap(fault.Unavailable, "capture.Open", err)
	}
	return f, info.Size(), nil
}

// Remove deletes all that an endpoint's traffic left, and returns when it is gone.
func (s *Store) Remove(_ context.Context, endpoint ref.Name) error {
	if err := endpoint.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[endpoint]
	if l == nil {
		return nil
	}
	l.removed = true // by the writer, which may be writing into it
	s.active[endpoint] = l
	s.start()
	s.prod()
	for s.logs[endpoint] == l {
		s.changed.Wait()
	}
	return fault.Wrap(fault.Unavailable, "capture.Remove", l.err)
}

func (s *Store) dir(endpoint ref.Name) string {
	return filepath.Join(s.opt.Dir, endpoint.Workspace, endpoint.Name)
}

// Close writes and seals everything. Later appends are refused.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.prod()
	for s.writing {
		s.changed.Wait()
	}
	return nil
}
