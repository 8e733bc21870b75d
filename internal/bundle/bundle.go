// SPDX-License-Identifier: Apache-2.0

// Package bundle packs a folder of code into a deterministic tar and unpacks it where nothing can escape.
//
// The same files give the same bytes, hence the same digest, on every machine: names are sorted, times, owners and all
// permission bits except "executable" are left out. Links and devices are refused on both sides.
package bundle

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Limits of a bundle, on both sides.
const (
	MaxBytes = 256 << 20 // unpacked bytes of all files
	MaxFiles = 20_000
)

// left holds folders that are never code.
var left = map[string]bool{".git": true, "__pycache__": true, ".venv": true, ".ipynb_checkpoints": true, "node_modules": true}

// Pack writes the regular files below dir as a tar. Version control, caches and virtual environments are left out.
// A link or another special file is Invalid and named; too much is TooLarge; a missing folder is NotFound.
func Pack(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "bundle", "there is no folder %s", dir)
	} else if err != nil {
		return fault.Wrap(fault.Invalid, "bundle", err)
	}
	defer root.Close()
	p := packer{tar: tar.NewWriter(w), fsys: root.FS()}
	if err := fs.WalkDir(p.fsys, ".", p.visit); err != nil {
		return fault.Wrap(fault.Internal, "bundle "+dir, err)
	}
	return p.tar.Close()
}

type packer struct {
	tar   *tar.Writer
	fsys  fs.FS
	files int
	bytes int64
}

func (p *packer) visit(name string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir() && left[d.Name()]:
		return fs.SkipDir
	case d.IsDir():
		return nil
	case !d.Type().IsRegular():
		return fault.New(fault.Invalid, "bundle", "%s is a link or special file", name).WithHint("replace it by a plain file")
	case strings.HasSuffix(name, ".pyc"):
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	p.files, p.bytes = p.files+1, p.bytes+info.Size()
	if err := limits(p.files, p.bytes); err != nil {
		return err
	}
	header := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Size: info.Size(), Mode: 0o644}
	if info.Mode()&0o111 != 0 {
		header.Mode = 0o755
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	f, err := p.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(p.tar, f)
	return err
}

func limits(files int, bytes int64) error {
	if files > MaxFiles || bytes > MaxBytes {
		return fault.New(fault.TooLarge, "bundle", "the code holds more than %d files or %d MiB", MaxFiles, MaxBytes>>20).
			WithHint("move data out of the code folder into a dataset")
	}
	return nil
}

// Unpack reads a tar into the root. Anything but files and folders with relative, clean names is Invalid, a name that
// appears twice too; more than the limits is TooLarge. Nothing is written outside the root, whatever the tar says.
func Unpack(root *os.Root, r io.Reader) error {
	reader := tar.NewReader(r)
	files, bytes := 0, int64(0)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fault.New(fault.Invalid, "bundle", "not a bundle: %v", err)
		}
		name, err := ref.RelPath(strings.TrimSuffix(header.Name, "/"))
		if err != nil {
			return fault.Wrap(fault.Invalid, "bundle", err)
		}
		files, bytes = files+1, bytes+header.Size
		if err := limits(files, bytes); err != nil {
			return err
		}
		if err := unpackOne(root, name, header, reader); err != nil {
			return fault.Wrap(fault.Internal, "bundle "+name, err)
		}
	}
}

func unpackOne(root *os.Root, name string, header *tar.Header, r io.Reader) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
	default:
		return fault.New(fault.Invalid, "bundle", "it is a link or special file")
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644|fs.FileMode(header.Mode)&0o111)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Invalid, "bundle", "the name appears twice")
	} else if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
