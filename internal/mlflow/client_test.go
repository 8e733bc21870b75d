// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// python finds the interpreter whose environment has the real clients, or skips the test.
func python(t *testing.T) string {
	t.Helper()
	interpreter := os.Getenv("FATHOM_PYTHON")
	if interpreter == "" {
		interpreter = filepath.Join("..", "..", ".tools", "judges", "bin", "python")
	}
	interpreter, err := filepath.Abs(interpreter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(interpreter); err != nil {
		t.Skipf("no Python with the mlflow client: %v; set FATHOM_PYTHON", err)
	}
	return interpreter
}

// TestClient lets the unmodified mlflow client judge the door: each script of testdata is a user's program.
func TestClient(t *testing.T) {
	interpreter := python(t)
	scripts, err := filepath.Glob("testdata/*.py")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts in testdata", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			s := start(t)
			command := exec.Command(interpreter, script)
			command.Env = append(os.Environ(),
				"MLFLOW_TRACKING_URI="+s.URL+"/mlflow/neurology",
				"MLFLOW_TRACKING_TOKEN=alice-token",
				"MLFLOW_TRACKING_SERVER_CERT_PATH="+s.ca,
				"MLFLOW_HTTP_REQUEST_MAX_RETRIES=1",
				"MLFLOW_DISABLE_TELEMETRY=true",
				"OTHER_URI="+s.URL+"/mlflow/oncology",
				"TMPDIR="+t.TempDir(),
				"PYTHONDONTWRITEBYTECODE=1",
			)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", script, err, out)
			}
			if testing.Verbose() {
				t.Logf("%s", out)
			}
		})
	}
}
