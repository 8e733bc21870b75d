// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
)

// Metric is one point of a metric. Value may be NaN or infinite.
type Metric struct {
	Key   string
	Value float64
	Time  int64 // milliseconds since 1970
	Step  int64
	// Model, Dataset and Digest say what was measured: the id of a logged model and the dataset it was measured on.
	// They may be empty, and are kept with the model, not with the run.
	Model, Dataset, Digest string
}

func (m Metric) check(many bool, index int) error {
	field := "name"
	if many {
		field = "metrics[" + strconv.Itoa(index) + "].name"
	}
	if err := checkName(field, m.Key); err != nil {
		return err
	}
	if m.Time < 0 {
		return invalid("Invalid value %d for parameter 'timestamp' supplied: metric '%s' (value=%v). Timestamp must be a "+
			"nonnegative long (64-bit integer)", m.Time, clip(m.Key), m.Value)
	}
	return nil
}

// storedValue is how SQLite keeps a value: it has infinities, but no NaN.
func storedValue(v float64) any {
	if math.IsNaN(v) {
		return "NaN"
	}
	return v
}

// stored scans what storedValue made.
type stored float64

// Scan implements [sql.Scanner].
func (s *stored) Scan(from any) error {
	switch v := from.(type) {
	case float64:
		*s = stored(v)
	case int64:
		*s = stored(v)
	case string, []byte:
		*s = stored(math.NaN())
	default:
		return fmt.Errorf("a metric's value is stored as %T", from)
	}
	return nil
}

var _ sql.Scanner = (*stored)(nil)

// MetricHistory returns the points of a run's metric, ordered by time, step and value, at most limit (0: all) after the
// point that the token names. next is empty on the last page. A run without the metric has no points.
func (w *Workspace) MetricHistory(ctx context.Context, run, key string, limit int, token string) (points []Metric, next string, err error) {
	r := w.read(ctx)
	row, err := w.run(r, run)
	if err != nil {
		return nil, "", storeError("tracking.MetricHistory", err)
	}
	var name int64
	err = r.row("SELECT id FROM names WHERE workspace = ? AND name = ?", w.id, key).Scan(&name)
	if err == sql.ErrNoRows {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", storeError("tracking.MetricHistory", err)
	}
	after := [3]string{"-1", strconv.FormatInt(math.MinInt64, 10), ""}
	if token != "" {
		if err := decodeToken(token, "history "+run+" "+key, after[:]); err != nil {
			return nil, "", err
		}
	}
	var from [2]int64
	for i := range from {
		if from[i], err = strconv.ParseInt(after[i], 10, 64); err != nil {
			return nil, "", invalid("Invalid page token")
		}
	}
	points, err = historyPage(r, row.row, name, from, after[2], limit)
	if err != nil {
		return nil, "", storeError("tracking.MetricHistory", err)
	}
	if limit > 0 && len(points) > limit {
		points = points[:limit]
		last := points[limit-1]
		next = encodeToken("history "+run+" "+key, strconv.FormatInt(last.Time, 10), strconv.FormatInt(last.Step, 10),
			strconv.FormatFloat(last.Value, 'g', -1, 64))
	}
	for i := range points {
		points[i].Key = key
	}
	return points, next, nil
}

func scanPoint(s scanner) (Metric, error) {
	var m Metric
	err := s.Scan(&m.Time, &m.Step, (*stored)(&m.Value))
	return m, err
}

// historyPage reads one point more than the limit, to know whether there is a next page.
func historyPage(r reader, run, key int64, from [2]int64, value string, limit int) ([]Metric, error) {
	n := -1
	if limit > 0 {
		n = limit + 1
	}
	if value == "" {
		return collect(r, scanPoint, `SELECT time, step, value FROM metrics WHERE run = ? AND key = ? AND (time, step) > (?, ?)
			ORDER BY time, step, value LIMIT ?`, run, key, from[0], from[1], n)
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return nil, invalid("Invalid page token")
	}
	return collect(r, scanPoint, `SELECT time, step, value FROM metrics WHERE run = ? AND key = ? AND (time, step, value) > (?, ?, ?)
		ORDER BY time, step, value LIMIT ?`, run, key, from[0], from[1], storedValue(v), n)
}

// RunPoint is a point with the run it belongs to.
type RunPoint struct {
	Run string
	Metric
}

// MetricInterval returns points of one metric of several runs with steps in [start, end], thinned to about limit points
// a run (the last point always included), ordered by run, step and time. It is what charts ask for.
func (w *Workspace) MetricInterval(ctx context.Context, runs []string, key string, start, end int64, limit int) ([]RunPoint, error) {
	r := w.read(ctx)
	var all []RunPoint
	for _, id := range runs {
		row, err := w.run(r, id)
		if err != nil {
			return nil, storeError("tracking.MetricInterval", err)
		}
		points, err := collect(r, scanPoint, `SELECT time, step, value FROM metrics
			WHERE run = ? AND key = (SELECT id FROM names WHERE workspace = ? AND name = ?) AND step BETWEEN ? AND ?
			ORDER BY step, time, value`, row.row, w.id, key, start, end)
		if err != nil {
			return nil, storeError("tracking.MetricInterval", err)
		}
		stride := 1
		if limit > 0 {
			stride = max(1, (len(points)+limit-1)/limit)
		}
		for i, p := range points {
			if i%stride == 0 || i == len(points)-1 {
				p.Key = key
				all = append(all, RunPoint{id, p})
			}
		}
	}
	return all, nil
}
