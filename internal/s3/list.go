// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Object is one object of a bucket, as the file system has it now.
type Object struct {
	Key      string
	Size     int64     // bytes
	Modified time.Time // of the file; somebody may still be copying into it when this is recent
	ETag     string
	Digest   ref.Digest // SHA-256 of the content
}

// List returns the objects whose keys match the pattern, sorted by key. "*" stands for any part of a name, "**" for any
// folders: "inbox/voice/*.csv", "inbox/scans/**". Files that a person copied into the folder are objects like any
// other; reading them once for their digest is remembered. Links are passed over. It is for the program itself and
// asks no permission. Errors: Invalid for a pattern that leaves the bucket, NotFound for no such bucket.
func (d *Door) List(ctx context.Context, bucket, pattern string) ([]Object, error) {
	if _, err := ref.RelPath(pattern); err != nil || !doublestar.ValidatePattern(pattern) {
		return nil, fault.New(fault.Invalid, "pattern", "%q is not a pattern of keys such as inbox/voice/*.csv", pattern)
	}
	if err := d.store.bucket(bucket); err != nil {
		return nil, err
	}
	folder, err := d.store.root.OpenRoot(bucket)
	if err != nil {
		return nil, storageFault(err)
	}
	defer folder.Close()
	var keys []string
	err = doublestar.GlobWalk(folder.FS(), pattern, func(key string, e fs.DirEntry) error {
		if e.Type().IsRegular() && checkKey(key) == nil {
			keys = append(keys, key)
		}
		return ctx.Err()
	}, doublestar.WithFilesOnly(), doublestar.WithNoFollow())
	if err != nil {
		return nil, storageFault(err)
	}
	slices.Sort(keys)
	objects := make([]Object, 0, len(keys))
	for _, key := range keys {
		o, err := d.store.describe(ctx, bucket, key)
		if fault.Is(err, fault.NotFound) {
			continue // removed while we looked
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (s *store) describe(ctx context.Context, bucket, key string) (Object, error) {
	f, info, err := s.open(bucket, key)
	if err != nil {
		return Object{}, err
	}
	defer f.Close()
	digest, a, err := s.digest(ctx, f, info)
	if err != nil {
		return Object{}, err
	}
	return Object{Key: key, Size: info.Size(), Modified: info.ModTime(), ETag: a.ETag, Digest: digest}, nil
}

// Open opens an object for the program itself; it asks no permission. Digest is set only where it is known already.
// Errors: NotFound, Invalid for a key with tricks in it.
func (d *Door) Open(_ context.Context, bucket, key string) (io.ReadSeekCloser, Object, error) {
	if strings.HasSuffix(key, "/") {
		return nil, Object{}, fault.New(fault.Invalid, "key", "%q is a folder", key)
	}
	f, info, err := d.store.open(bucket, key)
	if err != nil {
		return nil, Object{}, err
	}
	a := readAttributes(f, info)
	o := Object{Key: key, Size: info.Size(), Modified: info.ModTime(), ETag: a.ETag}
	if a.SHA256 != "" {
		o.Digest = ref.Digest("sha256:" + a.SHA256)
	}
	return f, o, nil
}

// EnsureBucket makes the workspace's bucket if it is not there.
func (d *Door) EnsureBucket(workspace string) error { return d.store.ensureBucket(workspace) }

// RemoveBucket removes the workspace's bucket and every object in it; one that is not there is not an error.
func (d *Door) RemoveBucket(workspace string) error { return d.store.removeBucket(workspace) }
