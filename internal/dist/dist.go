// SPDX-License-Identifier: Apache-2.0

// Package dist puts Fathom's programs behind the command line in one file, and takes them out again.
//
// The file is the program, then a tar archive compressed with zstd, then a trailer of 56 bytes: the archive's SHA-256, its
// length as a big-endian 64-bit number, and the mark "FATHOM-DIST-0001". Systems run such a file as the program that it
// begins with.
package dist

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"fathom.dev/fathom/internal/fault"
)

const (
	mark        = "FATHOM-DIST-0001"
	trailerSize = sha256.Size + 8 + len(mark)
)

// Write copies the program and puts the files behind it, by their base names, readable and executable for everybody.
func Write(out io.Writer, program string, files []string) error {
	if err := copyFile(out, program); err != nil {
		return err
	}
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(out, sum)}
	if err := archive(counted, files); err != nil {
		return err
	}
	trailer := binary.BigEndian.AppendUint64(sum.Sum(nil), uint64(counted.n))
	_, err := out.Write(append(trailer, mark...))
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func copyFile(out io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}

func archive(out io.Writer, files []string) error {
	compressed, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return err
	}
	packed := tar.NewWriter(compressed)
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := packed.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o755, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
			return err
		}
		if err := copyFile(packed, path); err != nil {
			return err
		}
	}
	return errors.Join(packed.Close(), compressed.Close())
}

// Unpack takes the files out of a program that [Write] made, into a folder below dir that is named by their digest, and
// returns that folder. What is there already is used. NotFound when nothing is behind the program, Corrupt when it is damaged.
func Unpack(program, dir string) (string, error) {
	f, err := os.Open(program)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, "unpack", err)
	}
	defer f.Close()
	begin, length, digest, err := find(f)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(dir, hex.EncodeToString(digest[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pods run these programs as another user
		return "", fault.Wrap(fault.Forbidden, "unpack", err)
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return "", fault.Wrap(fault.Forbidden, "unpack", err)
	}
	defer os.RemoveAll(temp)
	sum := sha256.New()
	if err := extract(io.TeeReader(io.NewSectionReader(f, begin, length), sum), temp); err != nil {
		return "", err
	}
	if !bytes.Equal(sum.Sum(nil), digest) {
		return "", fault.New(fault.Corrupt, program, "what is behind the program is damaged").WithHint("download it again")
	}
	if err := os.Chmod(temp, 0o755); err != nil { //nolint:gosec // the same
		return "", fault.Wrap(fault.Forbidden, "unpack", err)
	}
	if err := os.Rename(temp, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fault.Wrap(fault.Unavailable, "unpack", err)
	}
	return folder, nil
}

// find reads the trailer.
func find(f *os.File) (begin, length int64, digest []byte, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, nil, fault.Wrap(fault.Unavailable, "unpack", err)
	}
	trailer := make([]byte, trailerSize)
	at := info.Size() - int64(trailerSize)
	if at < 0 {
		return 0, 0, nil, fault.New(fault.NotFound, "unpack", "nothing is behind %s", f.Name())
	}
	if _, err := f.ReadAt(trailer, at); err != nil {
		return 0, 0, nil, fault.Wrap(fault.Unavailable, "unpack", err)
	}
	if string(trailer[trailerSize-len(mark):]) != mark {
		return 0, 0, nil, fault.New(fault.NotFound, "unpack", "nothing is behind %s", f.Name())
	}
	length = int64(binary.BigEndian.Uint64(trailer[sha256.Size:])) //nolint:gosec // compared with the file's size next
	if length < 0 || length > at {
		return 0, 0, nil, fault.New(fault.Corrupt, f.Name(), "what is behind the program is damaged").WithHint("download it again")
	}
	return at - length, length, trailer[:sha256.Size], nil
}

// extract writes the files of an archive into the folder, and reads it to its end.
func extract(in io.Reader, folder string) error {
	damaged := func(err error) error {
		return fault.New(fault.Corrupt, "unpack", "what is behind the program is damaged: %w", err).WithHint("download it again")
	}
	compressed, err := zstd.NewReader(in)
	if err != nil {
		return damaged(err)
	}
	defer compressed.Close()
	packed := tar.NewReader(compressed)
	for {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return damaged(err)
		}
		if !filepath.IsLocal(header.Name) || header.Name != filepath.Base(header.Name) {
			return damaged(errors.New("it names " + header.Name))
		}
		if err := put(filepath.Join(folder, header.Name), packed); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, compressed); err != nil {
		return damaged(err)
	}
	_, err = io.Copy(io.Discard, in)
	return fault.Wrap(fault.Unavailable, "unpack", err)
}

func put(path string, content io.Reader) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // a program for everybody
	if err != nil {
		return fault.Wrap(fault.Forbidden, "unpack", err)
	}
	_, err = io.Copy(out, content)
	if err = errors.Join(err, out.Sync(), out.Close(), os.Chmod(path, 0o755)); err != nil { //nolint:gosec // the same, whatever the umask
		return fault.New(fault.Exhausted, "unpack", "%w", err).WithHint("make room on the disk of the state directory")
	}
	return nil
}
