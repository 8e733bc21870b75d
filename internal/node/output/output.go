// SPDX-License-Identifier: Apache-2.0

// Package output keeps what containers write, in the line format of the container runtime interface:
// "<RFC 3339 time> <stdout|stderr> <P|F> <text>", P for a part of a line and F for its end.
package output

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"fathom.dev/fathom/internal/fault"
)

const (
	// maxPart is the longest part of a line that is written at once, in bytes.
	maxPart = 16 << 10
	// MaxFile is the size at which a log starts anew; one former file is kept beside it. Bytes.
	MaxFile = 64 << 20
	// drain is how long output is awaited after the end of a container.
	drain = time.Second
)

// Path of a container's log: <dir>/logs/<container>/<attempt>.log, dir being the pod's directory.
func Path(dir, container string, attempt int) string {
	return filepath.Join(dir, "logs", container, strconv.Itoa(attempt)+".log")
}

// File is the open log of one attempt.
type File struct {
	// Stdout and Stderr are for the container; CloseWriters closes them here once it runs.
	Stdout, Stderr *os.File

	readers []*os.File
	path    string
	now     func() time.Time
	wg      sync.WaitGroup

	mu   sync.Mutex
	file *os.File
	size int64
}

// Create opens a log and starts to copy.
func Create(path string, now func() time.Time) (*File, error) {
	f := &File{path: path, now: now}
	if err := f.open(); err != nil {
		f.closeAll()
		return nil, fault.Wrap(fault.Internal, "node.output", err)
	}
	for i, stream := range []string{"stdout", "stderr"} {
		r := f.readers[i]
		f.wg.Go(func() { f.copy(r, stream) })
	}
	return f, nil
}

func (f *File) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	var err error
	if f.file, err = os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	for _, w := range []**os.File{&f.Stdout, &f.Stderr} {
		r, end, err := os.Pipe()
		if err != nil {
			return err
		}
		f.readers, *w = append(f.readers, r), end
	}
	return nil
}

func (f *File) closeAll() {
	f.CloseWriters()
	for _, r := range append(f.readers, f.file) {
		if r != nil {
			_ = r.Close()
		}
	}
}

// CloseWriters lets go of the container's ends of the pipes.
func (f *File) CloseWriters() {
	for _, w := range []*os.File{f.Stdout, f.Stderr} {
		if w != nil {
			_ = w.Close()
		}
	}
}

// Close waits until everything written has been copied, at most a second, and closes the file.
func (f *File) Close() {
	f.CloseWriters()
	for _, r := range f.readers {
		_ = r.SetReadDeadline(time.Now().Add(drain))
	}
	f.wg.Wait()
	f.closeAll()
}

func (f *File) copy(r io.Reader, stream string) {
	in := bufio.NewReaderSize(r, maxPart)
	for {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 {
			f.write(stream, part)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (f *File) write(stream string, part []byte) {
	tag := byte('P')
	if text, whole := bytes.CutSuffix(part, []byte{'\n'}); whole {
		tag, part = 'F', text
	}
	line := make([]byte, 0, len(part)+64)
	line = f.now().UTC().AppendFormat(line, "2006-01-02T15:04:05.000000000Z07:00")
	line = append(line, ' ')
	line = append(line, stream...)
	line = append(line, ' ', tag, ' ')
	line = append(append(line, part...), '\n')

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size += int64(len(line)); f.size > MaxFile {
		f.rotate(int64(len(line)))
	}
	_, _ = f.file.Write(line) // a full disk must not block the container
}

func (f *File) rotate(size int64) {
	if os.Rename(f.path, f.path+".old") != nil {
		return
	}
	fresh, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_ = f.file.Close()
	f.file, f.size = fresh, size
}
