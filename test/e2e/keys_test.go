// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const bucketYAML = `apiVersion: fathom.dev/v1alpha1
kind: Workspace
metadata: {name: shelf}
spec: {}
`

// TestKeysOfAPerson: what `fathom keys` prints is all that boto3 needs.
func TestKeysOfAPerson(t *testing.T) {
	python := os.Getenv("FATHOM_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".tools", "judges", "bin", "python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skipf("needs Python with boto3 (make judges, or set FATHOM_PYTHON): %v", err)
	}
	f := start(t)
	f.do("apply", "-f", filepath.Join(f.folder(map[string]string{"shelf.yaml": bucketYAML}), "shelf.yaml"))
	f.settle("shelf")

	client := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "shelf.py"))
	client.Env = os.Environ()
	for line := range strings.Lines(f.do("keys")) {
		setting, ok := strings.CutPrefix(strings.TrimSpace(line), "export ")
		if !ok {
			t.Fatalf("not a setting of the shell: %q", line)
		}
		client.Env = append(client.Env, strings.ReplaceAll(setting, "'", ""))
	}
	if out, err := client.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "book: read me" {
		t.Errorf("boto3: %v\n%s", err, out)
	}

	var keys struct {
		Version                                    int
		AccessKeyId, SecretAccessKey, SessionToken string //nolint:staticcheck // the names of credential_process
		Expiration                                 string
	}
	if err := json.Unmarshal([]byte(f.do("keys", "-o", "json")), &keys); err != nil || keys.Version != 1 || keys.AccessKeyId == "" ||
		keys.SecretAccessKey == "" || keys.SessionToken == "" || keys.Expiration == "" {
		t.Errorf("credential_process would not read %+v, %v", keys, err)
	}
}
