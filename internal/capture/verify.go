// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Damage is a sealed segment that does not hold what was sealed.
type Damage struct {
	Path   string   // of the file
	Of     ref.Name // the endpoint
	Detail string
}

// Verify reads every sealed segment below dir, also while a store has it open, and returns how many there are. A folder that is
// not there holds none. The error is about not being able to look.
func Verify(dir string) (segments int, found []Damage, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.ndjson"))
	if err != nil {
		return 0, nil, fault.Wrap(fault.Internal, "capture.Verify", err)
	}
	for _, path := range files {
		m := sealedPattern.FindStringSubmatch(filepath.Base(path))
		if m == nil {
			continue
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since it was listed
		} else if err != nil {
			return segments, found, fault.Wrap(fault.Forbidden, "capture.Verify", err)
		}
		segments++
		d, _, err := ref.DigestFrom(f)
		_ = f.Close()
		of := ref.Name{Workspace: filepath.Base(filepath.Dir(filepath.Dir(path))), Name: filepath.Base(filepath.Dir(path))}
		if err != nil {
			found = append(found, Damage{Path: path, Of: of, Detail: "it cannot be read: " + err.Error()})
		} else if d.Hex() != m[2] {
			found = append(found, Damage{Path: path, Of: of, Detail: "it does not match the digest in its name"})
		}
	}
	return segments, found, nil
}
