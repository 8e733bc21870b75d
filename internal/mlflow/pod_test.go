// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"fmt"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/tracking"
)

// twoPods starts a server with the runs of two pods of one model, each with a logged model, an artifact and a child.
func twoPods(t *testing.T) (s *server, experiment string, models map[string]string) {
	t.Helper()
	s = start(t)
	ws, err := s.store.In(t.Context(), "neurology")
	if err != nil {
		t.Fatal(err)
	}
	if experiment, err = ws.EnsureExperiment(t.Context(), "parkinsons", nil); err != nil {
		t.Fatal(err)
	}
	models = map[string]string{}
	for _, pod := range []string{"a", "b"} {
		if _, err := ws.EnsureRun(t.Context(), tracking.NewRun{ID: podRun(pod), Experiment: experiment, Name: pod, User: "fathom"}); err != nil {
			t.Fatal(err)
		}
		status, body := s.call("pod-"+pod+"-token", "POST", "/mlflow/neurology/api/2.0/mlflow/logged-models",
			fmt.Sprintf(`{"experiment_id":%q,"name":"m","source_run_id":%q}`, experiment, podRun(pod)))
		if status != 200 {
			t.Fatalf("logged model of pod %s: %d %v", pod, status, body)
		}
		models[pod] = body["model"].(map[string]any)["info"].(map[string]any)["model_id"].(string)
		for _, path := range []string{podRun(pod) + "/artifacts/f", "models/" + models[pod] + "/artifacts/MLmodel"} {
			if status, body := s.call("pod-"+pod+"-token", "PUT", files+"/"+experiment+"/"+path, "content"); status != 200 {
				t.Fatalf("artifact of pod %s: %d %v", pod, status, body)
			}
		}
	}
	return s, experiment, models
}

// TestPodsKeepToTheirRun lets a pod ask for what is its own and, in the same words, for another pod's.
func TestPodsKeepToTheirRun(t *testing.T) {
	s, experiment, models := twoPods(t)
	_, other := s.call("alice-token", "POST", "/mlflow/neurology/api/2.0/mlflow/experiments/create", `{"name":"other"}`)
	names := func(text, pod string) string {
		e, name := experiment, "parkinsons"
		if pod == "b" { // of experiments, the other one is what a pod may not see
			e, name = other["experiment_id"].(string), "other"
		}
		return strings.NewReplacer("<run>", podRun(pod), "<model>", models[pod], "<experiment>", e, "<name>", name, "<root>", experiment).Replace(text)
	}
	const mine = `"run_id":"` // shortens the table
	for _, test := range []struct{ method, path, body string }{
		{"GET", "mlflow/runs/get?run_id=<run>", ""},
		{"GET", "mlflow/runs/get?run_uuid=<run>", ""},
		{"POST", "mlflow/runs/update", `{` + mine + `<run>","status":"RUNNING"}`},
		{"POST", "mlflow/runs/set-tag", `{` + mine + `<run>","key":"k","value":"v"}`},
		{"POST", "mlflow/runs/delete-tag", `{` + mine + `<run>","key":"k"}`},
		{"POST", "mlflow/runs/log-parameter", `{` + mine + `<run>","key":"k","value":"v"}`},
		{"POST", "mlflow/runs/log-metric", `{` + mine + `<run>","key":"m","value":1,"timestamp":1,"model_id":"<model>"}`},
		{"POST", "mlflow/runs/log-batch", `{` + mine + `<run>","metrics":[{"key":"m","value":1,"timestamp":2,"model_id":"<model>"}]}`},
		{"POST", "mlflow/runs/log-batch", `{"RUN_ID":"<run>","params":[{"key":"q","value":"v"}]}`},
		{"POST", "mlflow/runs/log-inputs", `{` + mine + `<run>","models":[{"model_id":"<model>"}]}`},
		{"POST", "mlflow/runs/outputs", `{` + mine + `<run>","models":[{"model_id":"<model>"}]}`},
		{"POST", "mlflow/runs/log-model", `{` + mine + `<run>","model_json":"{}"}`},
		{"GET", "mlflow/metrics/get-history?run_id=<run>&metric_key=m", ""},
		{"GET", "mlflow/artifacts/list?run_id=<run>", ""},
		{"GET", "mlflow-artifacts/artifacts?path=<root>/<run>/artifacts", ""},
		{"GET", "mlflow-artifacts/artifacts?path=<root>/models/<model>/artifacts", ""},
		{"GET", "mlflow-artifacts/artifacts/<root>/<run>/artifacts/f", ""},
		{"GET", "mlflow-artifacts/artifacts/<root>/models/<model>/artifacts/MLmodel", ""},
		{"PUT", "mlflow-artifacts/artifacts/<root>/<run>/artifacts/g", "x"},
		{"GET", "mlflow/experiments/get?experiment_id=<experiment>", ""},
		{"GET", "mlflow/experiments/get-by-name?experiment_name=<name>", ""},
		{"POST", "mlflow/runs/create", `{"experiment_id":"<root>","tags":[{"key":"mlflow.parentRunId","value":"<run>"}]}`},
		{"POST", "mlflow/logged-models", `{"experiment_id":"<root>","source_run_id":"<run>"}`},
		{"GET", "mlflow/logged-models/<model>", ""},
		{"PATCH", "mlflow/logged-models/<model>", `{"status":"LOGGED_MODEL_READY"}`},
		{"PATCH", "mlflow/logged-models/<model>/tags", `{"tags":[{"key":"a","value":"b"}]}`},
		{"POST", "mlflow/logged-models/<model>/params", `{"params":[{"key":"a","value":"b"}]}`},
		{"GET", "mlflow/logged-models/<model>/artifacts/directories", ""},
		{"DELETE", "mlflow/logged-models/<model>/tags/a", ""},
	} {
		for _, api := range []string{"api", "ajax-api"} {
			for pod, want := range map[string]int{"a": 200, "b": 403} {
				if api == "ajax-api" && (want == 200 || strings.HasPrefix(test.path, "mlflow-artifacts")) {
					continue
				}
				status, body := s.call("pod-a-token", test.method, "/mlflow/neurology/"+api+"/2.0/"+names(test.path, pod), names(test.body, pod))
				if status != want {
					t.Errorf("pod a about %s: %s %s: %d %v, want %d", pod, test.method, test.path, status, body, want)
				}
			}
			if status, body := s.call("pod-0-token", test.method, "/mlflow/neurology/api/2.0/"+names(test.path, "a"), names(test.body, "a")); status != 403 {
				t.Errorf("a pod without a run: %s %s: %d %v", test.method, test.path, status, body)
			}
		}
	}
	if s.refusals == 0 {
		t.Error("no refusal was recorded")
	}
}

// TestRoutesThatPodsMayUse pins which routes have a rule: a new one is refused until somebody thought about it.
func TestRoutesThatPodsMayUse(t *testing.T) {
	d := &door{}
	for _, part := range [][]route{d.registeredRoutes(), d.versionRoutes()} {
		for _, line := range part {
			if line.pods != nil {
				t.Errorf("pods may %s %s of the registry", line.method, line.path)
			}
		}
	}
	s, _, _ := twoPods(t)
	for _, path := range []string{
		"runs/search", "runs/delete", "runs/restore", "experiments/create", "experiments/search", "experiments/update", "experiments/set-experiment-tag",
		"logged-models/search", "registered-models/create", "registered-models/alias", "model-versions/create", "model-versions/set-tag",
	} {
		if status, body := s.call("pod-a-token", "POST", "/mlflow/neurology/api/2.0/mlflow/"+path, `{}`); status != 403 {
			t.Errorf("POST %s: %d %v", path, status, body)
		}
	}
	for _, path := range []string{
		"experiments/search", "registered-models/search", "registered-models/get?name=x", "model-versions/search", "metrics/get-history-bulk?run_id=" + podRun("a") + "&metric_key=m",
		"model-versions/get-download-uri?name=x&version=1", "metrics/get-history-bulk-interval?run_ids=" + podRun("a") + "&metric_key=m",
	} {
		if status, body := s.call("pod-a-token", "GET", "/mlflow/neurology/api/2.0/mlflow/"+path, ""); status != 403 {
			t.Errorf("GET %s: %d %v", path, status, body)
		}
	}
}

// TestPodsCannotPassNotes tries what two pods that work together could write for each other.
func TestPodsCannotPassNotes(t *testing.T) {
	s, experiment, models := twoPods(t)
	const api = "/mlflow/neurology/api/2.0/mlflow/"
	a, b := podRun("a"), podRun("b")
	_, child := s.call("pod-a-token", "POST", api+"runs/create",
		fmt.Sprintf(`{"experiment_id":%q,"tags":[{"key":"mlflow.parentRunId","value":%q},{"key":"note","value":"secret"}]}`, experiment, a))
	id := child["run"].(map[string]any)["info"].(map[string]any)["run_id"].(string)
	for what, request := range map[string][3]string{
		"give a child away":             {"POST", "runs/set-tag", fmt.Sprintf(`{"run_id":%q,"key":"mlflow.parentRunId","value":%q}`, id, b)},
		"give it away in a batch":       {"POST", "runs/log-batch", fmt.Sprintf(`{"run_id":%q,"tags":[{"key":"mlflow.parentRunId","value":%q}]}`, id, b)},
		"orphan it":                     {"POST", "runs/delete-tag", fmt.Sprintf(`{"run_id":%q,"key":"mlflow.parentRunId"}`, id)},
		"two parents":                   {"POST", "runs/create", fmt.Sprintf(`{"experiment_id":%q,"tags":[{"key":"mlflow.parentRunId","value":%q},{"key":"mlflow.parentRunId","value":%q}]}`, experiment, a, b)},
		"be found as another's run":     {"POST", "runs/set-tag", fmt.Sprintf(`{"run_id":%q,"key":"fathom.run","value":"parkinsons-fold-1"}`, a)},
		"a run of its own":              {"POST", "runs/create", fmt.Sprintf(`{"experiment_id":%q}`, experiment)},
		"a child elsewhere":             {"POST", "runs/create", fmt.Sprintf(`{"experiment_id":"0","tags":[{"key":"mlflow.parentRunId","value":%q}]}`, a)},
		"measure the other's model":     {"POST", "runs/log-batch", fmt.Sprintf(`{"run_id":%q,"metrics":[{"key":"m","value":1,"timestamp":1,"model_id":%q}]}`, a, models["b"])},
		"read a child of the other":     {"GET", "runs/get?run_id=" + b, ""},
		"a model of nobody":             {"POST", "logged-models", fmt.Sprintf(`{"experiment_id":%q}`, experiment)},
		"a path through its own folder": {"PUT", "../mlflow-artifacts/artifacts/" + a + "/shared", ""},
	} {
		if status, body := s.call("pod-a-token", request[0], api+request[1], request[2]); status < 400 {
			t.Errorf("%s: %d %v", what, status, body)
		}
	}
	if status, body := s.call("pod-b-token", "GET", api+"runs/get?run_id="+id, ""); status != 403 {
		t.Errorf("the other pod reads the child: %d %v", status, body)
	}
	for _, path := range []string{a + "/shared", experiment + "/" + a + "x/artifacts/f", experiment + "/shared", experiment + "/" + b + "/artifacts/" + a, "models/" + models["a"]} {
		if status, body := s.call("pod-a-token", "PUT", files+"/"+path, "note"); status != 403 {
			t.Errorf("pod a writes %s: %d %v", path, status, body)
		}
	}
	// A description of a dataset belongs to whoever wrote it, even if another uses its name and digest.
	input := `{"run_id":%q,"datasets":[{"dataset":{"name":"n","digest":"d","source_type":"local","source":"s","profile":%q}}]}`
	s.call("pod-a-token", "POST", api+"runs/log-inputs", fmt.Sprintf(input, a, "secret"))
	s.call("pod-b-token", "POST", api+"runs/log-inputs", fmt.Sprintf(input, b, ""))
	if _, body := s.call("pod-b-token", "GET", api+"runs/get?run_id="+b, ""); !strings.Contains(fmt.Sprint(body), "dataset") || strings.Contains(fmt.Sprint(body), "secret") {
		t.Errorf("the other pod sees the profile: %v", body)
	}
}
