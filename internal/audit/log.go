// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Options configures [Open]. Dir is required.
type Options struct {
	// Dir holds the log; it is made with mode 0700. One process at a time may have it open.
	Dir string
	// SegmentBytes is the size from which a new segment is begun. Default 64 MiB.
	SegmentBytes int64
	// CheckpointEvery is the number of entries between signed checkpoints. Default 100.
	CheckpointEvery uint64
	// Witness receives each checkpoint after it was written, for a place that the machine's owner cannot rewrite. It
	// must not block. Nil: none.
	Witness func(Checkpoint)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Log is an open audit log. Its methods may be called at the same time.
type Log struct {
	opt     Options
	key     ed25519.PrivateKey
	lock    *os.File
	wanted  chan *pending
	closing chan struct{}
	done    chan struct{}
	once    sync.Once

	// Owned by the writer.
	segment     *os.File
	checkpoints *os.File
	size        int64 // of the segment, all of it on disk
	head        Checkpoint
	lastMark    uint64
	broken      error

	mu        sync.Mutex
	published place // how far readers may read
}

type place struct {
	segment string
	size    int64
}

type pending struct {
	entry Entry
	done  chan error
}

// Open opens or makes the log. A last line that a crash tore is cut off, which the next line of the log says. Errors:
// Conflict when another process has it open, Corrupt when the tail is damaged or shorter than a checkpoint says.
func Open(opt Options) (*Log, error) {
	if opt.Dir == "" {
		return nil, fault.New(fault.Internal, "audit.Open", "Dir is required")
	}
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = 64 << 20
	}
	if opt.CheckpointEvery == 0 {
		opt.CheckpointEvery = 100
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit.Open", err)
	}
	l := &Log{opt: opt, wanted: make(chan *pending), closing: make(chan struct{}), done: make(chan struct{})}
	torn, err := l.open()
	if err != nil {
		l.closeFiles()
		return nil, err
	}
	go l.write()
	if torn > 0 {
		err = l.Append(context.Background(), Entry{User: "system:fathom", Action: "repair audit", Object: l.published.segment,
			Decision: Allowed, Reason: fmt.Sprintf("%d bytes of a torn, never acknowledged line were cut off", torn)})
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func (l *Log) open() (torn int64, err error) {
	if l.lock, err = os.OpenFile(filepath.Join(l.opt.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return 0, fault.Wrap(fault.Unavailable, "audit.Open", err)
	}
	if err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return 0, fault.New(fault.Conflict, "audit.Open", "another process has %s open", l.opt.Dir)
	}
	if l.key, err = loadKey(l.opt.Dir); err != nil {
		return 0, err
	}
	marks, whole, err := readCheckpoints(l.opt.Dir)
	if err != nil {
		return 0, err
	}
	if l.checkpoints, err = openAt(filepath.Join(l.opt.Dir, "checkpoints"), whole); err != nil {
		return 0, err
	}
	tail, err := findTail(l.opt.Dir)
	if err != nil {
		return 0, err
	}
	if n := len(marks); n > 0 {
		l.lastMark = marks[n-1].Seq
	}
	if tail.last.Seq < l.lastMark {
		return 0, fault.New(fault.Corrupt, "audit.Open", "the log ends at entry %d, but entry %d was signed", tail.last.Seq, l.lastMark).
			WithHint("entries are missing: run `fathom doctor`, keep the directory as evidence and move it aside to begin a new log")
	}
	l.head = Checkpoint{Seq: tail.last.Seq, Hash: tail.last.Hash}
	if tail.segment == "" {
		return 0, l.rotate()
	}
	if l.segment, err = openAt(filepath.Join(l.opt.Dir, tail.segment), tail.size); err != nil {
		return 0, err
	}
	l.publish(tail.segment, tail.size)
	return tail.torn, nil
}

// openAt opens a file for appending after cutting it to size.
func openAt(path string, size int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	_, seek := f.Seek(size, 0)
	if err := errors.Join(f.Truncate(size), seek, f.Sync()); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit", errors.Join(err, f.Close()))
	}
	return f, nil
}

func (l *Log) publish(segment string, size int64) {
	l.size = size
	l.mu.Lock()
	l.published = place{segment, size}
	l.mu.Unlock()
}

// Append writes the entry and returns when it is on disk. Many callers share one fsync. Errors: Exhausted when the
// disk is full, Unavailable when the disk fails or the log is closed; the caller must then refuse the access.
func (l *Log) Append(ctx context.Context, e Entry) error {
	p := &pending{entry: e.clean(l.opt.Now), done: make(chan error, 1)}
	select {
	case l.wanted <- p:
	case <-l.closing:
		return fault.New(fault.Unavailable, "audit", "the log is closed")
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, "audit", ctx.Err())
	}
	return <-p.done
}

// write is the only writer: it takes all who wait, writes their lines at once and syncs once.
func (l *Log) write() {
	defer close(l.done)
	for {
		select {
		case p := <-l.wanted:
			batch := l.collect(p)
			err := l.commit(batch)
			for _, p := range batch {
				p.done <- err
			}
		case <-l.closing:
			return
		}
	}
}

func (l *Log) collect(first *pending) []*pending {
	batch := []*pending{first}
	for len(batch) < 1024 {
		select {
		case p := <-l.wanted:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

func (l *Log) commit(batch []*pending) error {
	if l.broken != nil {
		return l.broken
	}
	if l.size >= l.opt.SegmentBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	head, lines := l.head, []byte(nil)
	for _, p := range batch {
		line, err := p.entry.seal(head.Seq+1, head.Hash)
		if err != nil {
			return err
		}
		lines = append(lines, line...)
		head.Seq, head.Hash = p.entry.Seq, p.entry.Hash
	}
	if err := l.store(lines); err != nil {
		return err
	}
	l.head = head
	l.publish(filepath.Base(l.segment.Name()), l.size+int64(len(lines)))
	if l.lastMark == 0 || l.head.Seq-l.lastMark >= l.opt.CheckpointEvery {
		l.mark()
	}
	return nil
}

// store puts the lines on disk or leaves the segment as it was. After a failed fsync nobody knows what is on disk, so
// the log takes nothing more until it is opened again.
func (l *Log) store(lines []byte) error {
	if _, err := l.segment.Write(lines); err != nil {
		kind := fault.Unavailable
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			kind = fault.Exhausted
		}
		_, seek := l.segment.Seek(l.size, 0)
		if undo := errors.Join(l.segment.Truncate(l.size), seek); undo != nil {
			l.broken = fault.New(fault.Unavailable, "audit", "a failed write could not be undone: %v", undo)
		}
		return fault.Wrap(kind, "audit", err)
	}
	if err := l.segment.Sync(); err != nil {
		l.broken = fault.New(fault.Unavailable, "audit", "the disk failed: %v", err).WithHint("restart after the disk is well")
		return l.broken
	}
	return nil
}

func (l *Log) rotate() error {
	name := fmt.Sprintf("%020d.log", l.head.Seq+1)
	f, err := openAt(filepath.Join(l.opt.Dir, name), 0)
	if err != nil {
		return err
	}
	if err := syncDir(l.opt.Dir); err != nil {
		return errors.Join(err, f.Close())
	}
	if l.segment != nil {
		_ = l.segment.Close() // synced by the last commit
	}
	l.segment = f
	l.publish(name, 0)
	return nil
}

// mark signs the head. A checkpoint that cannot be written is tried again with the next entry: it protects entries
// that are already safe.
func (l *Log) mark() {
	c := Checkpoint{Seq: l.head.Seq, Hash: l.head.Hash, Time: l.opt.Now().UTC().Round(0), Prev: l.lastMark}
	if err := c.sign(l.key); err != nil {
		return
	}
	line, err := json.Marshal(c)
	if err != nil {
		return
	}
	end, err := l.checkpoints.Seek(0, 2)
	if err != nil {
		return
	}
	if _, err := l.checkpoints.Write(append(line, '\n')); err != nil {
		_ = l.checkpoints.Truncate(end)
		return
	}
	l.lastMark = c.Seq
	if l.opt.Witness != nil {
		l.opt.Witness(c)
	}
}

// Close signs the head and closes the files. Entries that Append has accepted are on disk.
func (l *Log) Close() error {
	l.once.Do(func() {
		close(l.closing)
		<-l.done
		if l.head.Seq > l.lastMark {
			l.mark()
		}
		_ = l.checkpoints.Sync()
		l.closeFiles()
	})
	return nil
}

func (l *Log) closeFiles() {
	for _, f := range []*os.File{l.segment, l.checkpoints, l.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
}
