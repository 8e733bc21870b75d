// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"fathom.dev/fathom/internal/oip"
)

// FuzzReply reads what net/http reads: an answer must not look different to the gateway because it reads plain ones itself.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nDate: now\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 5\r\nContent-Length: 7\r\n\r\n{   }ab",
		"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\n\r\nuntil the end", "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", "HTTP/1.1 200 OK\r\n Content-Length: 1\r\n\r\nx", "HTTP/1.1 200\r\nContent-Length: +1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Type: b\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		got, gotErr := readReply(bufio.NewReader(bytes.NewReader(sent)))
		want, wantErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(sent)), nil)
		if wantErr == nil && want.StatusCode < 200 {
			wantErr = errUnasked
		}
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%v, net/http: %v", gotErr, wantErr)
		}
		if gotErr != nil {
			return
		}
		body, err := io.ReadAll(got.body)
		if got.length >= 0 && int64(len(body)) < got.length {
			err = io.ErrUnexpectedEOF
		}
		wantBody, wantErr := io.ReadAll(want.Body)
		if !bytes.Equal(body, wantBody) || (err == nil) != (wantErr == nil) {
			t.Errorf("body %q %v, net/http: %q %v", body, err, wantBody, wantErr)
		}
		if got.status != want.StatusCode || got.length != want.ContentLength || got.closing != want.Close {
			t.Errorf("%+v, net/http: %+v", got, want)
		}
		for name, value := range map[string]string{"Content-Type": got.kind, "Retry-After": got.retry, oip.HeaderLength: got.json} {
			if want.Header.Get(name) != value {
				t.Errorf("%s: %q, net/http: %q", name, value, want.Header.Get(name))
			}
		}
	})
}
