// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"encoding/json"
)

// contextTag is the tag of an input that filters call datasets.context.
const contextTag = "mlflow.data.context"

// Dataset is what a run read, as its client describes it.
type Dataset struct {
	Name, Digest       string // what searches find it by; descriptions of one dataset may differ
	SourceType, Source string
	Schema, Profile    string // JSON, may be empty
}

// Input is a dataset with the tags that a run gave it, such as its context "training".
type Input struct {
	Dataset
	Tags []Tag
}

// ModelUse is a logged model that a run read or made at a step.
type ModelUse struct {
	Model string
	Step  int64
}

// LogInputs adds datasets and models that an active run read. The same again changes nothing.
func (w *Workspace) LogInputs(ctx context.Context, id string, inputs []Input, models []ModelUse) error {
	for _, in := range inputs {
		if err := in.check(); err != nil {
			return err
		}
	}
	if len(inputs) > MaxModelsPerRequest || len(models) > MaxModelsPerRequest {
		return invalid("At most %d inputs may be logged at once", MaxModelsPerRequest)
	}
	return w.write(ctx, "tracking.LogInputs", func(t *tx) error {
		run, err := w.activeRun(t, id)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			if err := addInput(t, run, in); err != nil {
				return err
			}
		}
		return w.addModelUses(t, run, 0, models)
	})
}

// LogOutputs adds logged models that an active run made.
func (w *Workspace) LogOutputs(ctx context.Context, id string, models []ModelUse) error {
	if len(models) > MaxModelsPerRequest {
		return invalid("At most %d outputs may be logged at once", MaxModelsPerRequest)
	}
	return w.write(ctx, "tracking.LogOutputs", func(t *tx) error {
		run, err := w.activeRun(t, id)
		if err != nil {
			return err
		}
		return w.addModelUses(t, run, 1, models)
	})
}

func (w *Workspace) addModelUses(t *tx, run runRow, way int, models []ModelUse) error {
	for _, m := range models {
		if _, err := w.loggedModel(t, m.Model); err != nil {
			return err
		}
		_, err := t.exec("INSERT OR IGNORE INTO run_models (run, way, model, step) VALUES (?, ?, ?, ?)", run.row, way, m.Model, m.Step)
		if err != nil {
			return err
		}
	}
	return nil
}

func addInput(t *tx, run runRow, in Input) error {
	var id int64
	err := t.row(`SELECT id FROM datasets WHERE experiment = ? AND name = ? AND digest = ?
		AND type = ? AND source = ? AND schema = ? AND profile = ?`,
		run.experiment, in.Name, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile).Scan(&id)
	if err == sql.ErrNoRows {
		id, err = t.insert("INSERT INTO datasets (experiment, name, digest, type, source, schema, profile) VALUES (?, ?, ?, ?, ?, ?, ?)",
			run.experiment, in.Name, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile)
	}
	if err != nil {
		return err
	}
	tags := map[string]string{}
	for _, tag := range in.Tags {
		tags[tag.Key] = tag.Value
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT OR REPLACE INTO inputs (run, dataset, tags) VALUES (?, ?, ?)", run.row, id, string(text))
	return err
}

func (in Input) check() error {
	for _, field := range []struct {
		name, value string
		limit       int
		required    bool
	}{
		{"name", in.Name, MaxDatasetName, true}, {"digest", in.Digest, MaxDatasetDigest, true},
		{"source_type", in.SourceType, MaxDatasetDigest, true}, {"source", in.Source, MaxDatasetSource, true},
		{"schema", in.Schema, MaxDatasetSchema, false}, {"profile", in.Profile, MaxDatasetProfile, false},
	} {
		if field.required && field.value == "" {
			return invalid("Dataset %s cannot be empty", field.name)
		}
		if err := checkLength(field.name, field.value, field.limit); err != nil {
			return err
		}
	}
	for _, tag := range in.Tags {
		if tag.Key == "" {
			return invalid("InputTag key cannot be None or empty")
		}
		if err := checkLength("key", tag.Key, MaxInputTagKey); err != nil {
			return err
		}
		if err := checkLength("value", tag.Value, MaxInputTagValue); err != nil {
			return err
		}
	}
	return nil
}

func scanTags(text string) ([]Tag, error) {
	values := map[string]string{}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	tags := make([]Tag, 0, len(values))
	for key, value := range values {
		tags = append(tags, Tag{key, value})
	}
	return sorted(tags), nil
}

func readInputs(r reader, runs string, at map[int64]*Run) error {
	var run int64
	return each(r, `SELECT i.run, d.name, d.digest, d.type, d.source, d.schema, d.profile, i.tags FROM json_each(?) j
		CROSS JOIN inputs i ON i.run = j.value CROSS JOIN datasets d ON d.id = i.dataset`, runs, func(s scanner) error {
		var in Input
		var tags string
		err := s.Scan(&run, &in.Name, &in.Digest, &in.SourceType, &in.Source, &in.Schema, &in.Profile, &tags)
		if err == nil {
			in.Tags, err = scanTags(tags)
		}
		if err == nil {
			at[run].Inputs = append(at[run].Inputs, in)
		}
		return err
	})
}

// matchDatasets returns the runs of an experiment with an input that satisfies the clause.
func (c *clause) matchDatasets(r reader, experiment int64) (map[int64]bool, error) {
	rows, err := r.rows(`SELECT i.run, d.name, d.digest, i.tags FROM datasets d
		CROSS JOIN inputs i ON i.dataset = d.id WHERE d.experiment = ?`, experiment)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	runs := map[int64]bool{}
	for rows.Next() {
		var run int64
		var name, digest, text string
		if err := rows.Scan(&run, &name, &digest, &text); err != nil {
			return nil, err
		}
		value, has := map[string]string{"name": name, "digest": digest}[c.key], true
		if c.key == "context" {
			tags, err := scanTags(text)
			if err != nil {
				return nil, err
			}
			value = tagValue(tags, contextTag)
			has = value != ""
		}
		if c.matchText(value, has) {
			runs[run] = true
		}
	}
	return runs, rows.Err()
}
