// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

// maxLayers bounds the layers of an image; Docker's own bound is 127.
const maxLayers = 512

// unpack reads configuration and layers into a new folder, which gets its name when it is whole and on disk.
func (s *Store) unpack(ctx context.Context, from source, n name, m v1.Manifest, d digest.Digest) error {
	body, err := s.document(ctx, from, n, m.Config)
	if err != nil {
		return err
	}
	var config v1.Image
	if err := json.Unmarshal(body, &config); err != nil {
		return s.malformed(n, "its configuration is no JSON: %v", err)
	}
	if len(m.Layers) > maxLayers || len(config.RootFS.DiffIDs) != len(m.Layers) {
		return s.malformed(n, "it has %d layers and its configuration speaks of %d; an image of at most %d layers is needed, not another artifact",
			len(m.Layers), len(config.RootFS.DiffIDs), maxLayers)
	}
	dir, err := os.MkdirTemp(s.Dir, unfinished)
	if err != nil {
		return diskFault(n, err)
	}
	defer os.RemoveAll(dir) // gone already when it was kept
	root := filepath.Join(dir, rootName)
	if err := os.Mkdir(root, 0o755); err != nil { //nolint:gosec // the container's root
		return diskFault(n, err)
	}
	u := unpacking{store: s, name: n, root: root, left: s.MaxBytes, files: s.MaxFiles}
	for i, l := range m.Layers {
		if err := u.layer(ctx, from, l, config.RootFS.DiffIDs[i]); err != nil {
			return err
		}
	}
	record, err := json.Marshal(kept{config.Config})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, recordName), record, 0o600)
	}
	if err == nil {
		err = s.keep(dir, n, d)
	}
	return diskFault(n, err)
}

// keep gives a finished folder its name, once everything in it is on disk.
func (s *Store) keep(dir string, n name, d digest.Digest) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, here := s.load(n, d); here {
		return nil // another name brought it meanwhile, and containers may use it
	}
	if err := os.RemoveAll(s.dir(d)); err != nil { // one without a record, that somebody damaged
		return err
	}
	return os.Rename(dir, s.dir(d))
}

// unpacking is one image's, with what it may still hold.
type unpacking struct {
	store *Store
	name  name
	root  string
	left  int64
	files int
}

// layer applies one layer over those before it.
func (u *unpacking) layer(ctx context.Context, from source, d v1.Descriptor, diff digest.Digest) error {
	if err := diff.Validate(); err != nil {
		return u.store.malformed(u.name, "its configuration names no digest: %v", err)
	}
	compressed, err := u.store.layer(ctx, from, u.name, d)
	if err != nil {
		return err
	}
	defer compressed.Close()
	plain, err := decompressed(compressed)
	if err != nil {
		return u.store.malformed(u.name, "layer %s: %v", d.Digest, err)
	}
	defer plain.Close()
	verifier := diff.Verifier()
	stream := io.TeeReader(&bounded{plain, u.left + int64(u.files)*2048}, verifier) // tar needs a header and padding for each file
	options := []archive.ApplyOpt{archive.WithFilter(u.admit)}
	if !ownsAllUsers() {
		options = append(options, archive.WithNoSameOwner())
	}
	if _, err = archive.Apply(ctx, u.root, stream, options...); err == nil {
		_, err = io.Copy(io.Discard, stream) // what follows the archive's end belongs to the digests
	}
	if err == nil {
		_, err = io.Copy(io.Discard, compressed)
	}
	if err != nil {
		return u.failed(d, err)
	}
	if err := compressed.Verify(); err != nil {
		return u.store.explained(u.name, err)
	}
	if !verifier.Verified() {
		return u.store.malformed(u.name, "layer %s does not unpack to %s", d.Digest, diff)
	}
	return nil
}

func (u *unpacking) failed(d v1.Descriptor, err error) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return diskFault(u.name, err)
	}
	return u.store.malformed(u.name, "layer %s cannot be unpacked: %v", d.Digest, err)
}

// admit counts what a layer holds, sparse files in full, and leaves devices out: containers have a /dev of their own.
func (u *unpacking) admit(h *tar.Header) (bool, error) {
	u.files--
	u.left -= h.Size
	if u.files < 0 || u.left < 0 {
		return false, fault.New(fault.TooLarge, "image "+u.name.String(), "it unpacks to more than %d bytes or %d files", u.store.MaxBytes, u.store.MaxFiles)
	}
	return h.Typeflag != tar.TypeChar && h.Typeflag != tar.TypeBlock, nil
}

// decompressed tells by the first bytes how a layer is compressed.
func decompressed(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(b, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// bounded refuses to read more.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fault.New(fault.TooLarge, "image", "a layer unpacks to more than an image may hold")
	}
	return n, err
}

// ownsAllUsers tells whether files can be given to any user: not in a user namespace.
func ownsAllUsers() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Geteuid() == 0 && strings.Contains(string(text), "4294967295")
}

func diskFault(n name, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &fault.Error{Kind: fault.Exhausted, Op: "image " + n.String(), Hint: "free disk space", Err: err}
	}
	return fault.Wrap(fault.Internal, "image "+n.String(), err)
}
