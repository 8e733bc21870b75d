// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAutologging lets frameworks train with MLflow's autologging: each script is a user's program. Those called heavy_ need
// several gigabytes and are skipped where they are not installed.
func TestAutologging(t *testing.T) {
	scripts, err := filepath.Glob("testdata/autolog/*.py")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts in testdata/autolog", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			venv, make := "mlflow", "make judges"
			if strings.HasPrefix(filepath.Base(script), "heavy_") {
				venv, make = "heavy", "make judges-heavy"
			}
			start(t).script(environment(t, venv, make), script, "OMP_NUM_THREADS=1") // busy threads starve each other
		})
	}
}
