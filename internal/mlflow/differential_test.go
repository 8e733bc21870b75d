// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// environment is the interpreter of one of the virtual environments that make builds, or the test is skipped.
func environment(t *testing.T, name, how string) string {
	t.Helper()
	interpreter, err := filepath.Abs(filepath.Join("..", "..", ".tools", name, "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(interpreter)), ".done")); err != nil {
		t.Skipf("%s is not installed: %s: %v", name, how, err)
	}
	return interpreter
}

// startOriginal runs an MLflow server on SQLite and returns its address.
func startOriginal(t *testing.T, python string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	var told bytes.Buffer
	cmd := exec.Command(filepath.Join(filepath.Dir(python), "mlflow"), "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "mlflow.db"), "--artifacts-destination", filepath.Join(dir, "artifacts"))
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &told, &told, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	for limit := time.Now().Add(4 * time.Minute); ; {
		response, err := http.Get("http://" + address + "/health")
		if err == nil {
			_ = response.Body.Close()
			return "http://" + address
		}
		if time.Now().After(limit) {
			t.Fatalf("the MLflow server did not start: %s", told.String())
		}
		<-time.After(100 * time.Millisecond)
	}
}

type answered struct {
	asked string
	text  string
}

// transcript runs the calls against a server.
func transcript(t *testing.T, python string, env ...string) []answered {
	t.Helper()
	cmd := exec.Command(python, "testdata/differential/calls.py")
	cmd.Env = append(os.Environ(), env...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("the calls ended early: %v %s", err, told.String())
	}
	var list []answered
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var parts []json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &parts); err != nil || len(parts) != 3 {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		var asked string
		_ = json.Unmarshal(parts[0], &asked)
		list = append(list, answered{asked, fmt.Sprintf("%s %s", parts[1], parts[2])})
	}
	return list
}

// TestAsOriginal sends the same calls to an MLflow server and to the door and compares answers and error codes.
func TestAsOriginal(t *testing.T) {
	interpreter := environment(t, "mlflow", "make judges")
	s := start(t)
	want := transcript(t, interpreter, "BASE="+startOriginal(t, interpreter))
	got := transcript(t, interpreter, "BASE="+s.URL+"/mlflow/neurology", "TOKEN=alice-token", "CA="+s.ca)
	same, differences := 0, knownDifferences(t)
	for i := range min(len(want), len(got)) {
		why, known := differences[want[i].asked]
		switch {
		case want[i] == got[i] && known:
			t.Errorf("%s\n\tis answered alike, but said not to be: %s", want[i].asked, why)
		case want[i] == got[i]:
			same++
		case !known:
			t.Errorf("%s\n\tMLflow: %.800s\n\tFathom: %.800s", got[i].asked, want[i].text, got[i].text)
		}
	}
	t.Logf("%d calls, %d answered alike, %d known differences", len(want), same, len(differences))
	if len(want) != len(got) || len(want) < 400 {
		t.Errorf("MLflow answered %d calls, Fathom %d", len(want), len(got))
	}
}

// knownDifferences says of calls that are answered otherwise than by the original why that is.
func knownDifferences(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/differential/known.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	return known
}
