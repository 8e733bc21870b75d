// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"
)

const (
	batchSize   = 1000 // metrics, the most that MLflow's protocol allows
	batchRounds = 5    // batches a round, of which the middle counts
)

// measureTracking logs batches of metrics through the MLflow door (TLS, identity, authorization; an answer means synced to
// disk) and to an MLflow server on SQLite (plain HTTP, nobody is asked who they are).
func measureTracking(ctx context.Context, b *bench) (figures []figure, err error) {
	venv, err := b.environment(ctx, "tracking")
	if err != nil {
		return nil, err
	}
	s, err := b.study(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := b.fresh("mlflow")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	peer, err := start(ctx, address, healthPath, []string{"MLFLOW_DISABLE_TELEMETRY=true"}, filepath.Join(venv, "bin", "mlflow"), "server",
		"--host", "127.0.0.1", "--port", address[len("127.0.0.1:"):], "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "mlflow.db"), "--default-artifact-root", filepath.Join(dir, "artifacts"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, peer.close()) }()
	host, err := s.doors(ctx)
	if err != nil {
		return nil, err
	}
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls.Clone()}, Timeout: time.Minute}
	defer secure.CloseIdleConnections()
	ours := &tracker{client: secure, base: "https://" + host + "/mlflow/" + studyWorkspace}
	theirs := &tracker{client: &http.Client{Timeout: time.Minute}, base: "http://" + address}
	f := figure{what: "log_batch of 1000 metrics, one client", unit: "metrics/s", more: true, peer: "MLflow server on SQLite, plain HTTP",
		aim: "≥ 500k/s", note: "ours: TLS, identity, synced to disk"}
	for _, t := range []*tracker{ours, theirs} {
		if err := t.begin(ctx); err != nil {
			return nil, err
		}
		if _, err := t.log(ctx); err != nil { // warms up
			return nil, err
		}
	}
	measure := func(t *tracker, values *[]float64) func() error {
		return func() error {
			rate, err := t.log(ctx)
			*values = append(*values, rate)
			return err
		}
	}
	err = alternate(b.rounds, measure(ours, &f.values), measure(theirs, &f.peers))
	return []figure{f}, err
}

// tracker speaks as much of MLflow's protocol as a batch needs.
type tracker struct {
	client    *http.Client
	base, run string
	step      int
}

func (t *tracker) begin(ctx context.Context) error {
	var experiment struct {
		ID string `json:"experiment_id"`
	}
	if err := t.call(ctx, "experiments/create", map[string]any{"name": fmt.Sprintf("bench-%d", time.Now().UnixNano())}, &experiment); err != nil {
		return err
	}
	var run struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	err := t.call(ctx, "runs/create", map[string]any{"experiment_id": experiment.ID, "start_time": time.Now().UnixMilli()}, &run)
	t.run = run.Run.Info.ID
	return err
}

// log sends batches, each with new steps, and returns metrics a second.
func (t *tracker) log(ctx context.Context) (float64, error) {
	var took []float64
	for range batchRounds {
		metrics := make([]map[string]any, batchSize)
		for i := range metrics {
			t.step++
			metrics[i] = map[string]any{"key": fmt.Sprintf("m%d", i%10), "value": float64(t.step) / 7, "timestamp": time.Now().UnixMilli(), "step": t.step}
		}
		begin := time.Now()
		if err := t.call(ctx, "runs/log-batch", map[string]any{"run_id": t.run, "metrics": metrics}, nil); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin).Seconds())
	}
	return batchSize / median(took), nil
}

func (t *tracker) call(ctx context.Context, verb string, document, into any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+"/api/2.0/mlflow/"+verb, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := t.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %.300s", verb, response.Status, body)
	case into == nil:
		return nil
	}
	return json.Unmarshal(body, into)
}
