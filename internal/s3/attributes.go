// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const (
	attributeName = "user.fathom.object"
	settled       = 2 * time.Second // a file changed this recently may change again within the clock's grain
)

// attributes is what is known of an object beside its bytes. They travel with the file as an extended attribute, and
// count only while size and time still match: a file that somebody overwrote in place is a new one.
type attributes struct {
	ETag     string            `json:"etag"`
	SHA256   string            `json:"sha256,omitempty"` // hex; empty: not computed yet
	Size     int64             `json:"size"`
	Modified int64             `json:"modified"`          // ns since 1970
	Headers  map[string]string `json:"headers,omitempty"` // content-type and the like, by lower-case name
	Metadata map[string]string `json:"metadata,omitempty"`
	Checksum *checksum         `json:"checksum,omitempty"`
	Parts    partSizes         `json:"parts,omitempty"`
	Upload   string            `json:"upload,omitempty"` // the multipart upload that made it
}

// partSizes are the sizes of the parts that an object was uploaded in, in order: pairs of a size and how many parts
// in turn have it. Nil: it was not uploaded in parts, or they are too uneven to be kept.
type partSizes [][2]int64

const mostSizes = 50 // they share an extended attribute with the rest

func sizesOf(parts []part) (sizes partSizes) {
	for _, p := range parts {
		if n := len(sizes); n > 0 && sizes[n-1][0] == p.size {
			sizes[n-1][1]++
			continue
		}
		sizes = append(sizes, [2]int64{p.size, 1})
	}
	if len(sizes) > mostSizes {
		return nil
	}
	return sizes
}

func (s partSizes) count() (n int32) {
	for _, run := range s {
		n += int32(run[1])
	}
	return n
}

// at returns where the part with a number from 1 begins, and its size.
func (s partSizes) at(number int32) (start, size int64) {
	left := int64(number - 1)
	for _, run := range s {
		if left < run[1] {
			return start + left*run[0], run[0]
		}
		start, left = start+run[0]*run[1], left-run[1]
	}
	return start, 0
}

// header returns nil for a header that was not given.
func (a attributes) header(name string) *string {
	if v, ok := a.Headers[name]; ok {
		return &v
	}
	return nil
}

// write stores the attributes with the file. A file system without extended attributes loses only what can be
// computed again; an object whose metadata would be lost is refused.
func (a attributes) write(f *os.File) error {
	b, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(fault.Internal, "storage", err)
	}
	err = control(f, func(fd int) error { return unix.Fsetxattr(fd, attributeName, b, 0) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE), errors.Is(err, unix.ENOSPC) && len(b) > 2048:
		return fault.New(fault.TooLarge, "metadata", "headers and metadata are larger than the file system allows")
	case errors.Is(err, unix.ENOTSUP) && len(a.Metadata) == 0:
		return nil
	case errors.Is(err, unix.ENOTSUP):
		return fault.New(fault.Invalid, "metadata", "the file system under the lake keeps no extended attributes, so metadata would be lost")
	}
	return storageFault(err)
}

// readAttributes returns what is stored with the file, or for a file that came another way what its size and time tell.
func readAttributes(f *os.File, info fs.FileInfo) attributes {
	var a attributes
	b := make([]byte, 8<<10)
	n := 0
	err := control(f, func(fd int) (err error) {
		n, err = unix.Fgetxattr(fd, attributeName, b)
		return err
	})
	if err == nil && json.Unmarshal(b[:n], &a) == nil && a.Size == info.Size() && a.Modified == info.ModTime().UnixNano() {
		return a
	}
	print := fingerprintOf(info)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d", print.inode, print.size, print.modified))
	// "-1" tells clients that this is not the MD5 of the content.
	return attributes{ETag: hex.EncodeToString(sum[:16]) + "-1", Size: info.Size(), Modified: info.ModTime().UnixNano()}
}

func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// fingerprint tells whether a file is still the one that was read.
type fingerprint struct {
	device, inode  uint64
	size, modified int64
}

func fingerprintOf(info fs.FileInfo) fingerprint {
	p := fingerprint{size: info.Size(), modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.device, p.inode = uint64(st.Dev), uint64(st.Ino) //nolint:unconvert // other types on other systems
	}
	return p
}

// digest returns the SHA-256 of an open file: the stored one, or it reads the file once and remembers.
func (s *store) digest(ctx context.Context, f *os.File, info fs.FileInfo) (ref.Digest, attributes, error) {
	a := readAttributes(f, info)
	if a.SHA256 != "" {
		return ref.Digest("sha256:" + a.SHA256), a, nil
	}
	print := fingerprintOf(info)
	if d, ok := s.digests.Get(print); ok {
		return d, a, nil
	}
	d, _, err := ref.DigestFrom(&cancelled{ctx: ctx, r: f})
	if err != nil {
		return "", a, storageFault(err)
	}
	after, err := f.Stat()
	if err != nil {
		return "", a, storageFault(err)
	}
	if fingerprintOf(after) == print && s.now().Sub(info.ModTime()) > settled {
		s.digests.Add(print, d)
		a.SHA256 = d.Hex()
		_ = a.write(f) // saves reading the file again after a restart; the ETag stays what it was
	}
	return d, a, nil
}

// cancelled stops a long read when the caller gives up.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
