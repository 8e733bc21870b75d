// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const maxManifest = 512 << 20 // bytes of a manifest's JSON: a million files with long paths

// File is one file of a manifest.
type File struct {
	Path   string     `json:"path"` // slash-separated, relative
	Digest ref.Digest `json:"digest"`
	Size   int64      `json:"size"` // bytes
}

// FileManifest lists files by path. Its JSON is canonical when Files is sorted by path, so equal contents have equal digests.
type FileManifest struct {
	Files []File `json:"files"`
}

// NewManifest sorts files by path and validates them.
func NewManifest(files []File) (FileManifest, error) {
	m := FileManifest{Files: slices.Clone(files)}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return m, m.Validate()
}

// Validate reports as Invalid: a path that leaves its folder, a path that is a folder of another, paths not sorted or not
// unique, a malformed digest, a negative size; as TooLarge more than MaxFiles files.
func (m FileManifest) Validate() error {
	if len(m.Files) > MaxFiles {
		return fault.New(fault.TooLarge, "manifest", "%d files; at most %d are allowed", len(m.Files), MaxFiles)
	}
	folders := map[string]bool{}
	for i, f := range m.Files {
		if err := f.validate(); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fault.New(fault.Invalid, "manifest", "paths are not sorted and unique at %q", f.Path)
		}
		for at, c := range f.Path {
			if c == '/' {
				folders[f.Path[:at]] = true
			}
		}
	}
	for _, f := range m.Files {
		if folders[f.Path] {
			return fault.New(fault.Invalid, "manifest", "%q is both a file and a folder", f.Path)
		}
	}
	return nil
}

func (f File) validate() error {
	if _, err := ref.RelPath(f.Path); err != nil {
		return err
	}
	if _, err := ref.ParseDigest(string(f.Digest)); err != nil {
		return err
	}
	if f.Size < 0 {
		return fault.New(fault.Invalid, "manifest", "%q has a negative size", f.Path)
	}
	return nil
}

// JSON is the canonical form, without white space.
func (m FileManifest) JSON() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m.Files == nil {
		m.Files = []File{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, fault.Wrap(fault.Internal, "manifest", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Digest names the canonical form.
func (m FileManifest) Digest() (ref.Digest, error) {
	b, err := m.JSON()
	if err != nil {
		return "", err
	}
	return ref.DigestOf(b), nil
}

// Size is the sum of the files' sizes in bytes.
func (m FileManifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Find returns the file at path.
func (m FileManifest) Find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, p string) int { return strings.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return m.Files[i], true
}

// ParseManifest reads a manifest's JSON; Invalid when it is malformed or does not validate.
func ParseManifest(b []byte) (FileManifest, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var m FileManifest
	if err := dec.Decode(&m); err != nil {
		return FileManifest{}, fault.Wrap(fault.Invalid, "manifest", err)
	}
	if dec.More() {
		return FileManifest{}, fault.New(fault.Invalid, "manifest", "more than one JSON value")
	}
	return m, m.Validate()
}

// PutManifest stores m as a blob. It does not look whether the files' blobs exist; Commit does.
func (s *Store) PutManifest(ctx context.Context, m FileManifest) (ref.Digest, error) {
	b, err := m.JSON()
	if err != nil {
		return "", err
	}
	d, _, err := s.PutBlob(ctx, bytes.NewReader(b), "")
	return d, err
}

// GetManifest reads the manifest of that digest: NotFound, or Corrupt when the stored bytes are damaged.
func (s *Store) GetManifest(ctx context.Context, d ref.Digest) (FileManifest, error) {
	b, err := s.readBlob(ctx, d, maxManifest)
	if err != nil {
		return FileManifest{}, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return FileManifest{}, fault.New(fault.Invalid, "lake.GetManifest", "blob %s is not a manifest: %v", d.Short(), err)
	}
	return m, nil
}

// readBlob reads a small blob whole and verifies it.
func (s *Store) readBlob(ctx context.Context, d ref.Digest, limit int64) ([]byte, error) {
	f, size, err := s.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fault.New(fault.TooLarge, "lake.readBlob", "blob %s has %d bytes; at most %d are read whole", d.Short(), size, limit)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "lake.readBlob", err)
	}
	if ref.DigestOf(b) != d {
		return nil, corrupt("lake.readBlob", d)
	}
	return b, nil
}
