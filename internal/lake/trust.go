// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"fathom.dev/fathom/internal/ref"
)

// maxTrusted bounds the memory of verified files, some 100 bytes each.
const maxTrusted = 1 << 16

// trusted remembers which files were seen to match their digest, so that each is read once a process for that and then only
// to be used. A file that somebody writes to is another file.
type trusted struct {
	mu   sync.Mutex
	seen map[trustedFile]ref.Digest
}

type trustedFile struct {
	device, inode  uint64
	size, modified int64
}

func trustKey(info fs.FileInfo) (trustedFile, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return trustedFile{}, false
	}
	return trustedFile{uint64(st.Dev), st.Ino, info.Size(), info.ModTime().UnixNano()}, true //nolint:unconvert // other types on other systems
}

func (t *trusted) knows(key trustedFile, d ref.Digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[key] == d
}

func (t *trusted) add(key trustedFile, d ref.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxTrusted {
		t.seen = map[trustedFile]ref.Digest{}
	}
	t.seen[key] = d
}

// verified compares an open file with its digest, unless it was compared before. It reads from where the next read begins.
func (s *Store) verified(ctx context.Context, f *os.File, info fs.FileInfo, d ref.Digest) error {
	key, ok := trustKey(info)
	if ok && s.trust.knows(key, d) {
		return nil
	}
	got, _, err := ref.DigestFrom(contextReader{ctx, f})
	if err != nil {
		return diskFault("lake.OpenBlob", err)
	}
	if got != d {
		return corrupt("lake.OpenBlob", d)
	}
	if ok {
		s.trust.add(key, d)
	}
	_, err = f.Seek(0, 0)
	return diskFault("lake.OpenBlob", err)
}

// CheckBlob is [Store.VerifyBlob] for whoever is about to use the file at [Store.BlobPath]: it reads each file once a process.
func (s *Store) CheckBlob(ctx context.Context, d ref.Digest) error {
	f, _, err := s.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	return f.Close()
}
