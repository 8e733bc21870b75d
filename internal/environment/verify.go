// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"fathom.dev/fathom/internal/fault"
)

var finishedPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Verify looks at every finished environment below dir, and returns those that cannot work, with what is wrong. An environment
// may be removed at any time: it is built again when it is needed. The error is about not being able to look.
func Verify(dir string) (environments int, damaged map[string]string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	} else if err != nil {
		return 0, nil, fault.Wrap(fault.Forbidden, "environment.Verify", err)
	}
	damaged = map[string]string{}
	for _, e := range entries {
		if !e.IsDir() || !finishedPattern.MatchString(e.Name()) {
			continue
		}
		environments++
		if wrong := verifyOne(filepath.Join(dir, e.Name()), e.Name()); wrong != "" {
			damaged[filepath.Join(dir, e.Name())] = wrong
		}
	}
	return environments, damaged, nil
}

func verifyOne(path, name string) string {
	text, err := os.ReadFile(filepath.Join(path, "fathom.json"))
	if err != nil {
		return "its description fathom.json cannot be read"
	}
	var info Info
	if err := json.Unmarshal(text, &info); err != nil || info.Digest.Hex() != name {
		return "its description fathom.json is of another environment"
	}
	if _, err := os.Stat(filepath.Join(path, "bin", "python")); err != nil {
		return "its interpreter bin/python is not there"
	}
	return ""
}
