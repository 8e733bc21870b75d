// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Damage is a stored object whose bytes are not those that were acknowledged.
type Damage struct {
	Path        string // of the file
	Bucket, Key string
	Detail      string
}

// Verify reads every object below dir whose digest is known, also while a door serves it, and returns how many there are. An
// object that somebody replaced by another way than the door is a new object, not a damaged one. The error is about not being
// able to look.
func Verify(ctx context.Context, dir string) (objects int, found []Damage, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && filepath.Dir(path) == dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return ctx.Err()
		}
		detail, err := verifyObject(ctx, path)
		if err != nil {
			return err
		}
		objects++
		if detail != "" {
			bucket, key, _ := strings.Cut(filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator))), "/")
			found = append(found, Damage{Path: path, Bucket: bucket, Key: key, Detail: detail})
		}
		return nil
	})
	return objects, found, fault.Wrap(fault.Internal, "s3.Verify", err)
}

func verifyObject(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	want := readAttributes(f, info).SHA256
	if want == "" {
		return "", nil
	}
	got, _, err := ref.DigestFrom(&cancelled{ctx: ctx, r: f})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "it cannot be read: " + err.Error(), nil
	case got.Hex() != want:
		return "it does not match the digest that was stored with it", nil
	}
	return "", nil
}
