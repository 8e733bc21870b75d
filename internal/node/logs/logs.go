// SPDX-License-Identifier: Apache-2.0

// Package logs keeps what containers write, in the line format of the container runtime interface:
// "<RFC 3339 time> <stdout|stderr> <P|F> <text>", P for a part of a line and F for its end.
package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	crilogs "k8s.io/cri-client/pkg/logs"

	"fathom.dev/fathom/internal/fault"
)

const (
	// maxPart is the longest part of a line that is written at once, in bytes.
	maxPart = 16 << 10
	// maxFile is the size at which a log starts anew; one former file is kept beside it. Bytes.
	maxFile = 64 << 20
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
		return nil, fault.Wrap(fault.Internal, "node.logs", err)
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
	if f.size += int64(len(line)); f.size > maxFile {
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

// ReadOptions choose what Read gives.
type ReadOptions struct {
	// Tail and LimitBytes bound the output; nil for no bound.
	Tail, LimitBytes *int64
	Since            time.Time
	Timestamps       bool
	// Running tells whether the container still runs; with it Read follows the log until it does not.
	Running func() bool
}

// Read writes the text of a log without the line format.
func Read(ctx context.Context, path string, o ReadOptions, stdout, stderr io.Writer) error {
	if _, err := os.Stat(path); err != nil {
		return fault.Wrap(fault.NotFound, "node.logs", err)
	}
	options := &crilogs.LogOptions{TailLines: o.Tail, LimitBytes: o.LimitBytes, Since: o.Since, Timestamp: o.Timestamps, Follow: o.Running != nil}
	err := crilogs.ReadLogs(ctx, path, "container", options, follower{running: o.Running}, stdout, stderr)
	return fault.Wrap(fault.Internal, "node.logs", err)
}

// follower answers the only question that following a log asks of a container runtime.
type follower struct {
	cri.RuntimeService
	running func() bool
}

func (f follower) ContainerStatus(context.Context, string, bool) (*runtimeapi.ContainerStatusResponse, error) {
	state := runtimeapi.ContainerState_CONTAINER_EXITED
	if f.running() {
		state = runtimeapi.ContainerState_CONTAINER_RUNNING
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: state}}, nil
}

// TailText gives the last lines of a log as plain text, at most limit bytes.
func TailText(path string, lines, limit int64) string {
	var out bytes.Buffer
	if err := Read(context.Background(), path, ReadOptions{Tail: &lines}, &out, &out); err != nil {
		return ""
	}
	text := out.Bytes()
	if int64(len(text)) > limit {
		text = text[int64(len(text))-limit:]
	}
	return string(text)
}
