// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/tracking"
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
		t.Run(filepath.Base(script), func(t *testing.T) { start(t).script(interpreter, script) })
	}
}

// script runs a user's program against the server, with more environment variables.
func (s *server) script(interpreter, script string, env ...string) {
	s.t.Helper()
	command := exec.Command(interpreter, script)
	command.Env = append(os.Environ(),
		"MLFLOW_TRACKING_URI="+s.URL+"/mlflow/neurology",
		"MLFLOW_TRACKING_TOKEN=alice-token",
		"MLFLOW_TRACKING_SERVER_CERT_PATH="+s.ca,
		"MLFLOW_HTTP_REQUEST_MAX_RETRIES=1",
		"MLFLOW_DISABLE_TELEMETRY=true",
		"OTHER_URI="+s.URL+"/mlflow/oncology",
		"TMPDIR="+s.t.TempDir(),
		"PYTHONDONTWRITEBYTECODE=1",
	)
	command.Env = append(command.Env, env...)
	if out, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestPod trains in a run that the platform made: the code knows only its environment.
func TestPod(t *testing.T) {
	interpreter := python(t)
	s := start(t)
	ws, err := s.store.In(t.Context(), "neurology")
	if err != nil {
		t.Fatal(err)
	}
	experiment, err := ws.EnsureExperiment(t.Context(), "parkinsons", nil)
	if err != nil {
		t.Fatal(err)
	}
	run, err := ws.EnsureRun(t.Context(), tracking.NewRun{ID: podRun("a"), Experiment: experiment, Name: "parkinsons-1", User: "fathom"})
	if err != nil {
		t.Fatal(err)
	}
	s.script(interpreter, "testdata/pod/train.py", "MLFLOW_RUN_ID="+run.ID, "MLFLOW_TRACKING_TOKEN=pod-a-token", "MLFLOW_EXPERIMENT_NAME=parkinsons")
	got, err := ws.Run(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != tracking.Finished || len(got.Metrics) == 0 || len(got.Params) == 0 || len(got.ModelsOut) == 0 || got.Name != "parkinsons-1" {
		t.Errorf("after the training the run is %+v", got)
	}
	all, _, err := ws.SearchRuns(t.Context(), tracking.Query{Experiments: []string{"0", experiment}})
	if err != nil {
		t.Fatal(err)
	}
	below := 0
	for _, r := range all {
		if parentOf(fromTags(r.Tags)) == run.ID {
			below++
		}
	}
	if below != 3 || len(all) != 4 {
		t.Errorf("there are %d runs, %d of them below the platform's; want that one and three candidates", len(all), below)
	}
	if s.refusals != 1 {
		t.Errorf("%d requests were refused, want the one for a run of its own", s.refusals)
	}
}
