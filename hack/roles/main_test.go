// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	source, page := filepath.Join(dir, "rbac.yaml"), filepath.Join(dir, "page.md")
	for file, text := range map[string]string{
		source: "kind: ClusterRole\nmetadata: {name: fathom-viewer}\nrules:\n- {apiGroups: [fathom.dev], resources: [datasets, runs/log], verbs: [get, list]}\n" +
			"---\nkind: ClusterRole\nmetadata: {name: fathom-admin}\nrules:\n- {apiGroups: [fathom.dev], resources: [datasets], verbs: [get, create, patch, delete]}\n" +
			"---\nkind: ClusterRole\nmetadata: {name: fathom-pod-code}\nrules:\n- {apiGroups: [fathom.dev], resources: [runs/output], verbs: [get]}\n",
		page: "# A\n" + begin + "old\n" + end + "\nafter\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(source, page); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# A\n", "\nafter\n", "| `datasets` | read | – | – | – | read, create, change, delete |\n", "| `runs/log` | read | – | – | – | – |\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") || strings.Contains(string(got), "runs/output") {
		t.Errorf("it keeps what it should not:\n%s", got)
	}
	if err := write(source, source); err == nil {
		t.Error("a page without a place is written")
	}
}
