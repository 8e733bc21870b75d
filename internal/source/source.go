// SPDX-License-Identifier: Apache-2.0

// Package source lists the files that datasets are read from, with a digest for each, and opens them by that digest.
//
// A digest is computed once for each state of a file (path, size, modification time). What is staged to a run is the
// content that was digested: a file that has changed since no longer opens under the old digest.
package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// File is a source file.
type File struct {
	Key      string     `json:"key"` // slash-separated, in its bucket
	Digest   ref.Digest `json:"digest"`
	Size     int64      `json:"size"` // bytes
	Modified time.Time  `json:"modified"`
}

// Index knows the files below a folder of buckets.
type Index struct {
	dir string

	scanning sync.Mutex // one scan at a time

	mu       sync.Mutex
	digests  map[string]entry      // by bucket/key
	contents map[ref.Digest]string // digest → bucket/key
}

type entry struct {
	size     int64
	modified time.Time
	digest   ref.Digest
}

// New makes an index of dir, which holds one folder for each bucket.
func New(dir string) *Index {
	return &Index{dir: dir, digests: map[string]entry{}, contents: map[ref.Digest]string{}}
}

// List returns the regular files of a bucket whose keys match the pattern ("*" within a folder, "**" across folders),
// sorted by key. Links are not followed; names that begin with a dot, and uploads that are not finished, are left out. A
// bucket that does not exist has no files. A malformed pattern is Invalid.
func (x *Index) List(ctx context.Context, bucket, pattern string) ([]File, error) {
	if !doublestar.ValidatePattern(pattern) {
		return nil, fault.New(fault.Invalid, "files", "%q is not a pattern; use for example inbox/voice/*.csv", pattern)
	}
	if !ref.IsLabel(bucket) {
		return nil, fault.New(fault.Invalid, "files", "%q is not a bucket", bucket)
	}
	root, err := os.OpenRoot(filepath.Join(x.dir, bucket))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fault.Wrap(fault.Internal, "files", err)
	}
	defer root.Close()
	var keys []string
	err = doublestar.GlobWalk(root.FS(), pattern, func(key string, d fs.DirEntry) error {
		if d.Type().IsRegular() && !hidden(key) {
			keys = append(keys, key)
		}
		return ctx.Err()
	}, doublestar.WithNoFollow())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "files", err)
	}
	sort.Strings(keys)
	out := make([]File, 0, len(keys))
	for _, key := range keys {
		f, err := x.describe(ctx, root, bucket, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since it was listed
		} else if err != nil {
			return nil, fault.Wrap(fault.Internal, "files "+bucket+"/"+key, err)
		}
		out = append(out, f)
	}
	return out, nil
}

func hidden(key string) bool {
	for _, part := range strings.Split(key, "/") {
		if part == "" || part[0] == '.' {
			return true
		}
	}
	return false
}

func (x *Index) describe(ctx context.Context, root *os.Root, bucket, key string) (File, error) {
	f, err := root.Open(key)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	id := bucket + "/" + key
	x.mu.Lock()
	known, ok := x.digests[id]
	x.mu.Unlock()
	if !ok || known.size != info.Size() || !known.modified.Equal(info.ModTime()) {
		digest, n, err := ref.DigestFrom(f)
		if err != nil {
			return File{}, err
		}
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		known = entry{size: n, modified: info.ModTime(), digest: digest}
		x.mu.Lock()
		x.digests[id] = known
		x.contents[digest] = id
		x.mu.Unlock()
	}
	return File{Key: key, Digest: known.digest, Size: known.size, Modified: known.modified.UTC()}, nil
}

// Open opens the file that has the digest; NotFound when there is none or it has changed since. A digest that List has not
// met, as after a restart, is looked for in all buckets.
func (x *Index) Open(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	f, size, err := x.open(digest)
	if !fault.Is(err, fault.NotFound) {
		return f, size, err
	}
	if err := x.scan(ctx); err != nil {
		return nil, 0, err
	}
	return x.open(digest)
}

// scan lists every bucket, so that all files' digests are known.
func (x *Index) scan(ctx context.Context) error {
	x.scanning.Lock()
	defer x.scanning.Unlock()
	buckets, err := os.ReadDir(x.dir)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "files", err)
	}
	for _, b := range buckets {
		if !b.IsDir() || !ref.IsLabel(b.Name()) {
			continue
		}
		if _, err := x.List(ctx, b.Name(), "**"); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) open(digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	x.mu.Lock()
	id, ok := x.contents[digest]
	known := x.digests[id]
	x.mu.Unlock()
	gone := fault.New(fault.NotFound, "files", "no source file has the digest %s any more", digest.Short())
	if !ok || known.digest != digest {
		return nil, 0, gone
	}
	root, err := os.OpenRoot(x.dir)
	if err != nil {
		return nil, 0, fault.Wrap(fault.Internal, "files", err)
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(id))
	if err != nil {
		return nil, 0, gone
	}
	info, err := f.Stat()
	if err != nil || info.Size() != known.size || !info.ModTime().Equal(known.modified) {
		f.Close()
		return nil, 0, gone
	}
	return f, info.Size(), nil
}
