// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// client talks to the staging door. Requests that could not be sent, and answers 429 and 5xx, are tried again with
// growing pauses for as long as patience lasts.
type client struct {
	base, tokenFile string
	patience        time.Duration
	http            *http.Client
}

func newClient(c config) (*client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the door is ours; a proxy must not see the token
	transport.MaxIdleConnsPerHost = parallel
	transport.ResponseHeaderTimeout = time.Minute
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &client{base: strings.TrimSuffix(c.url, "/"), tokenFile: c.tokenFile, patience: c.patience,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// request describes one call; body, if any, is opened anew for every try.
type request struct {
	method, path string
	query        url.Values
	size         int64
	body         func() (io.ReadCloser, error)
	read         func(io.Reader) error // consumes a good answer; an error of kind Unavailable asks for another try
}

func (c *client) do(ctx context.Context, q request) error {
	deadline := time.Now().Add(c.patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := c.try(ctx, q)
		if err == nil || !transient(err) || ctx.Err() != nil || time.Now().Add(pause).After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

func transient(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Exhausted)
}

func (c *client) try(ctx context.Context, q request) error {
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "token", err)
	}
	body := io.ReadCloser(http.NoBody)
	if q.size > 0 {
		if body, err = q.body(); err != nil {
			return err
		}
	}
	address := c.base + "/" + escape(q.path)
	if q.query != nil {
		address += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, body)
	if err != nil {
		return fault.Wrap(fault.Invalid, q.path, err)
	}
	r.ContentLength = q.size
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := c.http.Do(r)
	if err != nil {
		return fault.Wrap(fault.Unavailable, q.method+" "+q.path, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return refusal(q, response)
	}
	if q.read == nil {
		return nil
	}
	return q.read(response.Body)
}

// refusal turns an answer that is not 2xx into an error of the matching kind.
func refusal(q request, response *http.Response) error {
	var told struct {
		Error string     `json:"error"`
		Kind  fault.Kind `json:"kind"`
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 8<<10))
	if json.Unmarshal(text, &told) != nil || told.Error == "" {
		told.Error = response.Status
	}
	switch {
	case response.StatusCode >= 500:
		told.Kind = fault.Unavailable
	case response.StatusCode == http.StatusTooManyRequests:
		told.Kind = fault.Exhausted
	case told.Kind == "" || told.Kind == fault.Unavailable:
		told.Kind = fault.Invalid
	}
	return fault.New(told.Kind, q.method+" "+q.path, "%s", told.Error)
}

func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// get reads a JSON document.
func (c *client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.do(ctx, request{method: http.MethodGet, path: path, query: query, read: reads(into)})
}

// post sends a JSON document and, with into, reads one.
func (c *client) post(ctx context.Context, path string, document, into any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fault.Wrap(fault.Internal, path, err)
	}
	q := request{method: http.MethodPost, path: path, size: int64(len(text)), body: bytesBody(text)}
	if into != nil {
		q.read = reads(into)
	}
	return c.do(ctx, q)
}

func bytesBody(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func reads(into any) func(io.Reader) error {
	return func(r io.Reader) error {
		if err := json.NewDecoder(r).Decode(into); err != nil {
			return fault.Wrap(fault.Unavailable, "answer", err)
		}
		return nil
	}
}

// errChanged says that a file was written to while it was being sent.
var errChanged = errors.New("the file changed while it was read")

// send uploads one file of the root under "<folder>/<path>". A file that changes meanwhile gives errChanged.
func (c *client) send(ctx context.Context, root *os.Root, folder, path string) (ref.Digest, int64, error) {
	before, err := root.Stat(path)
	if err != nil {
		return "", 0, err
	}
	f, err := root.Open(path)
	if err != nil {
		return "", 0, err
	}
	digest, size, err := ref.DigestFrom(f)
	f.Close()
	if err != nil {
		return "", 0, err
	}
	err = c.do(ctx, request{method: http.MethodPut, path: folder + "/" + path, size: size,
		query: url.Values{"digest": {string(digest)}},
		body:  func() (io.ReadCloser, error) { return root.Open(path) }})
	after, statErr := root.Stat(path)
	if statErr != nil || !os.SameFile(before, after) || after.Size() != size || !after.ModTime().Equal(before.ModTime()) {
		return "", 0, errors.Join(errChanged, err)
	}
	return digest, size, err
}
