// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"fathom.dev/fathom/internal/fault"
)

const (
	formatVersion = 1
	headerName    = "fathom-backup.json"
	indexName     = "index.json"
)

// sealHead begins a skippable frame of 32 bytes, RFC 8878 section 3.1.2.
var sealHead = []byte{0x50, 0x2a, 0x4d, 0x18, sha256.Size, 0, 0, 0}

// Header tells what a backup is of.
type Header struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // the version of Fathom that wrote it
	State   string    `json:"state"`   // the directory's path, for people
	Host    string    `json:"host"`    // the machine's name, for people
	Created time.Time `json:"created"` // UTC, the moment when it was begun
	Running bool      `json:"running"` // Fathom ran on the directory meanwhile
}

// Entry is one file of a backup.
type Entry struct {
	Path   string `json:"path"` // slash-separated, below the state directory
	Size   int64  `json:"size"` // bytes; 0 for a link
	SHA256 string `json:"sha256,omitempty"`
	Link   string `json:"link,omitempty"` // path of the entry that is the same file
}

// Index lists all files.
type Index struct {
	Entries []Entry `json:"entries"`
}

// Options configures [Create]. Header is required.
type Options struct {
	Header Header
	// Progress is told of bytes that were read so far. It must be quick. Nil: nobody is told.
	Progress func(bytes int64)
}

// Writer writes one backup. Its methods must not be called at the same time.
type Writer struct {
	opt     Options
	path    string // of the finished file
	file    *os.File
	sum     hash.Hash // of the compressed bytes
	zip     *zstd.Encoder
	tar     *tar.Writer
	index   Index
	inodes  map[inode]string
	bytes   int64
	scratch string // folder for copies of databases
}

type inode struct{ device, number uint64 }

// Summary describes a finished backup.
type Summary struct {
	Header
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the file
	Size   int64  `json:"size"`   // of the file, bytes
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"` // of all files
}

// Create begins a backup. The file appears under its name when [Writer.Close] has succeeded; what is there already is Conflict.
// The caller calls Close or [Writer.Discard].
func Create(file string, opt Options) (*Writer, error) {
	const op = "backup"
	if _, err := os.Lstat(file); err == nil {
		return nil, fault.New(fault.Conflict, op, "%s exists already", file).WithHint("choose another name; backups are not overwritten")
	}
	scratch, err := os.MkdirTemp(filepath.Dir(file), ".fathom-backup-*") // on the disk that must hold the backup anyway
	if err != nil {
		return nil, writeFault(op, err)
	}
	f, err := os.OpenFile(filepath.Join(scratch, "part"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(writeFault(op, err), os.RemoveAll(scratch))
	}
	w := &Writer{opt: opt, path: file, file: f, sum: sha256.New(), inodes: map[inode]string{}, scratch: scratch}
	if w.zip, err = zstd.NewWriter(io.MultiWriter(f, w.sum), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(2)); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Internal, op, err), w.Discard())
	}
	w.tar = tar.NewWriter(w.zip)
	w.opt.Header.Format = formatVersion
	if err := w.document(headerName, w.opt.Header); err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	return w, nil
}

// Scratch is a folder for files that are added and then not needed; it goes with the writer.
func (w *Writer) Scratch() string { return w.scratch }

func (w *Writer) document(name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fault.Wrap(fault.Internal, "backup", err)
	}
	header := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: int64(len(b)), Mode: 0o600}
	if err := w.tar.WriteHeader(header); err != nil {
		return writeFault("backup", err)
	}
	_, err = w.tar.Write(b)
	return writeFault("backup", err)
}

// File adds a file under a name. A file that is gone is passed over; one that grows is cut at the size that it has now.
func (w *Writer) File(ctx context.Context, file, name string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fault.Wrap(fault.Forbidden, "backup", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fault.Wrap(fault.Internal, "backup "+file, err)
	}
	if same, linked := w.seen(info, name); linked {
		return w.link(name, same)
	}
	header := &tar.Header{
		Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()),
		ModTime: info.ModTime(), PAXRecords: attributes(f),
	}
	if err := w.tar.WriteHeader(header); err != nil {
		return writeFault("backup", err)
	}
	digest := sha256.New()
	n, err := io.Copy(io.MultiWriter(w.tar, digest), &meter{w: w, ctx: ctx, r: io.LimitReader(f, info.Size())})
	if err != nil {
		return writeFault("backup "+file, err)
	}
	if n < info.Size() {
		return fault.New(fault.Conflict, "backup", "%s became shorter while it was read", file).WithHint("try again")
	}
	w.index.Entries = append(w.index.Entries, Entry{Path: name, Size: n, SHA256: hex.EncodeToString(digest.Sum(nil))})
	return nil
}

// seen tells whether the same file was added under another name.
func (w *Writer) seen(info fs.FileInfo, name string) (string, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Nlink < 2 {
		return "", false
	}
	key := inode{uint64(stat.Dev), stat.Ino} //nolint:unconvert // Dev is narrower on other systems
	same, known := w.inodes[key]
	if !known {
		w.inodes[key] = name
	}
	return same, known
}

func (w *Writer) link(name, to string) error {
	err := w.tar.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeLink, Name: name, Linkname: to, Mode: 0o600})
	if err != nil {
		return writeFault("backup", err)
	}
	w.index.Entries = append(w.index.Entries, Entry{Path: name, Link: to})
	return nil
}

// Tree adds the regular files below a folder, under a name. Folders and files that are gone meanwhile are passed over, and
// those for which leave, if not nil, says so; it gets slash-separated paths below the folder.
func (w *Writer) Tree(ctx context.Context, dir, name string, leave func(path string) bool) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return fault.Wrap(fault.Forbidden, "backup", err)
		}
		below, err := filepath.Rel(dir, file)
		if err != nil {
			return fault.Wrap(fault.Internal, "backup", err)
		}
		below = filepath.ToSlash(below)
		switch {
		case leave != nil && below != "." && leave(below):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		return w.File(ctx, file, path.Join(name, below))
	})
}

// Close writes the index, syncs the file and gives it its name.
func (w *Writer) Close() (Summary, error) {
	err := w.document(indexName, w.index)
	err = errors.Join(err, writeFault("backup", w.tar.Close()), writeFault("backup", w.zip.Close()), w.seal(), writeFault("backup", w.file.Sync()))
	if err != nil {
		return Summary{}, errors.Join(err, w.Discard())
	}
	info, err := w.file.Stat()
	if err == nil {
		err = os.Link(w.file.Name(), w.path) // unlike a rename, it does not replace what came meanwhile
	}
	if err == nil {
		err = syncDir(filepath.Dir(w.path))
	}
	if err != nil {
		return Summary{}, errors.Join(writeFault("backup", err), w.Discard())
	}
	s := Summary{Header: w.opt.Header, Path: w.path, SHA256: hex.EncodeToString(w.sum.Sum(nil)), Size: info.Size(), Files: len(w.index.Entries), Bytes: w.bytes}
	return s, w.Discard()
}

// seal ends the file with the SHA-256 of all before, in a frame that Zstandard's readers skip.
func (w *Writer) seal() error {
	end := append(bytes.Clone(sealHead), w.sum.Sum(nil)...)
	_, err := io.MultiWriter(w.file, w.sum).Write(end)
	return writeFault("backup", err)
}

// Discard removes what an unfinished writer has made. After Close it does nothing that matters.
func (w *Writer) Discard() error {
	_ = w.file.Close()
	return fault.Wrap(fault.Internal, "backup", os.RemoveAll(w.scratch))
}

// meter counts what is read and stops when the context ends.
type meter struct {
	w   *Writer
	ctx context.Context
	r   io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.w.bytes += int64(n)
	if m.w.opt.Progress != nil {
		m.w.opt.Progress(m.w.bytes)
	}
	return n, err
}

// writeFault tells a full disk from other failures; nil stays nil, and an error with a kind stays as it is.
func writeFault(op string, err error) error {
	var told *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &fault.Error{Kind: fault.Exhausted, Op: op, Hint: "free disk space, or choose another disk", Err: err}
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Forbidden, op, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Unavailable, op, err)
	}
	return fault.Wrap(fault.Internal, op, err)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
