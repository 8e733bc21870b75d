// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// reads lists the datasets that d reads, in the order that decides its fingerprint.
func (s *Station) reads(ctx context.Context, d *v1alpha1.Dataset, all []v1alpha1.Dataset) ([]string, error) {
	switch {
	case d.Spec.From.Code != nil:
		return d.Spec.From.Code.Inputs, nil
	case d.Spec.From.Query != nil:
		return s.queryReads(ctx, d, all)
	}
	return nil, nil
}

// queryReads parses the statement; where every table is known it is also bound to the tables' columns, so that a wrong
// column is told before anything runs.
func (s *Station) queryReads(ctx context.Context, d *v1alpha1.Dataset, all []v1alpha1.Dataset) ([]string, error) {
	const field = "spec.from.query.sql"
	sql := d.Spec.From.Query.SQL
	if strings.TrimSpace(sql) == "" {
		return nil, fault.New(fault.Invalid, field, "it is empty").
			WithHint("apply with `fathom apply`, which reads spec.from.query.file")
	}
	params := query.CheckParams{SQL: sql, Workspace: d.Namespace}
	checked, err := s.checks.check(ctx, params)
	if err != nil {
		return nil, err
	}
	if checked.Error != nil {
		return nil, fault.Wrap(fault.Invalid, field, checked.Error)
	}
	names := make([]string, 0, len(checked.Tables))
	for _, table := range checked.Tables {
		name := datasetOf(table, all)
		names = append(names, name)
		if schema, ok := s.schema(ctx, ref.Name{Workspace: d.Namespace, Name: name}, all); ok {
			params.Tables = append(params.Tables, query.Table{Name: table, Columns: schema})
		}
	}
	if len(params.Tables) == len(names) && len(names) > 0 {
		if checked, err = s.checks.check(ctx, params); err != nil {
			return nil, err
		}
		if checked.Error != nil {
			return nil, fault.Wrap(fault.Invalid, field, checked.Error)
		}
	}
	return names, nil
}

// datasetOf is the dataset whose table has the name: "scan-features" for "scan_features".
func datasetOf(table string, all []v1alpha1.Dataset) string {
	for i := range all {
		if strings.EqualFold(ref.Table(all[i].Name), table) {
			return all[i].Name
		}
	}
	return strings.ReplaceAll(table, "_", "-")
}

// graph is what every dataset of the workspace reads; a statement that does not parse reads nothing.
func (s *Station) graph(ctx context.Context, all []v1alpha1.Dataset) plan.Graph {
	g := plan.Graph{}
	for i := range all {
		d := &all[i]
		names, err := s.names(ctx, d, all)
		if err != nil {
			continue
		}
		if p := d.Spec.Privacy; p != nil && p.Consent != nil {
			names = append(names, p.Consent.Dataset)
		}
		g[d.Name] = names
	}
	return g
}

// names is reads without binding columns.
func (s *Station) names(ctx context.Context, d *v1alpha1.Dataset, all []v1alpha1.Dataset) ([]string, error) {
	if d.Spec.From.Query == nil {
		return s.reads(ctx, d, all)
	}
	checked, err := s.checks.check(ctx, query.CheckParams{SQL: d.Spec.From.Query.SQL, Workspace: d.Namespace})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, table := range checked.Tables {
		names = append(names, datasetOf(table, all))
	}
	return names, nil
}

// schema gives the columns of a dataset's current version in SQL's types; false when there is none yet or a column has a
// type that cannot be told in SQL.
func (s *Station) schema(ctx context.Context, name ref.Name, all []v1alpha1.Dataset) ([]query.Column, bool) {
	for i := range all {
		if all[i].Name != name.Name || all[i].Status.Version == 0 {
			continue
		}
		v, err := s.Lake.Version(ctx, name, int(all[i].Status.Version))
		if err != nil {
			return nil, false
		}
		return sqlColumns(v.Columns)
	}
	return nil, false
}

var sqlTypes = map[string]string{
	"boolean": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR",
	"date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "binary": "BLOB", "uuid": "UUID",
}

func sqlColumns(columns []lake.Column) ([]query.Column, bool) {
	out := make([]query.Column, 0, len(columns))
	for _, c := range columns {
		sqlType, ok := sqlTypes[c.Type]
		if !ok && strings.HasPrefix(c.Type, "decimal") {
			sqlType, ok = strings.ToUpper(c.Type), true
		}
		if inner, found := strings.CutPrefix(c.Type, "list<"); !ok && found {
			sqlType, ok = sqlTypes[strings.TrimSuffix(inner, ">")]+"[]", true
		}
		if !ok || sqlType == "[]" {
			return nil, false
		}
		out = append(out, query.Column{Name: c.Name, Type: sqlType})
	}
	return out, true
}

// checkCache remembers what statements read: the same statement over the same columns is parsed once.
type checkCache struct {
	run func(context.Context, query.CheckParams) (query.Checked, error)
	mu  *sync.Mutex
	was map[ref.Digest]query.Checked
}

const maxChecks = 4096 // answers kept; beyond that the cache starts anew

func newCheckCache(run func(context.Context, query.CheckParams) (query.Checked, error)) checkCache {
	return checkCache{run: run, mu: &sync.Mutex{}, was: map[ref.Digest]query.Checked{}}
}

func (c checkCache) check(ctx context.Context, p query.CheckParams) (query.Checked, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return query.Checked{}, fmt.Errorf("check: %w", err)
	}
	key := ref.DigestOf(b)
	c.mu.Lock()
	known, ok := c.was[key]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	checked, err := c.run(ctx, p)
	if err != nil {
		return query.Checked{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.was) >= maxChecks {
		clear(c.was)
	}
	c.was[key] = checked
	return checked, nil
}

// distance is Levenshtein's, over bytes: names are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
