// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"fmt"
)

// DatasetFilter restricts the metrics that a search of logged models sees to those measured on a dataset.
type DatasetFilter struct {
	Name   string // required
	Digest string // empty: any
}

// SearchLoggedModels returns a page of logged models, by default 50, the latest first, and the token of the next page.
// With datasets, only models measured on one of them are found, and metrics.x means as measured there.
func (w *Workspace) SearchLoggedModels(ctx context.Context, q Query, datasets []DatasetFilter) (page []LoggedModel, next string, err error) {
	for _, d := range datasets {
		if d.Name == "" {
			return nil, "", invalid("`dataset_name` in the `datasets` clause must be specified.")
		}
	}
	p, err := newPager(loggedModelVocabulary, fmt.Sprintf("logged %q", datasets), q, 50, MaxSearchRuns,
		term{attributeKind, "creation_timestamp", true}, term{attributeKind, "model_id", false})
	if err != nil {
		return nil, "", err
	}
	r := w.read(ctx)
	var all []loggedSeen
	for _, id := range q.Experiments {
		e, err := w.experiment(r, id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return nil, "", storeError("tracking.SearchLoggedModels", err)
		}
		seen, err := seeLogged(r, e.row, p, datasets)
		if err != nil {
			return nil, "", storeError("tracking.SearchLoggedModels", err)
		}
		all = append(all, seen...)
	}
	rows, next := selectPage(p, all, func(m loggedSeen) fields { return m.see })
	for _, row := range rows {
		if err := fillLogged(r, &row.LoggedModel, row.row); err != nil {
			return nil, "", storeError("tracking.SearchLoggedModels", err)
		}
		page = append(page, row.LoggedModel)
	}
	return page, next, nil
}

// loggedSeen is a model with what the query needs to see of it.
type loggedSeen struct {
	loggedRow
	see fields
}

// seeLogged reads the models of an experiment and the columns that the query names, one query a column.
func seeLogged(r reader, experiment int64, p *pager, datasets []DatasetFilter) ([]loggedSeen, error) {
	rows, err := collect(r, scanLogged, loggedColumns+"WHERE m.experiment = ? AND m.deleted = 0", experiment)
	if err != nil {
		return nil, err
	}
	all := make([]loggedSeen, len(rows))
	at := map[int64]*fields{}
	for i, row := range rows {
		all[i] = loggedSeen{row, row.fields()}
		at[row.row] = &all[i].see
	}
	for _, key := range p.names(paramKind) {
		if err := seeColumn(r, "logged_model_params", key, experiment, func(row int64, v string) {
			at[row].params = append(at[row].params, Tag{key, v})
		}); err != nil {
			return nil, err
		}
	}
	for _, key := range p.names(tagKind) {
		if err := seeColumn(r, "logged_model_tags", key, experiment, func(row int64, v string) {
			at[row].tags = append(at[row].tags, Tag{key, v})
		}); err != nil {
			return nil, err
		}
	}
	for _, key := range p.names(metricKind) {
		if err := seeMetric(r, key, experiment, datasets, at); err != nil {
			return nil, err
		}
	}
	if len(datasets) == 0 {
		return all, nil
	}
	return measuredOn(r, experiment, datasets, all)
}

func seeColumn(r reader, table, key string, experiment int64, add func(int64, string)) error {
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var row int64
		var value string
		if err = s.Scan(&row, &value); err == nil {
			add(row, value)
		}
		return
	}, "SELECT m.id, t.value FROM logged_models m CROSS JOIN "+table+" t ON t.model = m.id AND t.key = ? WHERE m.experiment = ? AND m.deleted = 0",
		key, experiment)
	return err
}

const loggedMetricsOf = ` FROM logged_models m CROSS JOIN logged_model_metrics t ON t.model = m.id
	WHERE m.experiment = ? AND m.deleted = 0`

func seeMetric(r reader, key string, experiment int64, datasets []DatasetFilter, at map[int64]*fields) error {
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var row int64
		var value float64
		var dataset, digest string
		err = s.Scan(&row, (*stored)(&value), &dataset, &digest)
		if err == nil && onDataset(datasets, dataset, digest) {
			if at[row].metrics == nil {
				at[row].metrics = map[string]float64{}
			}
			at[row].metrics[key] = value // rows come oldest first
		}
		return
	}, "SELECT m.id, t.value, t.dataset, t.digest"+loggedMetricsOf+" AND t.key = ? ORDER BY t.time, t.step", experiment, key)
	return err
}

func measuredOn(r reader, experiment int64, datasets []DatasetFilter, all []loggedSeen) ([]loggedSeen, error) {
	on := map[int64]bool{}
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var row int64
		var dataset, digest string
		if err = s.Scan(&row, &dataset, &digest); err == nil && onDataset(datasets, dataset, digest) {
			on[row] = true
		}
		return
	}, "SELECT DISTINCT m.id, t.dataset, t.digest"+loggedMetricsOf, experiment)
	if err != nil && err != sql.ErrNoRows {
		return nil, err
	}
	var kept []loggedSeen
	for _, m := range all {
		if on[m.row] {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func onDataset(datasets []DatasetFilter, name, digest string) bool {
	for _, d := range datasets {
		if d.Name == name && (d.Digest == "" || d.Digest == digest) {
			return true
		}
	}
	return len(datasets) == 0
}

func (m loggedRow) fields() fields {
	return fields{
		text: func(attribute string) string {
			switch attribute {
			case "name":
				return m.Name
			case "model_id":
				return m.ID
			case "model_type":
				return m.Type
			case "status":
				return m.Status
			case "source_run_id":
				return m.Run
			}
			return m.Experiment
		},
		number: func(attribute string) (float64, bool) {
			if attribute == "last_updated_timestamp" {
				return float64(m.Updated), true
			}
			return float64(m.Created), true
		},
	}
}
