// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"encoding/json"
)

// details reads the data of runs in a fixed number of queries, each by the runs' rows.
func (w *Workspace) details(r reader, rows []runRow) ([]Run, error) {
	runs := make([]Run, len(rows))
	at := make(map[int64]*Run, len(rows))
	ids := make([]int64, len(rows))
	for i, row := range rows {
		runs[i].RunInfo, ids[i], at[row.row] = row.RunInfo, row.row, &runs[i]
	}
	if len(rows) == 0 {
		return runs, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	for _, read := range []func(reader, string, map[int64]*Run) error{readMetrics, readParams, readTags, readInputs, readModelUses} {
		if err := read(r, string(list), at); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// each runs scan for every row of a query; it takes the row's run as its first column.
func each(r reader, query, runs string, scan func(scanner) error) error {
	rows, err := r.rows(query, runs)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func readMetrics(r reader, runs string, at map[int64]*Run) error {
	var run int64
	return each(r, `SELECT l.run, n.name, l.value, l.time, l.step FROM json_each(?) j CROSS JOIN latest l ON l.run = j.value
		CROSS JOIN names n ON n.id = l.key ORDER BY l.run, n.name`, runs, func(s scanner) error {
		var m Metric
		if err := s.Scan(&run, &m.Key, (*stored)(&m.Value), &m.Time, &m.Step); err != nil {
			return err
		}
		at[run].Metrics = append(at[run].Metrics, m)
		return nil
	})
}

func readParams(r reader, runs string, at map[int64]*Run) error {
	return readPairs(r, "params", runs, func(run int64, t Tag) { at[run].Params = append(at[run].Params, t) })
}

func readTags(r reader, runs string, at map[int64]*Run) error {
	return readPairs(r, "tags", runs, func(run int64, t Tag) { at[run].Tags = append(at[run].Tags, t) })
}

func readPairs(r reader, table, runs string, add func(int64, Tag)) error {
	var run int64
	return each(r, `SELECT p.run, n.name, p.value FROM json_each(?) j CROSS JOIN `+table+` p ON p.run = j.value
		CROSS JOIN names n ON n.id = p.key ORDER BY p.run, n.name`, runs, func(s scanner) error {
		var t Tag
		if err := s.Scan(&run, &t.Key, &t.Value); err != nil {
			return err
		}
		add(run, t)
		return nil
	})
}

func readModelUses(r reader, runs string, at map[int64]*Run) error {
	var run int64
	return each(r, `SELECT m.run, m.way, m.model, m.step FROM json_each(?) j CROSS JOIN run_models m ON m.run = j.value`, runs,
		func(s scanner) error {
			var use ModelUse
			var way int
			if err := s.Scan(&run, &way, &use.Model, &use.Step); err != nil {
				return err
			}
			if way == 0 {
				at[run].ModelsIn = append(at[run].ModelsIn, use)
			} else {
				at[run].ModelsOut = append(at[run].ModelsOut, use)
			}
			return nil
		})
}
