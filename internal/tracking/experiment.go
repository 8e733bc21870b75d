// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
)

// artifactScheme is how locations of artifacts are told to clients: they come back to the door that told them.
const artifactScheme = "mlflow-artifacts:"

// Tag is a key with a value, of anything that has tags.
type Tag struct{ Key, Value string }

// Experiment is a named collection of runs. Times are milliseconds since 1970.
type Experiment struct {
	ID       string // a number in decimal, unique in the workspace; "0" always exists
	Name     string // unique in the workspace, deleted experiments included
	Location string // where its runs keep artifacts: "mlflow-artifacts:/…"
	Deleted  bool
	Created  int64
	Updated  int64
	Tags     []Tag // sorted by key
}

// experimentRow is an experiment with the id of its row.
type experimentRow struct {
	Experiment
	row int64
}

const experimentColumns = "id, number, name, location, deleted, created, updated"

func scanExperiment(s scanner) (experimentRow, error) {
	var e experimentRow
	var number int64
	err := s.Scan(&e.row, &number, &e.Name, &e.Location, &e.Deleted, &e.Created, &e.Updated)
	e.ID = strconv.FormatInt(number, 10)
	return e, err
}

// CreateExperiment makes an experiment and returns its id. location may be empty or a relative place below
// "mlflow-artifacts:/". It fails with Invalid for a name, tag or location that is not allowed and with Conflict for a
// name that exists, be it deleted.
func (w *Workspace) CreateExperiment(ctx context.Context, name, location string, tags []Tag) (string, error) {
	if err := checkExperimentName(name); err != nil {
		return "", err
	}
	if err := checkLocation("artifact_location", location); err != nil {
		return "", err
	}
	for _, tag := range tags {
		if err := checkExperimentTag(tag); err != nil {
			return "", err
		}
	}
	var id string
	err := w.write(ctx, "tracking.CreateExperiment", func(t *tx) error {
		var taken int
		err := t.row("SELECT deleted FROM experiments WHERE workspace = ? AND name = ?", w.id, name).Scan(&taken)
		if err == nil {
			state := "active"
			if taken == 1 {
				state = "deleted"
			}
			return exists("Experiment(name=%s) already exists (in the '%s' state).", name, state)
		}
		if err != sql.ErrNoRows {
			return err
		}
		var number int64
		if err := t.row("SELECT coalesce(max(number), 0) + 1 FROM experiments WHERE workspace = ?", w.id).Scan(&number); err != nil {
			return err
		}
		id = strconv.FormatInt(number, 10)
		if location == "" {
			location = artifactScheme + "/" + id
		}
		now := w.now()
		row, err := t.insert("INSERT INTO experiments (workspace, number, name, location, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
			w.id, number, name, location, now, now)
		if err != nil {
			return err
		}
		return setTags(t, experimentTags, row, tags)
	})
	return id, err
}

// EnsureExperiment returns the active experiment of that name: an existing one, restored if it was deleted, or a new
// one with the tags.
func (w *Workspace) EnsureExperiment(ctx context.Context, name string, tags []Tag) (string, error) {
	for {
		e, err := w.ExperimentByName(ctx, name)
		switch {
		case err == nil && e.Deleted:
			return e.ID, w.RestoreExperiment(ctx, e.ID)
		case err == nil:
			return e.ID, nil
		case !isNotFound(err):
			return "", err
		}
		id, err := w.CreateExperiment(ctx, name, "", tags)
		if !isConflict(err) { // another caller may have been first
			return id, err
		}
	}
}

// Experiment returns an experiment, deleted or not; NotFound when there is none.
func (w *Workspace) Experiment(ctx context.Context, id string) (Experiment, error) {
	r := w.read(ctx)
	e, err := w.experiment(r, id)
	if err != nil {
		return Experiment{}, storeError("tracking.Experiment", err)
	}
	e.Tags, err = loadTags(r, experimentTags, e.row)
	return e.Experiment, storeError("tracking.Experiment", err)
}

// ExperimentByName is [Workspace.Experiment] by name.
func (w *Workspace) ExperimentByName(ctx context.Context, name string) (Experiment, error) {
	r := w.read(ctx)
	e, err := scanExperiment(r.row("SELECT "+experimentColumns+" FROM experiments WHERE workspace = ? AND name = ?", w.id, name))
	if err == sql.ErrNoRows {
		return Experiment{}, notFound("Could not find experiment with name '%s'", clip(name))
	}
	if err == nil {
		e.Tags, err = loadTags(r, experimentTags, e.row)
	}
	return e.Experiment, storeError("tracking.ExperimentByName", err)
}

// RenameExperiment gives an active experiment another name. An empty name is Invalid, a taken one Conflict.
func (w *Workspace) RenameExperiment(ctx context.Context, id, name string) error {
	if err := checkExperimentName(name); err != nil {
		return err
	}
	return w.write(ctx, "tracking.RenameExperiment", func(t *tx) error {
		e, err := w.experiment(t, id)
		if err != nil {
			return err
		}
		if e.Deleted {
			return isInactive("Cannot rename a non-active experiment.")
		}
		var other int64
		err = t.row("SELECT id FROM experiments WHERE workspace = ? AND name = ? AND id <> ?", w.id, name, e.row).Scan(&other)
		if err == nil {
			return exists("Experiment(name=%s) already exists.", name)
		}
		if err != sql.ErrNoRows {
			return err
		}
		_, err = t.exec("UPDATE experiments SET name = ?, updated = ? WHERE id = ?", name, w.now(), e.row)
		return err
	})
}

// DeleteExperiment hides an experiment and its runs until [Workspace.RestoreExperiment].
func (w *Workspace) DeleteExperiment(ctx context.Context, id string) error {
	return w.setExperimentDeleted(ctx, id, true)
}

// RestoreExperiment brings a deleted experiment and all its runs back.
func (w *Workspace) RestoreExperiment(ctx context.Context, id string) error {
	return w.setExperimentDeleted(ctx, id, false)
}

func (w *Workspace) setExperimentDeleted(ctx context.Context, id string, deleted bool) error {
	return w.write(ctx, "tracking.DeleteExperiment", func(t *tx) error {
		e, err := w.experiment(t, id)
		if err != nil {
			return err
		}
		if e.Deleted == deleted {
			return notFound("No Experiment with id=%s exists in that state", id)
		}
		if _, err := t.exec("UPDATE experiments SET deleted = ?, updated = ? WHERE id = ?", deleted, w.now(), e.row); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE runs SET deleted = ? WHERE experiment = ?", deleted, e.row); err != nil {
			return err
		}
		t.after(func() { w.store.frames.drop(e.row) })
		return nil
	})
}

// SetExperimentTag sets a tag of an active experiment.
func (w *Workspace) SetExperimentTag(ctx context.Context, id string, tag Tag) error {
	if err := checkExperimentTag(tag); err != nil {
		return err
	}
	return w.write(ctx, "tracking.SetExperimentTag", func(t *tx) error {
		e, err := w.activeExperiment(t, id)
		if err != nil {
			return err
		}
		return setTags(t, experimentTags, e.row, []Tag{tag})
	})
}

// DeleteExperimentTag removes a tag; NotFound when the experiment has no such tag.
func (w *Workspace) DeleteExperimentTag(ctx context.Context, id, key string) error {
	return w.write(ctx, "tracking.DeleteExperimentTag", func(t *tx) error {
		e, err := w.activeExperiment(t, id)
		if err != nil {
			return err
		}
		n, err := deleteTag(t, experimentTags, e.row, key)
		if err == nil && n == 0 {
			return notFound("No tag with key: %s in experiment with ID %s", clip(key), id)
		}
		return err
	})
}

// experiment resolves an id of the workspace; this and the query by name are the only ways to an experiment's row.
func (w *Workspace) experiment(r reader, id string) (experimentRow, error) {
	if id == "" {
		id = "0"
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != id {
		return experimentRow{}, invalid("Invalid experiment ID '%s'. Experiment ID must be a valid integer.", clip(id))
	}
	e, err := scanExperiment(r.row("SELECT "+experimentColumns+" FROM experiments WHERE workspace = ? AND number = ?", w.id, number))
	if err == sql.ErrNoRows {
		return e, notFound("No Experiment with id=%s exists", id)
	}
	return e, err
}

func (w *Workspace) activeExperiment(r reader, id string) (experimentRow, error) {
	e, err := w.experiment(r, id)
	if err == nil && e.Deleted {
		return e, invalid("The experiment %s must be in the 'active' state. Current state is deleted.", e.ID)
	}
	return e, err
}

func checkExperimentName(name string) error {
	if name == "" {
		return invalid("Invalid experiment name: '%s'", name)
	}
	if err := checkText("name", name, MaxExperimentName); err != nil {
		return err
	}
	return nil
}

func checkExperimentTag(tag Tag) error {
	if err := checkName("key", tag.Key); err != nil {
		return err
	}
	return checkLength("value", tag.Value, MaxExperimentTag)
}

// SearchExperiments returns a page of experiments, by default 1000, the latest first, and the token of the next page.
// Filters may name name, experiment_id, creation_time, last_update_time and tags.x.
func (w *Workspace) SearchExperiments(ctx context.Context, q Query) (page []Experiment, next string, err error) {
	p, err := newPager(experimentVocabulary, "experiments", q, 1000, MaxSearchExperiments,
		term{attributeKind, "last_update_time", true}, term{attributeKind, "experiment_id", false})
	if err != nil {
		return nil, "", err
	}
	r := w.read(ctx)
	all, err := collect(r, scanExperiment, "SELECT "+experimentColumns+" FROM experiments WHERE workspace = ?", w.id)
	if err != nil {
		return nil, "", storeError("tracking.SearchExperiments", err)
	}
	all = slices.DeleteFunc(all, func(e experimentRow) bool { return !q.View.shows(e.Deleted) })
	if err := fillExperiments(r, w.id, all); err != nil {
		return nil, "", storeError("tracking.SearchExperiments", err)
	}
	rows, next := selectPage(p, all, experimentRow.fields)
	for _, row := range rows {
		page = append(page, row.Experiment)
	}
	return page, next, nil
}

func fillExperiments(r reader, workspace int64, list []experimentRow) error {
	at := map[int64]*experimentRow{}
	for i := range list {
		at[list[i].row] = &list[i]
	}
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var row int64
		var tag Tag
		if err = s.Scan(&row, &tag.Key, &tag.Value); err == nil && at[row] != nil {
			at[row].Tags = append(at[row].Tags, tag)
		}
		return
	}, `SELECT t.experiment, t.key, t.value FROM experiments e JOIN experiment_tags t ON t.experiment = e.id WHERE e.workspace = ?
		ORDER BY t.experiment, t.key`, workspace)
	return err
}

func (e experimentRow) fields() fields {
	return fields{
		tags: e.Tags,
		text: func(attribute string) string {
			if attribute == "name" {
				return e.Name
			}
			return e.ID
		},
		number: func(attribute string) (float64, bool) {
			if attribute == "creation_time" {
				return float64(e.Created), true
			}
			return float64(e.Updated), true
		},
	}
}
