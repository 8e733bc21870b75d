// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
)

// served is a model server's configuration.
type served struct {
	url, name, version string
	token, ca          string // files
	address            string
	concurrency        int
	notice             time.Duration
}

func serveConfig(env func(string) string) (served, error) {
	c := served{
		url: strings.TrimSuffix(env("FATHOM_MODEL_URL"), "/"), name: env("FATHOM_MODEL_NAME"), version: env("FATHOM_MODEL_VERSION"),
		token: env("FATHOM_TOKEN_FILE"), ca: env("FATHOM_CA_FILE"), notice: serveNotice,
	}
	for name, value := range map[string]string{"FATHOM_MODEL_URL": c.url, "FATHOM_MODEL_NAME": c.name, "FATHOM_MODEL_VERSION": c.version} {
		if value == "" {
			return c, fault.New(fault.Invalid, "serve", "$%s is not set", name)
		}
	}
	host, port := env("FATHOM_SERVE_HOST"), env("FATHOM_SERVE_PORT")
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "8080"
	}
	c.address = net.JoinHostPort(host, port)
	if text := env("FATHOM_CONCURRENCY"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return c, fault.New(fault.Invalid, "serve", "$FATHOM_CONCURRENCY is %q, not a number from 1", text)
		}
		c.concurrency = n
	}
	return c, nil
}

// fetched is what a model server needs of a model version.
type fetched struct {
	model      []byte
	evaluation evaluate.Evaluation
}

const (
	maxModelFile      = 512 << 20
	maxEvaluationFile = 64 << 20
	fetchAgain        = 10 * time.Second // the longest wait between two tries
)

// fetchModel downloads both files. It tries again until ctx ends: the server may start after its pods, and the right to read
// may come a moment after the pod. Only what cannot change by waiting is an error.
func fetchModel(ctx context.Context, c served, log *slog.Logger) (*fetched, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	model, err := c.persist(ctx, client, log, "model.onnx", maxModelFile)
	if err != nil {
		return nil, err
	}
	text, err := c.persist(ctx, client, log, "evaluation.json", maxEvaluationFile)
	if err != nil {
		return nil, err
	}
	e, err := evaluated(text)
	return &fetched{model: model, evaluation: e}, err
}

// client trusts only the given CA, if there is one, and never a proxy: the pods' token goes nowhere else.
func (c served) client() (*http.Client, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ResponseHeaderTimeout: time.Minute}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "read $FATHOM_CA_FILE", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "serve", "$FATHOM_CA_FILE holds no certificate")
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: refuse}, nil
}

func (c served) persist(ctx context.Context, client *http.Client, log *slog.Logger, file string, max int64) ([]byte, error) {
	wait := 200 * time.Millisecond
	for {
		b, err := c.get(ctx, client, file, max)
		if err == nil || fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) {
			return b, err
		}
		log.Warn("the model is not there yet", "file", file, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
		wait = min(2*wait, fetchAgain)
	}
}

// get reads one file; the token is read each time, since it is renewed.
func (c served) get(ctx context.Context, client *http.Client, file string, max int64) ([]byte, error) {
	op := "download " + file
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/"+file, nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "%v", err)
	}
	if c.token != "" {
		token, err := os.ReadFile(c.token)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, op, err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, op, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return nil, fault.New(fault.Unavailable, op, "%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	b, err := io.ReadAll(io.LimitReader(response.Body, max+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, op, err)
	case int64(len(b)) > max:
		return nil, fault.New(fault.TooLarge, op, "it has more than %d bytes", max)
	case response.ContentLength >= 0 && int64(len(b)) != response.ContentLength:
		return nil, fault.New(fault.Unavailable, op, "it ended early")
	}
	return b, nil
}
