// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// recordName is the file in which a container's directory says what it was started with, for a later run.
const recordName = "container.json"

// Save writes the record of a container that is about to start.
func (c Container) Save() error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, recordName), raw, 0o600)
}

// LoadContainer reads a record.
func LoadContainer(dir string) (Container, error) {
	var c Container
	raw, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(raw, &c)
}
