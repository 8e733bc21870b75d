// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fathom.dev/fathom/internal/oip"
)

// BenchmarkInfer sends one row over loopback from c clients.
func BenchmarkInfer(b *testing.B) {
	body := inputs(tensor("features", "FP32", "[1,2]", "[0.25,1.75]"))
	for _, c := range []int{1, 16} {
		b.Run(fmt.Sprintf("c=%d", c), func(b *testing.B) {
			server := door(b, "softmax", matrix, nil)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c}}
			work := make(chan struct{}, c)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range c {
				wg.Go(func() {
					for range work {
						r, err := client.Post(server.URL+"/v2/models/m/infer", "application/json", strings.NewReader(body))
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, r.Body)
						_ = r.Body.Close()
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
		})
	}
}

// BenchmarkHandler is the door without the network.
func BenchmarkHandler(b *testing.B) {
	server := door(b, "softmax", matrix, nil)
	body := []byte(inputs(tensor("features", "FP32", "[1,2]", "[0.25,1.75]")))
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r, _ := http.NewRequest("POST", "/v2/models/m/infer", bytes.NewReader(body))
		clear(w.header)
		server.Config.Handler.ServeHTTP(w, r)
		if w.status >= 400 {
			b.Fatal(w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkRead is the codec alone, of a row of 22 features.
func BenchmarkRead(b *testing.B) {
	body := []byte(inputs(tensor("features", "FP32", "[1,22]", "["+strings.Repeat("119.992,", 21)+"0.00784]")))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oip.ReadRequest(body, "", oip.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun is the model alone.
func BenchmarkRun(b *testing.B) {
	s := load(b, "softmax")
	in := exact([]oip.Tensor{{Name: "features", Type: oip.FP32, Shape: []int64{1, 2}, Data: []float32{0.25, 1.75}}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
