// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// tracker speaks as much of MLflow's protocol as the rows need.
type tracker struct {
	name, note       string
	client           *http.Client
	base, host, path string
	tls              *tls.Config
	close            func() error
	fill             func(ctx context.Context, experiment string, count int) error // past the door; nil: not possible

	experiment, run string
	step            atomic.Int64
}

// tracker is Fathom's.
func (p *platform) tracker(ctx context.Context) (*tracker, error) {
	host, err := p.doors(ctx)
	if err != nil {
		return nil, err
	}
	path := "/mlflow/" + plainWorkspace
	return &tracker{name: "Fathom", client: &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls.Clone(), MaxIdleConnsPerHost: metricLoad}, Timeout: time.Minute},
		base: "https://" + host + path, host: host, path: path, tls: p.tls, close: func() error { return nil }}, nil
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
	t.experiment = experiment.ID
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
			step := t.step.Add(1)
			metrics[i] = map[string]any{"key": fmt.Sprintf("m%d", i%10), "value": float64(step) / 7, "timestamp": time.Now().UnixMilli(), "step": step}
		}
		begin := time.Now()
		if err := t.call(ctx, "runs/log-batch", map[string]any{"run_id": t.run, "metrics": metrics}, nil); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin).Seconds())
	}
	return batchSize / median(took), nil
}

// metrics are single points, each another one.
func (t *tracker) metrics(host string) target {
	to := newTarget(host, "", "", t.tls, "")
	to.next = func() []byte {
		step := t.step.Add(1)
		body := fmt.Sprintf(`{"run_id": %q, "key": "single", "value": %d.5, "timestamp": %d, "step": %d}`, t.run, step, time.Now().UnixMilli(), step)
		return fmt.Appendf(nil, "POST %s/api/2.0/mlflow/runs/log-metric HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			t.path, host, len(body), body)
	}
	return to
}

// loss is what the i-th of many runs reached; fill.py knows the same.
func loss(i int64) float64 { return float64(i*7919%1000003) / 1000003 }

// logRuns logs many runs through the door.
func (t *tracker) logRuns(ctx context.Context, count int64) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	var n atomic.Int64
	errs := make([]error, metricLoad)
	var all sync.WaitGroup
	for c := range metricLoad {
		all.Go(func() {
			for i := n.Add(1) - 1; i < count && errs[c] == nil; i = n.Add(1) - 1 {
				errs[c] = t.logRun(ctx, i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (t *tracker) logRun(ctx context.Context, i int64) error {
	var run struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	at := 1700000000000 + i
	if err := t.call(ctx, "runs/create", map[string]any{"experiment_id": t.experiment, "start_time": at}, &run); err != nil {
		return err
	}
	return t.call(ctx, "runs/log-batch", map[string]any{"run_id": run.Run.Info.ID,
		"metrics": []map[string]any{{"key": "loss", "value": loss(i), "timestamp": at}, {"key": "accuracy", "value": 1 - loss(i), "timestamp": at}},
		"params":  []map[string]any{{"key": "model", "value": "abcd"[i%4 : i%4+1]}},
	}, nil)
}

func (t *tracker) fillRuns(ctx context.Context, count int) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	return t.fill(ctx, t.experiment, count)
}

// best searches, and returns the metric of each run that was found.
func (t *tracker) best(ctx context.Context) ([]float64, error) {
	var found struct {
		Runs []struct {
			Data struct {
				Metrics []struct {
					Key   string
					Value float64
				}
			}
		}
	}
	err := t.call(ctx, "runs/search", map[string]any{"experiment_ids": []string{t.experiment}, "max_results": bestRuns,
		"filter": "params.model = 'c' and metrics.accuracy > 0.1", "order_by": []string{"metrics.loss ASC"}}, &found)
	var values []float64
	for _, r := range found.Runs {
		for _, m := range r.Data.Metrics {
			if m.Key == "loss" {
				values = append(values, m.Value)
			}
		}
	}
	return values, err
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
