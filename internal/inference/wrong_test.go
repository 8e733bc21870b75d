// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/oip"
)

// TestWrongInputs: every mistake is the client's, and told.
func TestWrongInputs(t *testing.T) {
	soft := door(t, "softmax", matrix, func(o *Options) { o.MaxBody = 1 << 20 })
	column := door(t, "columns", columns, nil)
	whole := door(t, "integer", columns, nil)
	nan := door(t, "nan", matrix, nil)
	gather := door(t, "gather", matrix0, nil)
	one := func(shape, data string) string { return inputs(tensor("features", "FP32", shape, data)) }
	raw := func(shape string, size int, tail string) (string, http.Header) {
		head := fmt.Sprintf(`{"inputs":[{"name":"features","datatype":"FP32","shape":%s,"parameters":{"binary_data_size":%d}}]}`, shape, size)
		return head + tail, http.Header{oip.HeaderLength: {itoa(len(head))}}
	}
	type wrong struct {
		name   string
		server *httptest.Server
		body   string
		header http.Header
		status int
		want   string
	}
	cases := []wrong{
		{"empty", soft, "", nil, 400, "ends early"},
		{"not JSON", soft, "hello", nil, 400, "not JSON"},
		{"not UTF-8", soft, "{\"id\":\"\xff\"}", nil, 400, "not JSON"},
		{"cut", soft, one("[1,2]", "[1,2]")[:40], nil, 400, "ends early"},
		{"two objects", soft, one("[1,2]", "[1,2]") + "{}", nil, 400, "follows"},
		{"list", soft, "[]", nil, 400, "must be an object"},
		{"null", soft, "null", nil, 400, "must be an object"},
		{"no inputs", soft, `{}`, nil, 400, "no inputs"},
		{"inputs is an object", soft, `{"inputs":{}}`, nil, 400, "must be a list"},
		{"name twice", soft, `{"inputs":[],"inputs":[]}`, nil, 400, "duplicate"},
		{"deep data", soft, one("[1,2]", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), nil, 400, "depth"},
		{"deep elsewhere", soft, `{"x":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_001), nil, 400, "depth"},
		{"open brackets", soft, strings.Repeat("[", 100_000), nil, 400, "must be an object"},
		{"NaN", soft, one("[1,2]", "[NaN,1]"), nil, 400, "NaN and Infinity are not JSON"},
		{"Infinity", soft, one("[1,2]", "[1,Infinity]"), nil, 400, "not JSON"},
		{"null without an imputer", soft, one("[1,2]", "[null,1]"), nil, 400, "no answer"},
		{"out of range", soft, one("[1,2]", "[1e39,1]"), nil, 400, "no value of the datatype FP32"},
		{"text for number", soft, one("[1,2]", `["1","2"]`), nil, 400, "no value of the datatype FP32"},
		{"object for number", soft, one("[1,2]", `[{"a":[1,2]},1]`), nil, 400, "no value"},
		{"bool for number", soft, one("[1,2]", `[true,false]`), nil, 400, "no value"},
		{"too few", soft, one("[2,2]", "[1,2,3]"), nil, 400, "needs 4 values, not 3"},
		{"too many", soft, one("[1,2]", "[1,2,3]"), nil, 400, "needs 2 values, not more"},
		{"ragged", soft, one("[2,2]", "[[1,2,3],[4]]"), nil, 400, "not nested as its shape"},
		{"mixed", soft, one("[2,2]", "[[1,2],3,4]"), nil, 400, "not nested as its shape"},
		{"too deep for its shape", soft, one("[1,2]", "[[[1,2]]]"), nil, 400, "nested deeper"},
		{"three columns", soft, one("[1,3]", "[1,2,3]"), nil, 400, "must have shape"},
		{"rank", soft, one("[2]", "[1,2]"), nil, 400, "must have shape"},
		{"negative", soft, one("[-1,2]", "[1,2]"), nil, 400, "negative"},
		{"2^63", soft, one("[9223372036854775808,2]", "[1,2]"), nil, 400, "whole number"},
		{"2^63-1", soft, one("[9223372036854775807,2]", "[1,2]"), nil, 413, "more than"},
		{"product overflows", soft, one("[4294967296,4294967296]", "[]"), nil, 413, "more than"},
		{"product overflows to the right number", soft, one("[9223372036854775809,2]", "[1,2]"), nil, 400, "whole number"},
		{"fraction", soft, one("[1.0,2]", "[1,2]"), nil, 400, "whole number"},
		{"text size", soft, one(`["1",2]`, "[1,2]"), nil, 400, "whole number"},
		{"many axes", soft, one("["+strings.Repeat("1,", 1000)+"1]", "[1]"), nil, 400, "axes"},
		{"no shape", soft, `{"inputs":[{"name":"features","datatype":"FP32","data":[1,2]}]}`, nil, 400, "no shape"},
		{"no datatype", soft, `{"inputs":[{"name":"features","shape":[1,2],"data":[1,2]}]}`, nil, 400, "no datatype"},
		{"no name", soft, `{"inputs":[{"datatype":"FP32","shape":[1,2],"data":[1,2]}]}`, nil, 400, "no name"},
		{"no data", soft, `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,2]}]}`, nil, 400, "neither"},
		{"data is a number", soft, one("[1]", "1"), nil, 400, "must be a list"},
		{"unknown datatype", soft, inputs(tensor("features", "FLOAT", "[1,2]", "[1,2]")), nil, 400, "does not exist"},
		{"wrong datatype", soft, inputs(tensor("features", "INT64", "[1,2]", "[1,2]")), nil, 400, "must be FP32, not INT64"},
		{"unknown input", soft, inputs(tensor("feature", "FP32", "[1,2]", "[1,2]")), nil, 400, `no input or feature is called \"feature\"`},
		{"endless name", soft, inputs(tensor(strings.Repeat("n", 100_000), "FP32", "[1,2]", "[1,2]")), nil, 400, "longer than"},
		{"input twice", soft, inputs(tensor("features", "FP32", "[1,2]", "[1,2]"), tensor("features", "FP32", "[1,2]", "[1,2]")), nil, 400, "features"},
		{"unknown output", soft, `{"outputs":[{"name":"x"}],` + one("[1,2]", "[1,2]")[1:], nil, 400, `no output is called \"x\"`},
		{"output twice", soft, `{"outputs":[{"name":"probabilities"},{"name":"probabilities"}],` + one("[1,2]", "[1,2]")[1:], nil, 400, "twice"},
		{"id is a number", soft, `{"id":7,` + one("[1,2]", "[1,2]")[1:], nil, 400, "must be a string"},
		{"classification", soft, `{"outputs":[{"name":"probabilities","parameters":{"classification":2}}],` + one("[1,2]", "[1,2]")[1:], nil, 400, "not supported"},
		{"missing feature", soft, inputs(tensor("age", "FP32", "[1]", "[1]")), nil, 400, "missing: weight"},
		{"feature twice", soft, inputs(tensor("age", "FP32", "[1]", "[1]"), tensor("age", "FP32", "[1]", "[1]")), nil, 400, "twice"},
		{"other number of rows", soft, inputs(tensor("age", "FP32", "[1]", "[1]"), tensor("weight", "FP32", "[2]", "[1,2]")), nil, 400, "rows"},
		{"feature of two columns", soft, inputs(tensor("age", "FP32", "[1,2]", "[1,2]"), tensor("weight", "FP32", "[1]", "[1]")), nil, 400, "must have the shape"},
		{"text for a number feature", soft, inputs(tensor("age", "BYTES", "[1]", `["1"]`), tensor("weight", "FP32", "[1]", "[1]")), nil, 400, "holds numbers"},
		{"number for a text feature", column, inputs(tensor("age", "FP32", "[1]", "[1]"), tensor("sex", "FP32", "[1]", "[1]")), nil, 400, "holds texts"},
		{"unknown feature", column, inputs(tensor("height", "FP32", "[1]", "[1]")), nil, 400, "no input or feature"},
		{"half a year", whole, inputs(tensor("age", "FP32", "[1]", "[1.5]")), nil, 400, "whole number"},
		{"missing whole number", whole, inputs(tensor("age", "FP32", "[1]", "[null]")), nil, 400, "whole number"},
		{"model answers NaN", nan, one("[1,2]", "[1,2]"), nil, 400, "no answer"},
		{"index out of range", gather, inputs(tensor("index", "INT64", "[1]", "[7]")), nil, 400, "cannot compute"},
		{"too large", soft, one("[1,2]", "["+strings.Repeat(" ", 1<<20)+"1,2]"), nil, 413, "larger than"},
		{"header not a number", soft, one("[1,2]", "[1,2]"), http.Header{oip.HeaderLength: {"x"}}, 400, oip.HeaderLength},
		{"header negative", soft, one("[1,2]", "[1,2]"), http.Header{oip.HeaderLength: {"-1"}}, 400, oip.HeaderLength},
		{"header beyond the body", soft, one("[1,2]", "[1,2]"), http.Header{oip.HeaderLength: {"100000"}}, 400, oip.HeaderLength},
		{"compressed", soft, "x", http.Header{"Content-Encoding": {"gzip"}}, 400, "uncompressed"},
		{"both data", soft, `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,2],"data":[1,2],"parameters":{"binary_data_size":0}}]}`, nil, 400, "both"},
		{"shared memory", soft, `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,2],"parameters":{"shared_memory_region":"/x"}}]}`, nil, 400, "shared memory"},
	}
	add := func(name, shape string, size int, tail string, status int, want string) {
		body, header := raw(shape, size, tail)
		cases = append(cases, wrong{name, soft, body, header, status, want})
	}
	add("raw: too few bytes follow", "[1,2]", 8, "1234", 400, "only 4 bytes follow")
	add("raw: bytes left over", "[1,2]", 8, strings.Repeat("\x00", 12), 400, "4 bytes follow")
	add("raw: wrong size", "[1,2]", 4, "\x00\x00\x00\x00", 400, "needs 8 bytes")
	add("raw: negative size", "[1,2]", -1, "", 400, "negative")
	add("raw: NaN", "[1,2]", 8, "\x00\x00\xc0\x7f\x00\x00\x00\x00", 400, "holds NaN at position 0")
	add("raw: infinity", "[1,2]", 8, "\x00\x00\x00\x00\x00\x00\x80\xff", 400, "holds -Inf at position 1")
	add("raw: huge", "[9223372036854775807,9223372036854775807]", 8, "12345678", 413, "more than")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, body, _ := send(t, c.server, c.body, c.header)
			if status != c.status || !strings.Contains(body, c.want) || !strings.HasPrefix(body, `{"error":"`) || len(body) > 2000 {
				t.Errorf("%d %.300s, want %d with %q", status, body, c.status, c.want)
			}
			for _, inside := range []string{".go:", "goroutine", "/internal/", "onnxruntime_go"} {
				if strings.Contains(body, inside) {
					t.Errorf("tells what is inside: %s", body)
				}
			}
		})
	}
}

// conn speaks HTTP by hand.
func conn(t *testing.T, server *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

func status(t *testing.T, r *bufio.Reader) (int, string) {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func TestWrongLengths(t *testing.T) {
	server := door(t, "softmax", matrix, nil)
	body := inputs(tensor("features", "FP32", "[1,2]", "[0,0]"))
	head := "POST /v2/models/m/infer HTTP/1.1\r\nHost: m\r\n"
	t.Run("shorter than told", func(t *testing.T) {
		c, r := conn(t, server)
		fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(body)+10, body)
		_ = c.(*net.TCPConn).CloseWrite()
		if code, text := status(t, r); code != 400 || !strings.Contains(text, "ends before") {
			t.Errorf("%d %s", code, text)
		}
	})
	t.Run("no number", func(t *testing.T) {
		c, r := conn(t, server)
		fmt.Fprintf(c, "%sContent-Length: -5\r\n\r\n%s", head, body)
		if code, text := status(t, r); code != 400 {
			t.Errorf("%d %s", code, text)
		}
	})
	t.Run("2^63", func(t *testing.T) {
		c, r := conn(t, server)
		fmt.Fprintf(c, "%sContent-Length: 9223372036854775807\r\n\r\n%s", head, body)
		if code, text := status(t, r); code != 413 {
			t.Errorf("%d %s", code, text)
		}
	})
	t.Run("tiny chunks", func(t *testing.T) { // 3 MB in chunks of 6 bytes cost what 3 MB cost
		c, r := conn(t, server)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		go func() {
			w := bufio.NewWriter(c)
			fmt.Fprintf(w, "%sTransfer-Encoding: chunked\r\n\r\n", head)
			for range 500_000 {
				_, _ = w.WriteString("6\r\n      \r\n")
			}
			fmt.Fprintf(w, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			_ = w.Flush()
		}()
		if code, text := status(t, r); code != 200 {
			t.Errorf("%d %s", code, text)
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 40<<20 {
			t.Errorf("%d bytes were allocated", grown)
		}
	})
	t.Run("endless chunks", func(t *testing.T) {
		c, r := conn(t, server)
		go func() {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n", head)
			chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
			for {
				if _, err := io.WriteString(c, chunk); err != nil {
					return
				}
			}
		}()
		if code, text := status(t, r); code != 413 {
			t.Errorf("%d %s", code, text)
		}
	})
}

// TestMemory: what a request allocates is a small multiple of its length, whatever it claims.
func TestMemory(t *testing.T) {
	for name, body := range map[string]string{
		"shape":   inputs(tensor("features", "FP64", "[8000000,2]", "[]")),
		"zeros":   inputs(tensor("features", "FP64", "[500000,2]", "["+strings.Repeat("0,", 999_999)+"0]")),
		"texts":   inputs(tensor("features", "BYTES", "[500000,2]", "["+strings.Repeat(`"",`, 999_999)+`""]`)),
		"tensors": inputs(strings.Repeat(tensor("a", "FP64", "[1]", "[1]")+",", 20_000) + tensor("a", "FP64", "[1]", "[1]")),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := oip.ReadRequest([]byte(body), "", oip.Limits{})
			runtime.ReadMemStats(&after)
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 7*int64(len(body))+1<<16 {
				t.Errorf("%d bytes allocated for a body of %d (%v)", grown, len(body), err)
			}
		})
	}
}
