// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
)

// parallel is how many files travel at once.
const parallel = 4

// stage makes everything ready that the command needs.
func (l *launcher) stage(ctx context.Context) (gang.Stage, error) {
	var s gang.Stage
	for _, dir := range []string{l.code, l.inputs, l.output} {
		if err := empty(dir); err != nil {
			return s, fault.Wrap(fault.Internal, "stage", err)
		}
	}
	if err := os.MkdirAll(l.checkpoints, 0o755); err != nil {
		return s, fault.Wrap(fault.Internal, "stage", err)
	}
	if err := l.client.get(ctx, "stage", l.query(), &s); err != nil {
		return s, err
	}
	if err := s.Validate(); err != nil {
		return s, err
	}
	if err := l.unpack(ctx, s.Code); err != nil {
		return s, err
	}
	if err := l.download(ctx, s); err != nil {
		return s, err
	}
	params := []byte(l.placed(string(s.Params)))
	if len(params) == 0 {
		params = []byte("{}")
	}
	for i, argument := range s.Command {
		s.Command[i] = l.placed(argument)
	}
	var hosts strings.Builder
	for _, host := range s.Hosts {
		hosts.WriteString(host + " slots=1\n")
	}
	return s, errors.Join(os.WriteFile(l.params, params, 0o644), os.WriteFile(l.hostfile, []byte(hosts.String()), 0o644))
}

// empty makes the folder, and removes what a try in the same pod that was ended has left in it. The folder itself stays: it is
// a volume.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// query tells the door how the ranks can reach each other.
func (l *launcher) query() url.Values {
	if l.loopback {
		return url.Values{"loopback": {"1"}}
	}
	return nil
}

// placed puts the real folders into a text that names the usual ones, where the two differ.
func (l *launcher) placed(text string) string {
	for _, folder := range [][2]string{
		{"/fathom/code", l.code}, {"/fathom/inputs", l.inputs}, {"/fathom/output", l.output},
		{"/fathom/checkpoints", l.checkpoints}, {"/fathom/secret", l.secret},
	} {
		if folder[1] != folder[0] {
			text = strings.ReplaceAll(text, folder[0]+"/", folder[1]+"/")
		}
	}
	return text
}

// unpack fetches the code bundle, checks it whole and only then unpacks it.
func (l *launcher) unpack(ctx context.Context, code *gang.File) error {
	if code == nil {
		return nil
	}
	root, err := os.OpenRoot(l.code)
	if err != nil {
		return fault.Wrap(fault.Internal, "stage", err)
	}
	defer root.Close()
	const name = ".fathom-bundle.tar"
	if err := l.fetch(ctx, root, name, *code); err != nil {
		return err
	}
	defer root.Remove(name)
	f, err := root.Open(name)
	if err != nil {
		return fault.Wrap(fault.Internal, "stage", err)
	}
	defer f.Close()
	return bundle.Unpack(root, f)
}

// download fetches inputs and checkpoints, some at a time, and stops at the first failure.
func (l *launcher) download(ctx context.Context, s gang.Stage) error {
	roots := map[string]*os.Root{}
	for folder, dir := range map[string]string{"inputs": l.inputs, "code": l.code, "checkpoints": l.checkpoints} {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return fault.Wrap(fault.Internal, "stage", err)
		}
		defer root.Close()
		roots[folder] = root
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	fetch := func(folder, name string, f gang.File) {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := l.fetch(ctx, roots[folder], name, f); err != nil {
				cancel(err)
			}
		})
	}
	for _, f := range s.Inputs {
		folder, name, _ := strings.Cut(f.Path, "/")
		fetch(folder, name, f)
	}
	for _, f := range s.Checkpoints {
		fetch("checkpoints", f.Path, f)
	}
	wait.Wait()
	return context.Cause(ctx)
}

// fetch writes one blob to name, by way of a temporary name, and checks size and digest. Bytes that arrive wrong are
// asked for again.
func (l *launcher) fetch(ctx context.Context, root *os.Root, name string, f gang.File) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fault.Wrap(fault.Internal, "stage", err)
		}
	}
	return l.client.do(ctx, request{method: http.MethodGet, path: "blobs/" + string(f.Digest), read: func(r io.Reader) error {
		temporary := path.Join(path.Dir(name), ".fathom-part-"+path.Base(name))
		out, err := root.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return fault.Wrap(fault.Internal, "stage", err)
		}
		hash := sha256.New()
		size, err := io.Copy(io.MultiWriter(out, hash), io.LimitReader(r, f.Size+1))
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, "stage "+name, err)
		}
		if got := ref.Digest("sha256:" + hex.EncodeToString(hash.Sum(nil))); got != f.Digest || size != f.Size {
			return fault.New(fault.Unavailable, "stage", "%s arrived as %s (%d bytes) instead of %s (%d bytes)",
				filepath.ToSlash(name), got.Short(), size, f.Digest.Short(), f.Size)
		}
		return root.Rename(temporary, name)
	}})
}
