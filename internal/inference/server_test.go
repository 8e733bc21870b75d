// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

// root is the repository's.
func root(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// load opens one of predict's tiny models; the test is skipped without ONNX Runtime.
func load(t testing.TB, name string) *predict.Session {
	t.Helper()
	library, err := predict.FindLibrary(os.Getenv, filepath.Join(root(t), ".tools", "bin", "fathom-step"))
	if err != nil {
		t.Skipf("needs ONNX Runtime: %v", err)
	}
	engine, err := predict.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root(t), "internal", "predict", "testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := engine.Load(b, predict.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var matrix = evaluate.Signature{Convention: predict.Matrix, Scores: "probabilities",
	Features: []evaluate.Feature{{Name: "age", Type: "number"}, {Name: "weight", Type: "number"}}}

// matrix0 knows no features: only the inputs of the file can be sent.
var matrix0 = evaluate.Signature{}

var columns = evaluate.Signature{Convention: predict.Columns, Scores: "p",
	Features: []evaluate.Feature{{Name: "age", Type: "number"}, {Name: "sex", Type: "text"}, {Name: "site", Type: "text"}}}

// door serves a model over HTTP.
func door(t testing.TB, model string, signature evaluate.Signature, change func(*Options)) *httptest.Server {
	t.Helper()
	opt := Options{Session: load(t, model), Name: "m", Version: "3", Signature: signature, Classes: []string{"no", "yes"}}
	if change != nil {
		change(&opt)
	}
	h, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func send(t testing.TB, server *httptest.Server, body string, header http.Header) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequest("POST", server.URL+"/v2/models/m/infer", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		request.Header[k] = v
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// tensor writes one input.
func tensor(name, kind, shape, data string) string {
	return `{"name":"` + name + `","datatype":"` + kind + `","shape":` + shape + `,"data":` + data + `}`
}

func inputs(list ...string) string { return `{"inputs":[` + strings.Join(list, ",") + `]}` }

const (
	twoRows   = `"data":[0.5249792,0.4750208,0.026596995,0.973403]` // of softmax
	echoInput = "features"
)

func TestConventions(t *testing.T) {
	soft := door(t, "softmax", matrix, nil)
	column := door(t, "columns", columns, nil)
	whole := door(t, "integer", evaluate.Signature{Convention: predict.Columns, Scores: "p",
		Features: []evaluate.Feature{{Name: "age", Type: "integer"}}}, nil)
	cases := []struct {
		name   string
		server *httptest.Server
		body   string
		want   string
	}{
		{"flat matrix", soft, inputs(tensor(echoInput, "FP32", "[2,2]", "[0,0.1,1,1.8]")), twoRows},
		{"nested matrix", soft, inputs(tensor(echoInput, "FP32", "[2,2]", "[[0,0.1],[1,1.8]]")), twoRows},
		{"members in another order", soft, `{"inputs":[{"data":[0,0.1,1,1.8],"shape":[2,2],"parameters":{"x":[{}]},"datatype":"FP32","name":"features"}]}`, twoRows},
		{"features by name", soft, inputs(tensor("weight", "FP64", "[2]", "[0.1,1.8]"), tensor("age", "INT32", "[2,1]", "[[0],[1]]")), twoRows},
		{"columns", column, inputs(tensor("sex", "BYTES", "[2]", `["f","m"]`), tensor("age", "FP32", "[2,1]", "[0,0]")), `"data":[0.7310586,0.5]`},
		{"columns with one that the model ignores", column,
			inputs(tensor("site", "BYTES", "[1]", `["x"]`), tensor("sex", "BYTES", "[1]", `["\u0066"]`), tensor("age", "BOOL", "[1]", "[true]")), `"data":[0.880797`},
		{"whole numbers", whole, inputs(tensor("age", "FP64", "[2]", "[7,8.0]")), `"data":[7,8]`},
		{"id and outputs", soft, `{"id":"a1","outputs":[{"name":"probabilities"}],` + inputs(tensor(echoInput, "FP32", "[1,2]", "[0,0]"))[1:], `"id":"a1"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := send(t, c.server, c.body, nil)
			if status != 200 || !strings.Contains(body, c.want) || header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s, want %s", status, body, c.want)
			}
		})
	}
}

// TestBinary echoes each datatype as raw bytes and as JSON.
func TestBinary(t *testing.T) {
	values := map[int]oip.Tensor{
		9: {Type: oip.Bool, Data: []bool{true, false}}, 2: {Type: oip.Uint8, Data: []uint8{0, 255}},
		4: {Type: oip.Uint16, Data: []uint16{0, 65535}}, 12: {Type: oip.Uint32, Data: []uint32{0, 1<<32 - 1}},
		13: {Type: oip.Uint64, Data: []uint64{0, 1<<64 - 1}}, 3: {Type: oip.Int8, Data: []int8{-128, 127}},
		5: {Type: oip.Int16, Data: []int16{-32768, 32767}}, 6: {Type: oip.Int32, Data: []int32{-1 << 31, 1<<31 - 1}},
		7: {Type: oip.Int64, Data: []int64{-1 << 63, 1<<63 - 1}}, 10: {Type: oip.FP16, Data: []uint16{0x3c00, 0xfbff}},
		16: {Type: oip.BF16, Data: []uint16{0x3f80, 0xc000}}, 1: {Type: oip.FP32, Data: []float32{1e-20, 0.1}},
		11: {Type: oip.FP64, Data: []float64{1e-300, 0.1}}, 8: {Type: oip.Bytes, Data: []string{"", "ä\x01\"\\"}},
	}
	var sent oip.Response // answers and requests have the same tensors
	for n, tensor := range values {
		tensor.Name, tensor.Shape = "in_"+itoa(n), []int64{1, 2}
		sent.Outputs = append(sent.Outputs, tensor)
	}
	server := door(t, "echo", evaluate.Signature{}, nil)
	for _, binary := range []bool{false, true} {
		message, n, err := oip.AppendResponse(nil, &sent, func(string) bool { return binary })
		if err != nil {
			t.Fatal(err)
		}
		head, tail := message, []byte(nil)
		if binary {
			head, tail = message[:n], message[n:]
		}
		text := strings.Replace(string(head), `"outputs":`, `"parameters":{"binary_data_output":true},"inputs":`, 1)
		header := http.Header{}
		if binary {
			header.Set(oip.HeaderLength, itoa(len(text)))
		}
		status, body, got := send(t, server, text+string(tail), header)
		if status != 200 || got.Get(oip.HeaderLength) == "" {
			t.Fatalf("binary %v: %d %s", binary, status, body)
		}
		answer, err := oip.ReadResponse([]byte(body), got.Get(oip.HeaderLength), oip.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Outputs) != len(values) || answer.Model != "m" || answer.Version != "3" {
			t.Fatalf("%+v", answer)
		}
		for _, out := range answer.Outputs {
			for n, want := range values {
				a, _ := json.Marshal(out.Data)
				b, _ := json.Marshal(want.Data)
				if out.Name == "out_"+itoa(n) && (out.Type != want.Type || !bytes.Equal(a, b)) {
					t.Errorf("binary %v: %s %s is %s, want %s", binary, out.Name, out.Type, a, b)
				}
			}
		}
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestMetadata(t *testing.T) {
	stopping := false
	server := door(t, "softmax", matrix, func(o *Options) { o.Ready = func() bool { return !stopping } })
	cases := []struct {
		path string
		want int
		text string
	}{
		{"/v2", 200, `"extensions":["binary_tensor_data"]`},
		{"/v2/health/live", 200, ""},
		{"/v2/health/ready", 200, ""},
		{"/v2/models/m", 200, `"inputs":[{"name":"features","datatype":"FP32","shape":[-1,2]}],"outputs":[{"name":"probabilities","datatype":"FP32","shape":[-1,2]}],"features":[{"name":"age","type":"number"}`},
		{"/v2/models/m/versions/3", 200, `"versions":["3"]`},
		{"/v2/models/m/ready", 200, ""},
		{"/v2/models/m/versions/3/ready", 200, ""},
		{"/v2/models/m/versions/4/ready", 404, "only"},
		{"/v2/models/other", 404, "only"},
		{"/v2/models/m/infer", 405, "there is no GET"},
		{"/v2/models/../models/m", 400, "path"},
		{"/metrics", 200, "fathom_inference_requests_total"},
	}
	for _, c := range cases {
		status, text := get(t, server, c.path)
		if status != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d %s", c.path, status, text)
		}
	}
	stopping = true
	if status, _ := get(t, server, "/v2/health/ready"); status != 503 {
		t.Errorf("stopping: %d", status)
	}
	if status, _ := get(t, server, "/v2/health/live"); status != 200 {
		t.Errorf("stopping: %d", status)
	}
}

func get(t testing.TB, server *httptest.Server, path string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.Path = path
	w := httptest.NewRecorder()
	server.Config.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
