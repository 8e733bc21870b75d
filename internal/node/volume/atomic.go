// SPDX-License-Identifier: Apache-2.0

// Package volume fills directories with what pods ask for: ConfigMaps, Secrets, tokens, facts about the pod.
package volume

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// File is the content of one file of a volume.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// dataLink points at the directory that holds the current files; every visible name is a link through it, so that
// readers see all old files or all new ones.
const dataLink = "..data"

// Write makes dir hold exactly the files, whose keys are clean relative paths, replacing a former set at once. A group
// other than -1 owns the files and may read them.
func Write(dir string, files map[string]File, group int) error {
	for name := range files {
		if !fs.ValidPath(name) || name == "." || strings.HasPrefix(name, "..") {
			return fault.New(fault.Invalid, "node.volume", "%q is not a path inside of the volume", name)
		}
	}
	return fault.Wrap(fault.Internal, "node.volume", write(dir, files, group))
}

func write(dir string, files map[string]File, group int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the parent directories are closed
		return err
	}
	if same(dir, files) {
		return nil
	}
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := fill(fresh, files, group); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	link := filepath.Join(dir, dataLink+"_tmp")
	_ = os.Remove(link)
	if err := os.Symlink(filepath.Base(fresh), link); err != nil {
		return err
	}
	if err := os.Rename(link, filepath.Join(dir, dataLink)); err != nil {
		return err
	}
	if err := showNames(dir, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

func fill(dir string, files map[string]File, group int) error {
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the parent directories are closed
		return err
	}
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the parent directories are closed
			return err
		}
		if err := os.WriteFile(path, f.Data, f.Mode); err != nil {
			return err
		}
		mode := f.Mode
		if group >= 0 && os.Chown(path, -1, group) == nil { // allowed to root only
			mode |= 0o040
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether dir already holds exactly the files.
func same(dir string, files map[string]File) bool {
	current := filepath.Join(dir, dataLink)
	count := 0
	err := filepath.WalkDir(current+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(current, path)
		if err != nil {
			return err
		}
		want, ok := files[name]
		if !ok {
			return fs.ErrExist
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want.Data) {
			return fs.ErrExist
		}
		count++
		return nil
	})
	return err == nil && count == len(files)
}

// showNames links the first component of every name and removes links to names that are gone.
func showNames(dir string, files map[string]File) error {
	tops := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		tops[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "..") && !tops[e.Name()] {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	names := make([]string, 0, len(tops))
	for top := range tops {
		names = append(names, top)
	}
	sort.Strings(names)
	for _, top := range names {
		err := os.Symlink(dataLink+"/"+top, filepath.Join(dir, top))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
