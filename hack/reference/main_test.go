// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const definition = `
spec:
  group: fathom.dev
  scope: Namespaced
  names: {kind: Dataset, shortNames: [ds]}
  versions:
  - name: v1alpha1
    schema:
      openAPIV3Schema:
        description: Dataset is a table.
        type: object
        properties:
          spec:
            type: object
            required: [from]
            x-kubernetes-validations: [{rule: "self.x == 1", message: exactly one source}]
            properties:
              from: {type: object, description: "from says\n where.", properties: {format: {type: string, enum: [csv, dicom], default: csv}}}
              checks: {type: array, items: {type: object, properties: {column: {type: string, description: "column a|b"}}}}
              tags: {type: object, additionalProperties: {type: string}}
`

func TestRender(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dataset.yaml"), []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := render(kinds)
	for _, want := range []string{
		"## Dataset\n\nDataset is a table.\n\n`apiVersion: fathom.dev/v1alpha1`, namespaced; for short `ds`.\n",
		"| **`from`** | object |  | says where. |\n",
		"| `from.format` | `csv`, `dicom` | `csv` |  |\n",
		"| `checks` | list of object |  |  |\n| `checks[].column` | string |  | a\\|b |\n",
		"| `tags` | map to string |  |  |\n",
		"What is refused:\n\n- `spec`: exactly one source\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

func TestReadNothing(t *testing.T) {
	if _, err := read(t.TempDir()); err == nil {
		t.Error("an empty folder gives no error")
	}
}
