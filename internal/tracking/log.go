// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Batch is what a run logs in one atomic write.
type Batch struct {
	Metrics []Metric
	Params  []Tag
	Tags    []Tag
}

// LogBatch adds to an active run, all or nothing. Points that the run has already are not added again, so a batch may
// be sent again. Tags replace; a parameter with another value than before is Invalid.
func (w *Workspace) LogBatch(ctx context.Context, id string, b Batch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	tags, err := checkRunTags(b.Tags)
	if err != nil {
		return err
	}
	params, err := checkParams(b.Params)
	if err != nil {
		return err
	}
	if err := checkMetrics(b.Metrics); err != nil {
		return err
	}
	return w.write(ctx, "tracking.LogBatch", func(t *tx) error {
		run, err := w.activeRun(t, id)
		if err != nil {
			return err
		}
		if err := w.addParams(t, run, params); err != nil {
			return err
		}
		if err := w.addMetrics(t, run, b.Metrics); err != nil {
			return err
		}
		return w.setRunTags(t, run, tags)
	})
}

// DeleteRunTag removes a tag of an active run; NotFound when it has no such tag.
func (w *Workspace) DeleteRunTag(ctx context.Context, id, key string) error {
	return w.write(ctx, "tracking.DeleteRunTag", func(t *tx) error {
		run, err := w.activeRun(t, id)
		if err != nil {
			return err
		}
		name, err := t.name(w.id, key)
		if err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM tags WHERE run = ? AND key = ?", run.row, name)
		if err == nil && n == 0 {
			return notFound("No tag with name: %s in run with id %s", clip(key), id)
		}
		t.after(func() { w.store.frames.unsetTag(run, name) })
		return err
	})
}

func checkBatch(b Batch) error {
	for _, limit := range []struct {
		what       string
		count, max int
	}{
		{"metrics", len(b.Metrics), MaxBatchMetrics},
		{"params", len(b.Params), MaxBatchParams},
		{"tags", len(b.Tags), MaxBatchTags},
		{"metrics, params, and tags", len(b.Metrics) + len(b.Params) + len(b.Tags), MaxBatch},
	} {
		if limit.count > limit.max {
			return invalid("A batch logging request can contain at most %d %s. Got %d %s. Please split up %s across multiple "+
				"requests and try again.", limit.max, limit.what, limit.count, limit.what, limit.what)
		}
	}
	return nil
}

func checkParams(params []Tag) ([]Tag, error) {
	out := make([]Tag, len(params))
	seen := make(map[string]bool, len(params))
	for i, p := range params {
		if err := checkName("params["+strconv.Itoa(i)+"].key", p.Key); err != nil {
			return nil, err
		}
		if seen[p.Key] {
			return nil, invalid("Duplicate parameter keys have been submitted: ['%s']. Please ensure the request contains only "+
				"one param value per param key.", p.Key)
		}
		seen[p.Key] = true
		out[i] = Tag{p.Key, cut(p.Value, MaxParamValue)}
	}
	return out, nil
}

// checkMetrics checks each point, and each name once.
func checkMetrics(points []Metric) error {
	known := make(map[string]bool, 16)
	for i := range points {
		if known[points[i].Key] && points[i].Time >= 0 {
			continue
		}
		if err := points[i].check(len(points) > 1, i); err != nil {
			return err
		}
		known[points[i].Key] = true
	}
	return nil
}

func (w *Workspace) addParams(t *tx, run runRow, params []Tag) error {
	for _, p := range params {
		key, err := t.name(w.id, p.Key)
		if err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO params (run, key, value) VALUES (?, ?, ?)", run.row, key, p.Value)
		if err != nil {
			return err
		}
		if n == 0 {
			var old string
			if err := t.row("SELECT value FROM params WHERE run = ? AND key = ?", run.row, key).Scan(&old); err != nil {
				return err
			}
			if old != p.Value {
				return invalid("Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for "+
					"run ID='%s'. Attempted logging new value '%s'.", p.Key, clip(old), run.ID, clip(p.Value))
			}
			continue
		}
		value := p.Value
		t.after(func() { w.store.frames.setParam(run, key, value) })
	}
	return nil
}

func (w *Workspace) setRunTags(t *tx, run runRow, tags []Tag) error {
	for _, tag := range tags {
		key, err := t.name(w.id, tag.Key)
		if err != nil {
			return err
		}
		if _, err := t.exec("INSERT OR REPLACE INTO tags (run, key, value) VALUES (?, ?, ?)", run.row, key, tag.Value); err != nil {
			return err
		}
		if tag.Key == runNameTag && tag.Value != "" && tag.Value != run.Name {
			if _, err := t.exec("UPDATE runs SET name = ? WHERE id = ?", tag.Value, run.row); err != nil {
				return err
			}
			renamed := run
			renamed.Name = tag.Value
			t.after(func() { w.store.frames.putRun(renamed) })
		}
		value := tag.Value
		t.after(func() { w.store.frames.setTag(run, key, value) })
	}
	return nil
}

// addMetrics appends points and moves the latest point of each metric forward. Points go in sorted by metric: each
// metric's history is a range of its own on disk.
func (w *Workspace) addMetrics(t *tx, run runRow, points []Metric) error {
	latest := make(map[int64]Metric)
	order := make([]int64, 0, 8)
	rows := make([]pointRow, len(points))
	for i, p := range points {
		key, err := t.name(w.id, p.Key)
		if err != nil {
			return err
		}
		rows[i] = pointRow{key, &points[i]}
		best, known := latest[key]
		if !known {
			order = append(order, key)
		}
		if !known || later(p, best) {
			latest[key] = p
		}
	}
	if len(order) > 1 {
		slices.SortStableFunc(rows, func(a, b pointRow) int { return cmp.Compare(a.key, b.key) })
	}
	if err := insertPoints(t, run.row, rows); err != nil {
		return err
	}
	for _, key := range order {
		if err := w.moveLatest(t, run, key, latest[key]); err != nil {
			return err
		}
	}
	return w.addModelMetrics(t, run, points)
}

// pointRow is a point with its interned key.
type pointRow struct {
	key   int64
	point *Metric
}

// insertPoints inserts many points a statement; those that are there already change nothing.
func insertPoints(t *tx, run int64, rows []pointRow) error {
	args := make([]any, 0, 5*len(rows))
	for _, row := range rows {
		args = append(args, run, row.key, row.point.Time, row.point.Step, storedValue(row.point.Value))
	}
	for _, size := range []int{200, 20, 1} {
		query := pointInsertion(size)
		for len(args) >= 5*size {
			if _, err := t.exec(query, args[:5*size]...); err != nil {
				return err
			}
			args = args[5*size:]
		}
	}
	return nil
}

func pointInsertion(size int) string {
	return "INSERT OR IGNORE INTO metrics (run, key, time, step, value) VALUES (?, ?, ?, ?, ?)" + strings.Repeat(", (?, ?, ?, ?, ?)", size-1)
}

func (w *Workspace) moveLatest(t *tx, run runRow, key int64, p Metric) error {
	var old Metric
	err := t.row("SELECT step, time, value FROM latest WHERE run = ? AND key = ?", run.row, key).
		Scan(&old.Step, &old.Time, (*stored)(&old.Value))
	if err != nil && err != sql.ErrNoRows {
		return err
	}
	if err == nil && !later(p, old) {
		return nil
	}
	_, err = t.exec("INSERT OR REPLACE INTO latest (run, key, step, time, value) VALUES (?, ?, ?, ?, ?)",
		run.row, key, p.Step, p.Time, storedValue(p.Value))
	t.after(func() { w.store.frames.setMetric(run, key, p.Value) })
	return err
}

// later reports whether a replaces b as the latest point: by step, then time, then value.
func later(a, b Metric) bool {
	switch {
	case a.Step != b.Step:
		return a.Step > b.Step
	case a.Time != b.Time:
		return a.Time > b.Time
	}
	return a.Value > b.Value || math.IsNaN(b.Value) && !math.IsNaN(a.Value)
}

// loggedModelsTag is the run's tag in which MLflow 2 clients keep their models, a JSON list.
const loggedModelsTag = "mlflow.log-model.history"

// RecordModel adds a model's description, a JSON object, to the list in the run's tag.
func (w *Workspace) RecordModel(ctx context.Context, id, model string) error {
	if !json.Valid([]byte(model)) || !strings.HasPrefix(strings.TrimSpace(model), "{") {
		return invalid("Malformed model info. \n %s \n is not valid JSON.", clip(model))
	}
	return w.write(ctx, "tracking.RecordModel", func(t *tx) error {
		run, err := w.activeRun(t, id)
		if err != nil {
			return err
		}
		key, err := t.name(w.id, loggedModelsTag)
		if err != nil {
			return err
		}
		var text string
		err = t.row("SELECT value FROM tags WHERE run = ? AND key = ?", run.row, key).Scan(&text)
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		var list []json.RawMessage
		if text != "" && json.Unmarshal([]byte(text), &list) != nil {
			return invalid("The tag %s of run %s is not a JSON list", loggedModelsTag, id)
		}
		whole, err := json.Marshal(append(list, json.RawMessage(model)))
		if err != nil {
			return err
		}
		if err := checkLength("value", string(whole), MaxTagValue); err != nil {
			return err
		}
		return w.setRunTags(t, run, []Tag{{loggedModelsTag, string(whole)}})
	})
}
