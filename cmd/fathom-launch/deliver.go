// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
)

// deliver uploads the output folder and completes. Files that the door lost are sent again.
func (l *launcher) deliver(ctx context.Context) error {
	root, err := os.OpenRoot(l.output)
	if err != nil {
		return fault.Wrap(fault.Internal, "output", err)
	}
	defer root.Close()
	var paths []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case !d.Type().IsRegular():
			return fault.New(fault.Invalid, "output", "%s is a link or special file", name).WithHint("write a plain file")
		}
		paths = append(paths, name)
		return nil
	})
	if err != nil {
		return fault.Wrap(fault.Internal, "output", err)
	}
	files, err := l.upload(ctx, root, paths)
	if err != nil {
		return err
	}
	var receipt gang.Receipt
	for range 3 {
		receipt = gang.Receipt{}
		if err := l.client.post(ctx, "complete", gang.Completion{Files: files}, &receipt); err != nil {
			return err
		}
		if len(receipt.Missing) == 0 {
			return nil
		}
		if _, err := l.upload(ctx, root, receipt.Missing); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "output", "the door keeps losing %d files, %s first", len(receipt.Missing), receipt.Missing[0])
}

// upload sends files, some at a time, and returns them in the order of paths.
func (l *launcher) upload(ctx context.Context, root *os.Root, paths []string) ([]gang.File, error) {
	files := make([]gang.File, len(paths))
	errs := make([]error, len(paths))
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, path := range paths {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			digest, size, err := l.client.send(ctx, root, "output", path)
			if err != nil {
				errs[i] = fault.Wrap(fault.Internal, "output "+path, err)
				cancel()
			}
			files[i] = gang.File{Path: path, Digest: digest, Size: size}
		})
	}
	wait.Wait()
	for _, err := range errs { // the cause, not those that were cancelled after it
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, err
		}
	}
	return files, errors.Join(errs...)
}
