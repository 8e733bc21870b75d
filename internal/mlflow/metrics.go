// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"math"

	"fathom.dev/fathom/internal/tracking"
)

// maxBatchBody is the largest batch, in bytes (mlflow/utils/validation.py, MAX_BATCH_LOG_REQUEST_SIZE).
const maxBatchBody = 1_000_000

const (
	maxBulkRuns   = 100  // runs of a bulk request
	maxBulkPoints = 2500 // points a run of a bulk request
	maxHistory    = 25000
)

func (d *door) metricRoutes() []route {
	return []route{
		{method: "POST", path: "/api/2.0/mlflow/runs/log-metric", verb: update, handler: serve(d, logMetric), pods: all(ownRun, ownModels)},
		{method: "POST", path: "/api/2.0/mlflow/runs/log-batch", verb: update, handler: serveUpTo(d, maxBatchBody, logBatch), pods: all(ownRun, ownModels, freeTags)},
		{method: "GET", path: "/api/2.0/mlflow/metrics/get-history", verb: get, handler: serve(d, getHistory), pods: ownRun},
		{method: "GET", path: "/api/2.0/mlflow/metrics/get-history-bulk", verb: get, handler: serve(d, getHistoryBulk)},
		{method: "GET", path: "/api/2.0/mlflow/metrics/get-history-bulk-interval", verb: get, handler: serve(d, getHistoryInterval)},
		{method: "GET", path: "/api/2.11/mlflow/metrics/get-history-bulk-interval", verb: get, handler: serve(d, getHistoryInterval)},
	}
}

// metricMessage is a point in answers.
type metricMessage struct {
	Key     string `json:"key"`
	Value   number `json:"value"`
	Time    int64  `json:"timestamp"`
	Step    int64  `json:"step"`
	Dataset string `json:"dataset_name,omitempty"`
	Digest  string `json:"dataset_digest,omitempty"`
	Model   string `json:"model_id,omitempty"`
	Run     string `json:"run_id,omitempty"`
}

func fromMetric(m tracking.Metric, run string) metricMessage {
	return metricMessage{m.Key, number(m.Value), m.Time, m.Step, m.Dataset, m.Digest, m.Model, run}
}

func fromMetrics(metrics []tracking.Metric) []metricMessage {
	list := make([]metricMessage, len(metrics))
	for i, m := range metrics {
		list[i] = fromMetric(m, "")
	}
	return list
}

// pointMessage is a point in requests.
type pointMessage struct {
	Key     string   `json:"key"`
	Value   *number  `json:"value"`
	Time    *integer `json:"timestamp"`
	Step    *integer `json:"step"`
	Dataset string   `json:"dataset_name"`
	Digest  string   `json:"dataset_digest"`
	Model   string   `json:"model_id"`
}

func (m *pointMessage) metric() (tracking.Metric, error) {
	if err := required("key", m.Key, "value", m.Value, "timestamp", m.Time); err != nil {
		return tracking.Metric{}, err
	}
	return tracking.Metric{Key: m.Key, Value: float64(*m.Value), Time: int64(*m.Time), Step: m.Step.or(0),
		Model: m.Model, Dataset: m.Dataset, Digest: m.Digest}, nil
}

type oneMetricMessage struct {
	runIDMessage
	pointMessage
}

func logMetric(c call, in *oneMetricMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	point, err := in.metric()
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.LogBatch(c, id, tracking.Batch{Metrics: []tracking.Metric{point}})
}

type batchMessage struct {
	runIDMessage
	Metrics []pointMessage `json:"metrics"`
	Params  []pair         `json:"params"`
	Tags    []pair         `json:"tags"`
}

func logBatch(c call, in *batchMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	batch := tracking.Batch{Metrics: make([]tracking.Metric, len(in.Metrics)), Params: toTags(in.Params), Tags: toTags(in.Tags)}
	for i := range in.Metrics {
		if batch.Metrics[i], err = in.Metrics[i].metric(); err != nil {
			return nil, err
		}
	}
	return none{}, c.ws.LogBatch(c, id, batch)
}

type historyMessage struct {
	runIDMessage
	Key   string   `json:"metric_key"`
	Token string   `json:"page_token"`
	Limit *integer `json:"max_results"`
}

func getHistory(c call, in *historyMessage) (any, error) {
	id, err := in.run()
	if err == nil {
		err = required("metric_key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	points, next, err := c.ws.MetricHistory(c, id, in.Key, int(in.Limit.or(maxHistory)), in.Token)
	return struct {
		Metrics []metricMessage `json:"metrics"`
		Next    string          `json:"next_page_token,omitempty"`
	}{fromMetrics(points), next}, err
}

// bulkMessage asks for a metric of several runs; the one route says run_id, the other run_ids.
type bulkMessage struct {
	Runs  texts    `json:"run_ids"`
	Run   texts    `json:"run_id"`
	Key   string   `json:"metric_key"`
	Start *integer `json:"start_step"`
	End   *integer `json:"end_step"`
	Limit *integer `json:"max_results"`
}

func (m *bulkMessage) check() error {
	m.Runs = append(m.Runs, m.Run...)
	switch {
	case len(m.Runs) == 0:
		return invalid("The request must specify at least one run_id.")
	case len(m.Runs) > maxBulkRuns:
		return invalid("The request must specify at most %d run_ids. Received %d run_ids.", maxBulkRuns, len(m.Runs))
	case (m.Start == nil) != (m.End == nil):
		return invalid("If either start step or end step are specified, both must be specified.")
	case m.Start != nil && *m.Start > *m.End:
		return invalid("end_step must be greater than start_step. Found start_step=%d and end_step=%d.", *m.Start, *m.End)
	case m.Limit != nil && *m.Limit < 1:
		return invalid("max_results must be at least 1.")
	}
	return required("metric_key", m.Key)
}

func getHistoryBulk(c call, in *bulkMessage) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	limit := min(in.Limit.or(maxHistory), maxHistory)
	list := []metricMessage{}
	for _, run := range in.Runs {
		points, _, err := c.ws.MetricHistory(c, run, in.Key, int(limit), "")
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			list = append(list, fromMetric(p, run))
		}
		if len(list) >= int(limit) {
			list = list[:limit]
			break
		}
	}
	return map[string]any{"metrics": list}, nil
}

func getHistoryInterval(c call, in *bulkMessage) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	limit := min(in.Limit.or(maxBulkPoints), maxBulkPoints)
	points, err := c.ws.MetricInterval(c, in.Runs, in.Key, in.Start.or(math.MinInt64), in.End.or(math.MaxInt64), int(limit))
	list := make([]metricMessage, len(points))
	for i, p := range points {
		list[i] = fromMetric(p.Metric, p.Run)
	}
	return map[string]any{"metrics": list}, err
}
