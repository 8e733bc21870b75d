// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// LoggedModel is a model that a run saved: its artifacts, parameters, tags and metrics. Times are milliseconds.
type LoggedModel struct {
	ID         string // "m-" and 32 hex digits
	Experiment string
	Name       string // not unique
	Type       string
	Run        string // the run that made it; may be empty
	Status     string // LOGGED_MODEL_PENDING, LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED
	Message    string
	Location   string
	Created    int64
	Updated    int64
	Params     []Tag
	Tags       []Tag
	Metrics    []ModelMetric
}

// ModelMetric is the latest point of a metric of a logged model, as one run measured it on one dataset.
type ModelMetric struct {
	Metric
	Run string
}

// NewLoggedModel describes a logged model to create.
type NewLoggedModel struct {
	Experiment, Name, Type, Run string
	Params, Tags                []Tag
}

var loggedStatuses = []string{"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"}

type loggedRow struct {
	LoggedModel
	row     int64
	deleted bool
}

const loggedColumns = `SELECT m.id, m.uuid, m.name, m.type, m.run, m.status, m.message, m.created, m.updated, m.deleted, e.number, e.location
	FROM logged_models m JOIN experiments e ON e.id = m.experiment `

func scanLogged(s scanner) (loggedRow, error) {
	var m loggedRow
	var number int64
	var location string
	err := s.Scan(&m.row, &m.ID, &m.Name, &m.Type, &m.Run, &m.Status, &m.Message, &m.Created, &m.Updated, &m.deleted, &number, &location)
	m.Experiment = strconv.FormatInt(number, 10)
	m.Location = strings.TrimSuffix(location, "/") + "/models/" + m.ID + "/artifacts"
	return m, err
}

// loggedModel resolves a model id of the workspace, unless the model was deleted.
func (w *Workspace) loggedModel(r reader, id string) (loggedRow, error) {
	m, err := scanLogged(r.row(loggedColumns+"WHERE m.workspace = ? AND m.uuid = ?", w.id, id))
	if err == sql.ErrNoRows || err == nil && m.deleted {
		return m, notFound("Logged model with ID '%s' not found.", clip(id))
	}
	return m, err
}

// CreateLoggedModel starts a logged model, which is PENDING until [Workspace.FinalizeLoggedModel].
func (w *Workspace) CreateLoggedModel(ctx context.Context, n NewLoggedModel) (LoggedModel, error) {
	if err := checkLoggedModel(n); err != nil {
		return LoggedModel{}, err
	}
	id := "m-" + newID()
	if n.Name == "" {
		n.Name = inventName(id[2:])
	}
	var model LoggedModel
	err := w.write(ctx, "tracking.CreateLoggedModel", func(t *tx) error {
		e, err := w.activeExperiment(t, n.Experiment)
		if err != nil {
			return err
		}
		if n.Run != "" {
			if _, err := w.run(t, n.Run); err != nil {
				return err
			}
		}
		now := w.now()
		row, err := t.insert(`INSERT INTO logged_models (workspace, experiment, uuid, name, type, run, status, message, created, updated)
			VALUES (?, ?, ?, ?, ?, ?, 'LOGGED_MODEL_PENDING', '', ?, ?)`, w.id, e.row, id, n.Name, n.Type, n.Run, now, now)
		if err != nil {
			return err
		}
		if err := setTags(t, loggedModelParams, row, n.Params); err != nil {
			return err
		}
		if err := setTags(t, loggedModelTags, row, n.Tags); err != nil {
			return err
		}
		model, err = w.wholeLoggedModel(t, id)
		return err
	})
	return model, err
}

func checkLoggedModel(n NewLoggedModel) error {
	if strings.ContainsAny(n.Name, "/:.%\"'") {
		return invalid("Invalid model name (%s) provided. Model name must be a non-empty string and cannot contain the following "+
			"characters: ('/', ':', '.', '%%', '\"', \"'\")", clip(n.Name))
	}
	if err := checkText("name", n.Name, MaxRegisteredName); err != nil {
		return err
	}
	if err := checkText("model_type", n.Type, MaxRegisteredName); err != nil {
		return err
	}
	if len(n.Params)+len(n.Tags) > MaxModelsPerRequest {
		return invalid("At most %d params and tags may be given at once", MaxModelsPerRequest)
	}
	for _, p := range n.Params {
		if err := checkName("key", p.Key); err != nil {
			return err
		}
		if err := checkLength("value", p.Value, MaxParamValue); err != nil {
			return err
		}
	}
	return checkLoggedTags(n.Tags)
}

func checkLoggedTags(tags []Tag) error {
	for _, tag := range tags {
		if err := checkName("key", tag.Key); err != nil {
			return err
		}
		if err := checkLength("value", tag.Value, MaxTagValue); err != nil {
			return err
		}
	}
	return nil
}

// LoggedModel returns a model that was not deleted.
func (w *Workspace) LoggedModel(ctx context.Context, id string) (LoggedModel, error) {
	m, err := w.wholeLoggedModel(w.read(ctx), id)
	return m, storeError("tracking.LoggedModel", err)
}

func (w *Workspace) wholeLoggedModel(r reader, id string) (LoggedModel, error) {
	m, err := w.loggedModel(r, id)
	if err != nil {
		return LoggedModel{}, err
	}
	return m.LoggedModel, fillLogged(r, &m.LoggedModel, m.row)
}

func fillLogged(r reader, m *LoggedModel, row int64) (err error) {
	if m.Params, err = loadTags(r, loggedModelParams, row); err != nil {
		return err
	}
	if m.Tags, err = loadTags(r, loggedModelTags, row); err != nil {
		return err
	}
	m.Metrics, err = collect(r, func(s scanner) (ModelMetric, error) {
		p := ModelMetric{Metric: Metric{Model: m.ID}}
		err := s.Scan(&p.Key, &p.Run, &p.Dataset, &p.Digest, &p.Step, &p.Time, (*stored)(&p.Value))
		return p, err
	}, "SELECT key, run, dataset, digest, step, time, value FROM logged_model_metrics WHERE model = ? ORDER BY key, time DESC", row)
	return err
}

// changeLogged runs change on an existing model and returns the whole model after it.
func (w *Workspace) changeLogged(ctx context.Context, op, id string, change func(*tx, loggedRow) error) (LoggedModel, error) {
	var model LoggedModel
	err := w.write(ctx, op, func(t *tx) error {
		m, err := w.loggedModel(t, id)
		if err != nil {
			return err
		}
		if _, err := t.exec("UPDATE logged_models SET updated = ? WHERE id = ?", w.now(), m.row); err != nil {
			return err
		}
		if err := change(t, m); err != nil {
			return err
		}
		model, err = w.wholeLoggedModel(t, id)
		if isNotFound(err) { // it was deleted by change
			err = nil
		}
		return err
	})
	return model, err
}

// FinalizeLoggedModel sets the status that the upload ended with.
func (w *Workspace) FinalizeLoggedModel(ctx context.Context, id, status string) (LoggedModel, error) {
	if !slices.Contains(loggedStatuses, status) {
		return LoggedModel{}, invalid("Invalid model status: %s. Expected one of %v", clip(status), loggedStatuses)
	}
	return w.changeLogged(ctx, "tracking.FinalizeLoggedModel", id, func(t *tx, m loggedRow) error {
		_, err := t.exec("UPDATE logged_models SET status = ? WHERE id = ?", status, m.row)
		return err
	})
}

// AddLoggedModelParams adds parameters; one that exists with another value is Invalid.
func (w *Workspace) AddLoggedModelParams(ctx context.Context, id string, params []Tag) error {
	if err := checkLoggedModel(NewLoggedModel{Params: params}); err != nil {
		return err
	}
	_, err := w.changeLogged(ctx, "tracking.AddLoggedModelParams", id, func(t *tx, m loggedRow) error {
		old, err := loadTags(t, loggedModelParams, m.row)
		if err != nil {
			return err
		}
		for _, p := range params {
			i := slices.IndexFunc(old, func(o Tag) bool { return o.Key == p.Key })
			if i >= 0 && old[i].Value != p.Value {
				return invalid("Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for "+
					"model ID='%s'.", p.Key, clip(old[i].Value), id)
			}
		}
		return setTags(t, loggedModelParams, m.row, params)
	})
	return err
}

// SetLoggedModelTags sets tags.
func (w *Workspace) SetLoggedModelTags(ctx context.Context, id string, tags []Tag) (LoggedModel, error) {
	if err := checkLoggedModel(NewLoggedModel{Tags: tags}); err != nil {
		return LoggedModel{}, err
	}
	return w.changeLogged(ctx, "tracking.SetLoggedModelTags", id, func(t *tx, m loggedRow) error {
		return setTags(t, loggedModelTags, m.row, tags)
	})
}

// DeleteLoggedModelTag removes a tag; NotFound when there is none.
func (w *Workspace) DeleteLoggedModelTag(ctx context.Context, id, key string) error {
	_, err := w.changeLogged(ctx, "tracking.DeleteLoggedModelTag", id, func(t *tx, m loggedRow) error {
		n, err := deleteTag(t, loggedModelTags, m.row, key)
		if err == nil && n == 0 {
			return notFound("No tag with key '%s' found for logged model with ID '%s'.", clip(key), id)
		}
		return err
	})
	return err
}

// DeleteLoggedModel hides a model for ever; its artifacts stay until they are collected. Deleting twice is allowed.
func (w *Workspace) DeleteLoggedModel(ctx context.Context, id string) error {
	_, err := w.changeLogged(ctx, "tracking.DeleteLoggedModel", id, func(t *tx, m loggedRow) error {
		_, err := t.exec("UPDATE logged_models SET deleted = 1 WHERE id = ?", m.row)
		return err
	})
	if !isNotFound(err) {
		return err
	}
	var known int
	err2 := w.read(ctx).row("SELECT 1 FROM logged_models WHERE workspace = ? AND uuid = ?", w.id, id).Scan(&known)
	if err2 == nil {
		return nil
	}
	return err
}

// addModelMetrics keeps the latest point of each metric that was measured on a logged model.
func (w *Workspace) addModelMetrics(t *tx, run runRow, points []Metric) error {
	for _, p := range points {
		if p.Model == "" {
			continue
		}
		m, err := w.loggedModel(t, p.Model)
		if err != nil {
			return err
		}
		var old Metric
		err = t.row("SELECT step, time, value FROM logged_model_metrics WHERE model = ? AND key = ? AND run = ? AND dataset = ? AND digest = ?",
			m.row, p.Key, run.ID, p.Dataset, p.Digest).Scan(&old.Step, &old.Time, (*stored)(&old.Value))
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		if err == nil && !later(p, old) {
			continue
		}
		_, err = t.exec(`INSERT OR REPLACE INTO logged_model_metrics (model, key, run, dataset, digest, step, time, value)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, m.row, p.Key, run.ID, p.Dataset, p.Digest, p.Step, p.Time, storedValue(p.Value))
		if err != nil {
			return err
		}
	}
	return nil
}
