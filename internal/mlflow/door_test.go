// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"fathom.dev/fathom/internal/identity"
)

// TestEveryRouteAsksWho calls every route of the table as nobody, with garbage, and as someone of another workspace.
func TestEveryRouteAsksWho(t *testing.T) {
	s := start(t)
	routes := identity.Routes(s.Config.Handler)
	if len(routes) < 120 {
		t.Fatalf("only %d routes", len(routes))
	}
	replace := strings.NewReplacer("{workspace}", "neurology", "{path...}", "0/x", "{rest...}", "nothing", "{model}", "m-1", "{tag...}", "t")
	for _, route := range routes {
		method, path, _ := strings.Cut(route.Pattern, " ")
		if route.Public != "" {
			t.Errorf("%s is public: %s", route.Pattern, route.Public)
		}
		for token, want := range map[string]int{"": 401, "garbage": 401, "bob-token": 403} {
			if status, body := s.call(token, method, replace.Replace(path), "{}"); status != want {
				t.Errorf("%s as %q: %d %v, want %d", route.Pattern, token, status, body, want)
			}
		}
	}
}

func TestActions(t *testing.T) {
	s := start(t)
	want := map[string]string{ // a few that matter; the verb and whether it is an access to data
		"POST /mlflow/{workspace}/api/2.0/mlflow/runs/search":                          "get false",
		"POST /mlflow/{workspace}/ajax-api/2.0/mlflow/runs/create":                     "create false",
		"POST /mlflow/{workspace}/api/2.0/mlflow/experiments/delete":                   "delete false",
		"DELETE /mlflow/{workspace}/api/2.0/mlflow/model-versions/delete":              "delete false",
		"GET /mlflow/{workspace}/api/2.0/mlflow-artifacts/artifacts/{path...}":         "get true",
		"PUT /mlflow/{workspace}/api/2.0/mlflow-artifacts/artifacts/{path...}":         "update true",
		"DELETE /mlflow/{workspace}/ajax-api/2.0/mlflow-artifacts/artifacts/{path...}": "delete true",
		"PATCH /mlflow/{workspace}/api/2.0/mlflow/logged-models/{model}":               "update false",
		"POST /mlflow/{workspace}/{rest...}":                                           "update false",
	}
	for _, route := range identity.Routes(s.Config.Handler) {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetPathValue("workspace", "neurology")
		a, err := route.Action(r)
		if err != nil || a.Group != "fathom.dev" || a.Resource != "models" || a.Subresource != "tracking" || a.Namespace != "neurology" ||
			!slices.Contains([]string{get, create, update, remove}, a.Verb) {
			t.Errorf("%s maps to %+v, %v", route.Pattern, a, err)
		}
		if expected, known := want[route.Pattern]; known {
			delete(want, route.Pattern)
			if got := fmt.Sprint(a.Verb, " ", a.Data); got != expected {
				t.Errorf("%s is %s, want %s", route.Pattern, got, expected)
			}
		}
	}
	for pattern := range want {
		t.Errorf("there is no %s", pattern)
	}
}

func TestErrors(t *testing.T) {
	s := start(t)
	const api = "/mlflow/neurology/api/2.0/mlflow/"
	_, created := s.call("alice-token", "POST", api+"experiments/create", `{"name":"gone"}`)
	s.call("alice-token", "POST", api+"experiments/delete", fmt.Sprintf(`{"experiment_id":%q}`, created["experiment_id"]))
	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "runs/get", "", 400, "INVALID_PARAMETER_VALUE"},
		{"GET", "runs/get?run_id=" + strings.Repeat("0", 32), "", 404, "RESOURCE_DOES_NOT_EXIST"},
		{"GET", "runs/get?run_id=../x", "", 400, "INVALID_PARAMETER_VALUE"},
		{"GET", "experiments/get?experiment_id=x", "", 400, "INVALID_PARAMETER_VALUE"},
		{"GET", "experiments/get?experiment_id=99", "", 404, "RESOURCE_DOES_NOT_EXIST"},
		{"POST", "experiments/create", `{"name":"gone"}`, 400, "RESOURCE_ALREADY_EXISTS"},
		{"POST", "experiments/create", `{"name":""}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/create", `{"name":7}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/create", `not JSON`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/create", ``, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/create", strings.Repeat("[", 100_000), 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/create", `{"name":"x","artifact_location":"/etc"}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "experiments/update", `{"experiment_id":"1","new_name":"x"}`, 400, "INVALID_STATE"},
		{"POST", "runs/create", `{"experiment_id":"1"}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "runs/log-batch", `{"run_id":"a","metrics":"` + strings.Repeat("x", 1_000_001) + `"}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "runs/search", `{"experiment_ids":["0"],"max_results":50001}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "runs/search", `{"experiment_ids":["0"],"max_results":0}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "runs/search", `{"experiment_ids":["0"],"page_token":"x"}`, 400, "INVALID_PARAMETER_VALUE"},
		{"POST", "runs/update", `{"run_id":"a","status":"DONE"}`, 400, "INVALID_PARAMETER_VALUE"},
		{"GET", "traces?experiment_ids=0", "", 501, "NOT_IMPLEMENTED"},
		{"POST", "gateway/secrets/create", "{}", 501, "NOT_IMPLEMENTED"},
		{"POST", "runs/nothing", "{}", 404, "ENDPOINT_NOT_FOUND"},
		{"DELETE", "runs/get", "", 404, "ENDPOINT_NOT_FOUND"},
	} {
		status, body := s.call("alice-token", test.method, api+test.path, test.body)
		message, _ := body["message"].(string)
		if status != test.status || body["error_code"] != test.code || message == "" || len(message) > 4000 {
			t.Errorf("%s %s %.60s: %d %v, want %d %s", test.method, test.path, test.body, status, body, test.status, test.code)
		}
	}
	if status, body := s.call("alice-token", "GET", "/mlflow/Bad_Name/api/2.0/mlflow/experiments/get?experiment_id=0", ""); status != 400 {
		t.Errorf("a workspace with a bad name: %d %v", status, body)
	}
}

func TestProbes(t *testing.T) {
	s := start(t)
	for path, want := range map[string]string{"version": protocolVersion, "health": "OK"} {
		if status, body := s.call("alice-token", "GET", "/mlflow/neurology/"+path, ""); status != 200 || body["body"] != want && fmt.Sprint(body) != want {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	status, info := s.call("alice-token", "GET", "/mlflow/neurology/api/3.0/mlflow/server-info", "")
	if status != 200 || info["multipart_uploads_enabled"] != false {
		t.Errorf("server-info: %d %v", status, info)
	}
}

func TestNumbersThatJSONLacks(t *testing.T) {
	s := start(t)
	const api = "/mlflow/neurology/api/2.0/mlflow/runs/"
	_, body := s.call("alice-token", "POST", api+"create", `{"experiment_id":"0","start_time":"1700000000000"}`)
	info := body["run"].(map[string]any)["info"].(map[string]any)
	id := info["run_id"].(string)
	if info["user_id"] != "alice" || info["start_time"] != 1.7e12 {
		t.Errorf("the run is %v", info)
	}
	for i, value := range []string{`"NaN"`, `"Infinity"`, `"-Infinity"`, `"1.5"`, `2`} {
		status, body := s.call("alice-token", "POST", api+"log-metric", fmt.Sprintf(`{"run_uuid":%q,"key":"m%d","value":%s,"timestamp":"1"}`, id, i, value))
		if status != 200 {
			t.Errorf("%s: %d %v", value, status, body)
		}
	}
	_, body = s.call("alice-token", "GET", api+"get?run_uuid="+id, "")
	var got []any
	for _, m := range body["run"].(map[string]any)["data"].(map[string]any)["metrics"].([]any) {
		got = append(got, m.(map[string]any)["value"])
	}
	if want := []any{"NaN", "Infinity", "-Infinity", 1.5, 2.0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, point := range []string{`{"key":"a","timestamp":1}`, `{"key":"a","value":"x","timestamp":1}`, `{"key":"a","value":1}`, `{"value":1,"timestamp":1}`,
		`{"key":"a","value":1,"timestamp":1.5}`, `{"key":"a","value":1,"timestamp":"99999999999999999999"}`} {
		if status, body := s.call("alice-token", "POST", api+"log-batch", fmt.Sprintf(`{"run_id":%q,"metrics":[%s]}`, id, point)); status != 400 {
			t.Errorf("%s: %d %v, want 400", point, status, body)
		}
	}
}

const files = "/mlflow/neurology/api/2.0/mlflow-artifacts/artifacts"

// TestHostileArtifactPaths sends paths raw, as no client library would.
func TestHostileArtifactPaths(t *testing.T) {
	s := start(t)
	s.call("alice-token", "PUT", files+"/0/run/artifacts/secret", "secret")
	for _, path := range []string{
		"/../../../etc/passwd", "/a/../../x", "/%2e%2e/x", "/..%2fx", "/%252e%252e%252fx", "/a//b", "//proc/self/root/etc/passwd", `/..%5cx`,
		"/a%5c..%5cb", "/a%00b", "/file:%2f%2f%2fetc%2fpasswd", "/file:/etc/passwd", "/./a", "/a/.", "/a/..", "/", "/a%0ab",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if status := rawStatus(t, s, method, files+path); status != 400 {
				t.Errorf("%s %s: %d, want 400", method, path, status)
			}
		}
	}
	for _, query := range []string{"../x", "/etc", "a/../..", `..\x`, "%2e%2e/x", "a//b"} {
		request := httptest.NewRequest("GET", files, nil)
		values := request.URL.Query()
		values.Set("path", query)
		if status := rawStatus(t, s, "GET", files+"?"+values.Encode()); status != 400 {
			t.Errorf("listing %q: %d, want 400", query, status)
		}
	}
	if status, body := s.call("alice-token", "GET", "/mlflow/oncology/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/secret", ""); status != 404 {
		t.Errorf("the artifact from another workspace: %d %v", status, body)
	}
}

// rawStatus writes the request line as given.
func rawStatus(t *testing.T, s *server, method, target string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), s.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", method, target)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	var status int
	if _, err := fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("%.100q: %v", answer, err)
	}
	return status
}

func TestArtifactsAreNeverPages(t *testing.T) {
	s := start(t)
	if status, body := s.call("alice-token", "PUT", files+"/0/r/artifacts/x.html", "<script>alert(1)</script>"); status != 200 {
		t.Fatal(status, body)
	}
	request, _ := http.NewRequest("GET", s.URL+files+"/0/r/artifacts/x.html", nil)
	request.Header.Set("Authorization", "Bearer alice-token")
	request.Header.Set("Range", "bytes=1-6")
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	h := response.Header
	if response.StatusCode != 206 || string(body) != "script" || h.Get("Content-Type") != "application/octet-stream" ||
		h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Content-Disposition") != "attachment" {
		t.Errorf("%d %q %v", response.StatusCode, body, h)
	}
	want := []string{"alice update " + files + "/0/r/artifacts/x.html", "alice get " + files + "/0/r/artifacts/x.html"}
	if !slices.Equal(s.audited, want) {
		t.Errorf("audited %v, want %v", s.audited, want)
	}
}

func TestArtifactLimit(t *testing.T) {
	s := start(t)
	handler, err := New(Options{Store: s.store, Blobs: diskBlobs{t.TempDir()}, Authenticator: &guards{}, Authorizer: &guards{}, MaxArtifact: 10})
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]int{10: 200, 11: 413} {
		r := httptest.NewRequest("PUT", files+"/0/x", strings.NewReader(strings.Repeat("x", size)))
		r.Header.Set("Authorization", "Bearer alice-token")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes: %d %s, want %d", size, w.Code, w.Body, want)
		}
	}
}

func TestNewRefusesMissingParts(t *testing.T) {
	s := start(t)
	for _, opt := range []Options{{}, {Store: s.store}, {Store: s.store, Blobs: diskBlobs{}}} {
		if _, err := New(opt); err == nil {
			t.Errorf("New(%+v) did not fail", opt)
		}
	}
}

// BenchmarkLogBatch sends batches of 1000 points through TLS and the door.
func BenchmarkLogBatch(b *testing.B) {
	s := start(b)
	const api = "/mlflow/neurology/api/2.0/mlflow/runs/"
	_, body := s.call("alice-token", "POST", api+"create", `{"experiment_id":"0"}`)
	id := body["run"].(map[string]any)["info"].(map[string]any)["run_id"].(string)
	step := 0
	for b.Loop() {
		var text strings.Builder
		fmt.Fprintf(&text, `{"run_id":%q,"metrics":[`, id)
		for i := range 1000 {
			if i > 0 {
				text.WriteByte(',')
			}
			step++
			fmt.Fprintf(&text, `{"key":"metric-%d","value":%v,"timestamp":%d,"step":%d}`, i%10, float64(step)/7, 1_700_000_000_000+step, step)
		}
		text.WriteString("]}")
		if status, body := s.call("alice-token", "POST", api+"log-batch", text.String()); status != 200 {
			b.Fatal(status, body)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "metrics/s")
}

// BenchmarkLogMetric sends single points from 64 callers through TLS and the door.
func BenchmarkLogMetric(b *testing.B) {
	s := start(b)
	const api = "/mlflow/neurology/api/2.0/mlflow/runs/"
	s.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	_, body := s.call("alice-token", "POST", api+"create", `{"experiment_id":"0"}`)
	id := body["run"].(map[string]any)["info"].(map[string]any)["run_id"].(string)
	var step atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := step.Add(1)
			point := fmt.Sprintf(`{"run_id":%q,"key":"loss","value":0.5,"timestamp":%d,"step":%d}`, id, n, n)
			if status, body := s.call("alice-token", "POST", api+"log-metric", point); status != 200 {
				b.Fatal(status, body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "metrics/s")
}
