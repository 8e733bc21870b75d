// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/identity"
)

// python finds an interpreter with boto3.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FATHOM_PYTHON")
	if path == "" {
		path, _ = filepath.Abs("../../.tools/judges/bin/python")
	}
	if exec.Command(path, "-c", "import boto3").Run() != nil {
		t.Skip("no Python with boto3: set FATHOM_PYTHON or run make test")
	}
	return path
}

// TestBoto3 runs the unmodified boto3 client against the door: testdata/client.py has the cases.
func TestBoto3(t *testing.T) {
	interpreter := python(t)
	p := start(t, nil)
	people := map[string]Keys{}
	for name, u := range map[string]identity.User{"editor": editor, "viewer": viewer, "steward": steward, "other": other, "both": both} {
		people[name] = p.keysOf(u)
	}
	keys, err := json.Marshal(people)
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("pod-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.put("neuro/inbox/voice/dropped.csv", "a,b\n1,2\n")
	cmd := exec.Command(interpreter, "-m", "unittest", "-v", "client")
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "ENDPOINT="+p.url, "KEYS="+string(keys), "TOKEN_FILE="+token,
		"AWS_CA_BUNDLE="+p.caFile, "BUCKET_DIR="+p.dir, "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
