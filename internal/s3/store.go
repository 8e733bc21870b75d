// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const (
	stageDir   = ".stage"   // bodies that are still arriving
	uploadsDir = ".uploads" // parts of multipart uploads, by bucket and upload
	maxKey     = 1024       // bytes
	staleAfter = 7 * 24 * time.Hour
)

// What is wrong with a key, where S3 has an error of its own for it.
const (
	opLength = "key length"
	opParent = "key parent"
	opFolder = "key folder"
)

// store keeps objects as files: bucket "neurology", key "inbox/a.csv" is <dir>/neurology/inbox/a.csv. Names that begin
// with a dot at the top are the store's own; no bucket can be called so.
type store struct {
	root    *os.Root
	now     func() time.Time
	changed func(bucket, key string)
	locks   [64]sync.Mutex // by key: deciding on a condition and publishing are one step
	joining sync.Mutex     // parts become objects one upload at a time: it is the disk's work
	digests *lru.Cache[fingerprint, ref.Digest]
}

func newStore(dir string, now func() time.Time, changed func(bucket, key string)) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	digests, err := lru.New[fingerprint, ref.Digest](1 << 16)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "s3.New", err)
	}
	s := &store{root: root, now: now, changed: changed, digests: digests}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// sweep removes what a crash left: unfinished bodies, and uploads that nobody completed for a week.
func (s *store) sweep() error {
	err := errors.Join(s.root.RemoveAll(stageDir), s.root.Mkdir(stageDir, 0o700))
	if err == nil {
		err = s.root.MkdirAll(uploadsDir, 0o700)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	uploads, err := fs.Glob(s.root.FS(), uploadsDir+"/*/*")
	if err != nil {
		return fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	for _, u := range uploads {
		if info, err := s.root.Stat(u); err == nil && s.now().Sub(info.ModTime()) > staleAfter {
			_ = s.root.RemoveAll(u)
		}
	}
	return s.sync(".")
}

func (s *store) close() error { return s.root.Close() }

// ensureBucket makes the bucket if it is not there.
func (s *store) ensureBucket(bucket string) error {
	if !ref.IsLabel(bucket) {
		return fault.New(fault.Invalid, "bucket", "%q is not a workspace's name", bucket)
	}
	if err := s.root.Mkdir(bucket, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return storageFault(err)
	}
	if err := s.bucket(bucket); err != nil {
		return err
	}
	return s.sync(".")
}

// removeBucket removes the bucket with all that is in it; one that is not there is not an error. A crash in between
// leaves no half bucket: the folder is moved away first.
func (s *store) removeBucket(bucket string) error {
	if !ref.IsLabel(bucket) {
		return fault.New(fault.Invalid, "bucket", "%q is not a workspace's name", bucket)
	}
	gone := path.Join(stageDir, "removed-"+randomName())
	if err := s.root.Rename(bucket, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storageFault(err)
	}
	err := errors.Join(s.sync("."), s.root.RemoveAll(gone), s.root.RemoveAll(path.Join(uploadsDir, bucket)))
	if err != nil {
		return storageFault(err)
	}
	return nil
}

// bucket reports a bucket that is not there.
func (s *store) bucket(bucket string) error {
	if !ref.IsLabel(bucket) {
		return fault.New(fault.NotFound, "bucket", "there is no bucket %q", bucket)
	}
	info, err := s.root.Lstat(bucket)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storageFault(err)
	}
	if err != nil || !info.IsDir() {
		return fault.New(fault.NotFound, "bucket", "there is no bucket %q", bucket)
	}
	return nil
}

// buckets lists the buckets by name.
func (s *store) buckets() ([]fs.FileInfo, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, storageFault(err)
	}
	var all []fs.FileInfo
	for _, e := range entries {
		if !e.IsDir() || !ref.IsLabel(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil {
			all = append(all, info)
		}
	}
	return all, nil
}

// checkKey returns Invalid for a key that is not a clean relative path. A "/" at the end, which S3's clients use for
// folders, is allowed.
func checkKey(key string) error {
	name := strings.TrimSuffix(key, "/")
	if _, err := ref.RelPath(name); err != nil {
		return err
	}
	if len(key) > maxKey {
		return fault.New(fault.Invalid, opLength, "the key is longer than %d bytes", maxKey)
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\ufffd' }) {
		return fault.New(fault.Invalid, "key", "control characters and bytes that are not UTF-8 are not allowed in a key")
	}
	return nil
}

// locate checks bucket and key and returns the object's path. A link anywhere on the way is as if nothing were there:
// it could lead around a rule on prefixes.
func (s *store) locate(bucket, key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if err := s.bucket(bucket); err != nil {
		return "", err
	}
	p := bucket + "/" + strings.TrimSuffix(key, "/")
	for i := len(bucket) + 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		info, err := s.root.Lstat(p[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
		if err != nil && !errors.Is(err, syscall.ENOTDIR) {
			return "", storageFault(err)
		}
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return "", fault.New(fault.NotFound, "object", "there is no object %q", key)
		}
	}
	return p, nil
}

// open opens an object, or a folder where the key ends with "/".
func (s *store) open(bucket, key string) (*os.File, fs.FileInfo, error) {
	p, err := s.locate(bucket, key)
	if err != nil {
		return nil, nil, err
	}
	missing := fault.New(fault.NotFound, "object", "there is no object %q", key)
	wanted := func(info fs.FileInfo) bool {
		return info.Mode().IsRegular() && !strings.HasSuffix(key, "/") || info.IsDir() && strings.HasSuffix(key, "/")
	}
	// A pipe or device would block when opened: look first.
	if info, err := s.root.Lstat(p); isMissing(err) || err == nil && !wanted(info) {
		return nil, nil, missing
	} else if err != nil {
		return nil, nil, storageFault(err)
	}
	f, err := s.root.OpenFile(p, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if isMissing(err) {
		return nil, nil, missing
	}
	if err != nil {
		return nil, nil, storageFault(err)
	}
	info, err := f.Stat()
	if err != nil || !wanted(info) {
		_ = f.Close()
		return nil, nil, missing
	}
	return f, info, nil
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

func (s *store) lock(p string) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p))
	return &s.locks[h.Sum32()%uint32(len(s.locks))]
}

// sync puts a folder's entries on disk.
func (s *store) sync(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return storageFault(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return storageFault(err)
	}
	return nil
}

// storageFault gives an error of the file system its kind.
func storageFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(fault.Exhausted, "storage", err)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return fault.New(fault.Invalid, opLength, "a part of the key is longer than the file system allows")
	case errors.Is(err, syscall.ENOTDIR):
		return fault.New(fault.Conflict, opParent, "a part of the key is an object, not a folder")
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, fs.ErrExist):
		return fault.New(fault.Conflict, opFolder, "the key is a folder")
	}
	return fault.Wrap(fault.Unavailable, "storage", err)
}
