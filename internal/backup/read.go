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
	"strings"

	"github.com/klauspost/compress/zstd"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const maxDocument = 256 << 20 // bytes of the header or the index

// Verify reads a whole backup and compares every file with its digest; nothing is written. Corrupt: it is damaged, cut off or
// no backup; Conflict: a newer program wrote it; NotFound: there is no such file. progress, if not nil, is told of bytes of the
// backup that were read so far, and of its size.
func Verify(ctx context.Context, file string, progress func(done, size int64)) (Summary, error) {
	return read(ctx, file, progress, discard{})
}

// Extract does as [Verify] does, and writes the files into root, which must be empty. After an error root holds what nobody
// should use.
func Extract(ctx context.Context, file string, root *os.Root, progress func(done, size int64)) (Summary, error) {
	return read(ctx, file, progress, into{root})
}

// sink takes the files of a backup.
type sink interface {
	file(h *tar.Header, content io.Reader) error
	link(name, to string) error
}

type reader struct {
	tar    *tar.Reader
	sink   sink
	header Header
	found  map[string]Entry
	bytes  int64
}

func read(ctx context.Context, file string, progress func(done, size int64), to sink) (Summary, error) {
	const op = "backup"
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Summary{}, fault.New(fault.NotFound, op, "there is no file %s", file)
	} else if err != nil {
		return Summary{}, fault.Wrap(fault.Forbidden, op, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Summary{}, fault.Wrap(fault.Internal, op, err)
	}
	r := reader{sink: to, found: map[string]Entry{}}
	sum := sha256.New()
	whole := io.TeeReader(&gauge{ctx: ctx, r: f, size: info.Size(), tell: progress}, sum)
	err = r.unpack(io.LimitReader(whole, max(0, info.Size()-int64(len(sealHead)+sha256.Size))))
	if err != nil && fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.Internal {
		return Summary{}, err // the disk, or whoever asked, not the file
	}
	if broken := checkSeal(whole, sum, err); broken != nil {
		return Summary{}, fault.New(fault.Corrupt, op, "%s is damaged or no backup: %w", file, broken).WithHint("use another backup")
	}
	if err != nil {
		return Summary{}, fault.Wrap(fault.Corrupt, op, err)
	}
	return Summary{Header: r.header, Path: file, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: info.Size(), Files: len(r.found), Bytes: r.bytes}, nil
}

// checkSeal reads the rest of the file and compares its end with the digest of all before; earlier is an error that the bytes
// have caused already, which is told when they are not those that were written.
func checkSeal(whole io.Reader, sum hash.Hash, earlier error) error {
	if earlier != nil && fault.KindOf(earlier) != fault.Conflict {
		return earlier
	}
	want := append(bytes.Clone(sealHead), sum.Sum(nil)...)
	end, err := io.ReadAll(io.LimitReader(whole, int64(len(want))+1))
	switch {
	case err != nil:
		return err
	case !bytes.Equal(end, want):
		return errors.New("it does not match the digest at its end")
	}
	return nil
}

// unpack reads everything but the seal.
func (r *reader) unpack(source io.Reader) error {
	zip, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(512<<20))
	if err != nil {
		return err
	}
	defer zip.Close()
	r.tar = tar.NewReader(zip)
	err = r.all()
	if err == nil {
		_, err = io.Copy(io.Discard, zip) // the rest of the last block, with its checksum
	}
	if err == nil || fault.KindOf(err) == fault.Conflict {
		_, drained := io.Copy(io.Discard, source)
		err = errors.Join(err, drained)
	}
	return err
}

func (r *reader) all() error {
	if err := r.document(headerName, &r.header); err != nil {
		return err
	}
	if r.header.Format != formatVersion {
		return fault.New(fault.Conflict, "backup", "the backup has format %d, this program knows %d", r.header.Format, formatVersion).
			WithHint("use the newer program")
	}
	for {
		h, err := r.tar.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("it is cut off: its index is missing")
		} else if err != nil {
			return err
		}
		if h.Name == indexName {
			return r.compare()
		}
		if err := r.entry(h); err != nil {
			return err
		}
	}
}

func (r *reader) document(name string, value any) error {
	h, err := r.tar.Next()
	if err != nil {
		return err
	}
	if h.Name != name {
		return errors.New("it does not begin as a backup of Fathom does")
	}
	return json.NewDecoder(io.LimitReader(r.tar, maxDocument)).Decode(value)
}

func (r *reader) entry(h *tar.Header) error {
	name, err := ref.RelPath(h.Name)
	if err != nil {
		return err
	}
	if _, twice := r.found[name]; twice {
		return errors.New(name + " is in it twice")
	}
	switch h.Typeflag {
	case tar.TypeLink:
		if _, known := r.found[h.Linkname]; !known {
			return errors.New(name + " is a link to what is not there")
		}
		r.found[name] = Entry{Path: name, Link: h.Linkname}
		return r.sink.link(name, h.Linkname)
	case tar.TypeReg:
	default:
		return errors.New(name + " is neither a file nor a link")
	}
	digest := sha256.New()
	if err := r.sink.file(h, io.TeeReader(r.tar, digest)); err != nil {
		return err
	}
	r.found[name] = Entry{Path: name, Size: h.Size, SHA256: hex.EncodeToString(digest.Sum(nil))}
	r.bytes += h.Size
	return nil
}

// compare holds what was read against the index.
func (r *reader) compare() error {
	var index Index
	if err := json.NewDecoder(io.LimitReader(r.tar, maxDocument)).Decode(&index); err != nil {
		return err
	}
	if len(index.Entries) != len(r.found) {
		return fault.New(fault.Corrupt, "backup", "%d files are in it, %d in its index", len(r.found), len(index.Entries))
	}
	for _, e := range index.Entries {
		if got, ok := r.found[e.Path]; !ok || got != e {
			return fault.New(fault.Corrupt, "backup", "%s does not match its digest", e.Path)
		}
	}
	return nil
}

type discard struct{}

func (discard) file(_ *tar.Header, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

func (discard) link(string, string) error { return nil }

// into writes below a folder; nothing is written outside, whatever the names say.
type into struct{ root *os.Root }

func (i into) file(h *tar.Header, content io.Reader) error {
	name := h.Name
	if err := i.folder(name); err != nil {
		return err
	}
	f, err := i.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return writeFault("restore", err)
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = writeFault("restore", errors.Join(setAttributes(f, h.PAXRecords), f.Chmod(fs.FileMode(h.Mode)&fs.ModePerm)))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return writeFault("restore", i.root.Chtimes(name, h.ModTime, h.ModTime))
}

// folder makes the folder that the file lies in. Pods read blobs and table files as another user; the rest is nobody else's.
func (i into) folder(name string) error {
	mode := fs.FileMode(0o700)
	if strings.HasPrefix(name, "lake/blobs/") || strings.HasPrefix(name, "lake/warehouse/") {
		mode = 0o755
	}
	if top, _, below := strings.Cut(name, "/"); below {
		if err := i.root.Mkdir(top, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return writeFault("restore", err)
		}
	}
	return writeFault("restore", i.root.MkdirAll(path.Dir(name), mode))
}

func (i into) link(name, to string) error {
	if err := i.folder(name); err != nil {
		return err
	}
	return writeFault("restore", i.root.Link(to, name))
}

// gauge tells how far a file was read and stops when the context ends.
type gauge struct {
	ctx        context.Context
	r          io.Reader
	done, size int64
	tell       func(done, size int64)
}

func (g *gauge) Read(p []byte) (int, error) {
	if err := g.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := g.r.Read(p)
	g.done += int64(n)
	if g.tell != nil {
		g.tell(g.done, g.size)
	}
	return n, err
}
