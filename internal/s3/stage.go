// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"crypto/md5" //nolint:gosec // S3 defines the ETag as the MD5; integrity rests on the SHA-256
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// condition is asked under the key's lock, right before something is published or removed.
type condition func(current attributes, exists bool) error

// staged is a body on its way in: a file that nobody sees until publish.
type staged struct {
	store *store
	name  string
	file  *os.File
	md5   hash.Hash
	sha   hash.Hash
	size  int64
}

func (s *store) stage() (*staged, error) {
	name := path.Join(stageDir, randomName())
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, storageFault(err)
	}
	return &staged{store: s, name: name, file: f, md5: md5.New(), sha: sha256.New()}, nil //nolint:gosec // see the import
}

// Write appends to the body. Errors keep their kind through io.Copy.
func (g *staged) Write(b []byte) (int, error) {
	n, err := g.file.Write(b)
	g.md5.Write(b[:n])
	g.sha.Write(b[:n])
	g.size += int64(n)
	return n, storageFault(err)
}

// etag is the MD5 of the body in hex.
func (g *staged) etag() string { return hex.EncodeToString(g.md5.Sum(nil)) }

// discard removes a body that was not published. It may be called always.
func (g *staged) discard() {
	_ = g.file.Close()
	_ = g.store.root.Remove(g.name)
}

// publish puts the body on disk, then under its key; when it returns, both survive a crash. Attributes get the body's
// digest, size and time. On an error nothing has changed, except that the last step, making the name durable, may
// have failed.
func (g *staged) publish(bucket, key string, a attributes, allowed condition) (attributes, error) {
	if err := g.save(&a); err != nil {
		return attributes{}, err
	}
	p, err := g.store.locate(bucket, key)
	if err != nil {
		return attributes{}, err
	}
	lock := g.store.lock(p)
	lock.Lock()
	defer lock.Unlock()
	if err := g.store.check(bucket, key, allowed); err != nil {
		return attributes{}, err
	}
	if err := g.store.move(g.name, p); err != nil {
		return attributes{}, err
	}
	if err := g.store.sync(path.Dir(p)); err != nil {
		return attributes{}, err
	}
	g.store.changed(bucket, key)
	return a, nil
}

// move renames a file into a folder that it makes. Deletes beside it take empty folders away, so it may need to try again.
func (s *store) move(from, to string) error {
	for attempt := 0; ; attempt++ {
		err := s.mkdirs(path.Dir(to))
		if err == nil {
			err = s.root.Rename(from, to)
		}
		if err == nil || attempt == 100 || !errors.Is(err, fs.ErrNotExist) {
			return storageFault(err)
		}
	}
}

// save writes the attributes and waits until body and attributes are on disk.
func (g *staged) save(a *attributes) error {
	info, err := g.file.Stat()
	if err != nil {
		return storageFault(err)
	}
	if a.ETag == "" {
		a.ETag = g.etag()
	}
	a.SHA256, a.Size, a.Modified = hex.EncodeToString(g.sha.Sum(nil)), g.size, info.ModTime().UnixNano()
	if err := a.write(g.file); err != nil {
		return err
	}
	if err := errors.Join(g.file.Sync(), g.file.Close()); err != nil {
		return storageFault(err)
	}
	return nil
}

func (s *store) check(bucket, key string, allowed condition) error {
	if allowed == nil {
		return nil
	}
	f, info, err := s.open(bucket, key)
	if fault.Is(err, fault.NotFound) {
		return allowed(attributes{}, false)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return allowed(readAttributes(f, info), true)
}

// mkdirs makes the folders of a path durable, the new ones from the top.
func (s *store) mkdirs(dir string) error {
	for i := 0; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		err := s.root.Mkdir(dir[:i], 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = s.sync(path.Dir(dir[:i]))
		}
		if err != nil {
			return storageFault(err)
		}
	}
	return nil
}

// makeFolder makes the folder that a key with "/" at its end stands for.
func (s *store) makeFolder(bucket, key string) error {
	p, err := s.locate(bucket, key)
	if err != nil {
		return err
	}
	if err := s.mkdirs(p); err != nil {
		return err
	}
	info, err := s.root.Lstat(p)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	return storageFault(err)
}

// remove deletes an object, and folders that it leaves empty. One that is not there is not an error. A folder is
// removed only when it is empty.
func (s *store) remove(bucket, key string, allowed condition) error {
	p, err := s.locate(bucket, key)
	if err != nil {
		return err
	}
	lock := s.lock(p)
	lock.Lock()
	defer lock.Unlock()
	if err := s.check(bucket, key, allowed); err != nil {
		return err
	}
	if gone, err := s.unlink(p, strings.HasSuffix(key, "/")); err != nil || !gone {
		return err
	}
	dir := path.Dir(p)
	for strings.Contains(dir, "/") && s.root.Remove(dir) == nil {
		dir = path.Dir(dir)
	}
	if err := s.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.changed(bucket, key)
	return nil
}

// unlink removes a file, or an empty folder if that is asked for, and reports whether it is gone now. What is not there or
// is of the other sort, and a folder that objects keep, are left alone.
func (s *store) unlink(p string, folder bool) (bool, error) {
	info, err := s.root.Lstat(p)
	if isMissing(err) || err == nil && info.IsDir() != folder {
		return false, nil
	}
	if err == nil {
		err = s.root.Remove(p)
	}
	switch {
	case err == nil, isMissing(err):
		return true, nil
	case folder:
		return false, nil
	}
	return false, storageFault(err)
}

func randomName() string { return strings.ToLower(rand.Text()) }

func unixNano(n int64) time.Time { return time.Unix(0, n).UTC() }
