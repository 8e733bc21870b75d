// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

var (
	sealedPattern  = regexp.MustCompile(`^([0-9]{10})-([0-9a-f]{64})\.ndjson$`)
	growingPattern = regexp.MustCompile(`^([0-9]{10})\.ndjson\.open$`)
)

// recover reads the directory and seals segments that were growing. Files that are none of ours are left alone.
func (s *Store) recover() error {
	workspaces, err := folders(s.opt.Dir)
	if err != nil {
		return err
	}
	for _, workspace := range workspaces {
		endpoints, err := folders(filepath.Join(s.opt.Dir, workspace))
		if err != nil {
			return err
		}
		for _, endpoint := range endpoints {
			name := ref.Name{Workspace: workspace, Name: endpoint}
			if name.Validate() != nil {
				continue
			}
			if err := s.recoverLog(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "capture.Open", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (s *Store) recoverLog(name ref.Name) error {
	entries, err := os.ReadDir(s.dir(name)) // sorted by number
	if err != nil {
		return fault.Wrap(fault.Unavailable, "capture.Open", err)
	}
	l := &log{next: 1}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		file, path, number, err := s.recoverFile(name, e)
		if err != nil {
			return fault.Wrap(fault.Unavailable, "capture.Open", err)
		}
		l.next = max(l.next, number+1)
		if file != nil {
			l.sealed = append(l.sealed, *file)
			s.digests[file.Digest] = path
		}
	}
	s.logs[name] = l
	return nil
}

// recoverFile knows a sealed segment by its name and seals a growing one; nil for other files and empty segments.
func (s *Store) recoverFile(name ref.Name, e fs.DirEntry) (file *File, path string, number int, err error) {
	path = filepath.Join(s.dir(name), e.Name())
	if m := sealedPattern.FindStringSubmatch(e.Name()); m != nil {
		number, _ = strconv.Atoi(m[1]) // ten digits
		info, err := e.Info()
		if err != nil {
			return nil, "", number, err
		}
		return &File{Path: shown(number), Digest: ref.Digest("sha256:" + m[2]), Size: info.Size()}, path, number, nil
	}
	m := growingPattern.FindStringSubmatch(e.Name())
	if m == nil {
		return nil, "", 0, nil
	}
	number, _ = strconv.Atoi(m[1])
	size, digest, err := mend(path)
	if err != nil {
		return nil, "", number, err
	}
	if size == 0 {
		return nil, "", number, os.Remove(path)
	}
	final := filepath.Join(s.dir(name), sealedName(number, digest))
	return &File{Path: shown(number), Digest: digest, Size: size}, final, number, settle(path, final)
}

// mend cuts a file behind its last whole line before the first damaged one, writes it through and digests it.
func mend(path string) (size int64, digest ref.Digest, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) || (err == nil && (!bytes.HasPrefix(line, []byte(`{"request_id":`)) || !json.Valid(line))) {
			break
		}
		if err != nil {
			return 0, "", err
		}
		_, _ = h.Write(line) // never fails
		size += int64(len(line))
	}
	if err := f.Truncate(size); err != nil {
		return 0, "", err
	}
	return size, ref.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), f.Sync()
}
