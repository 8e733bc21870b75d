// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// View says whether deleted things are wanted.
type View int

// The views.
const (
	Active View = iota
	DeletedOnly
	All
)

func (v View) shows(deleted bool) bool { return v == All || deleted == (v == DeletedOnly) }

// Query is a search. See [Workspace.SearchRuns] for what Filter and Order may say.
type Query struct {
	Experiments []string // ids; unknown ones have nothing
	Filter      string
	Order       []string
	View        View
	Limit       int    // results a page; 0 means the default of the search
	Token       string // from the page before; empty for the first
}

// text identifies the query for its page tokens.
func (q Query) text(what string) string {
	return fmt.Sprintf("%s %q %q %q %d", what, q.Experiments, q.Filter, q.Order, q.View)
}

// limit checks the page size.
func (q Query) limit(standard, most int) (int, error) {
	switch {
	case q.Limit == 0:
		return standard, nil
	case q.Limit < 0 || q.Limit > most:
		return 0, invalid("Invalid value %d for parameter 'max_results' supplied. It must be at most %d, but got value %d",
			q.Limit, most, q.Limit)
	}
	return q.Limit, nil
}

// SearchRuns returns a page of runs with their data, by default 1000, and the token of the next page. Filters are
// comparisons of attributes, metrics.x, params.x, tags.x and datasets.x joined by AND; orders are lists of these, with
// ASC or DESC. After all orders come the latest start first and the run id.
func (w *Workspace) SearchRuns(ctx context.Context, q Query) (runs []Run, next string, err error) {
	limit, err := q.limit(1000, MaxSearchRuns)
	if err != nil {
		return nil, "", err
	}
	clauses, err := runVocabulary.parseFilter(q.Filter)
	if err != nil {
		return nil, "", err
	}
	terms, err := runVocabulary.parseOrder(q.Order)
	if err != nil {
		return nil, "", err
	}
	terms = append(terms, term{attributeKind, "start_time", true}, term{attributeKind, "run_id", false})
	after, err := decodeKeys(q.Token, q.text("runs"), len(terms))
	if err != nil {
		return nil, "", err
	}
	r := w.read(ctx)
	s := &runSearch{view: q.View, clauses: clauses, terms: terms, after: after, limit: limit + 1}
	if err := w.prepare(r, s, q.Experiments); err != nil {
		return nil, "", storeError("tracking.SearchRuns", err)
	}
	hits, err := w.scan(r, s)
	if err != nil {
		return nil, "", storeError("tracking.SearchRuns", err)
	}
	if len(hits) > limit {
		hits = hits[:limit]
		next = encodeKeys(q.text("runs"), hits[limit-1].keys)
	}
	rows := make([]runRow, len(hits))
	for i, hit := range hits {
		rows[i] = hit.run
	}
	runs, err = w.details(r, rows)
	return runs, next, storeError("tracking.SearchRuns", err)
}

// runSearch is a parsed search with the interned keys of its columns.
type runSearch struct {
	view        View
	clauses     []clause
	terms       []term
	clauseKey   []int64 // interned; -1 is a key that nobody used
	termKey     []int64
	columns     []column
	after       []sortKey
	limit       int
	experiments []int64
}

// spot is where a row that matched lies, with the first value of the order.
type spot struct {
	first sortKey
	frame *frame
	index int32
}

// hit is a row of the page, with its values of the order.
type hit struct {
	run  runRow
	keys []sortKey
}

// prepare resolves experiments and keys to rows of this workspace; what it does not have is left out.
func (w *Workspace) prepare(r reader, s *runSearch, experiments []string) error {
	for _, id := range experiments {
		e, err := w.experiment(r, id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		s.experiments = append(s.experiments, e.row)
	}
	slices.Sort(s.experiments)
	s.experiments = slices.Compact(s.experiments)
	resolve := func(k kind, key string) (int64, error) {
		if k == attributeKind || k == datasetKind {
			return 0, nil
		}
		var id int64
		err := r.row("SELECT id FROM names WHERE workspace = ? AND name = ?", w.id, key).Scan(&id)
		if err == sql.ErrNoRows {
			return -1, nil
		}
		s.columns = append(s.columns, column{k, id})
		return id, err
	}
	for _, c := range s.clauses {
		id, err := resolve(c.kind, c.key)
		if err != nil {
			return err
		}
		s.clauseKey = append(s.clauseKey, id)
	}
	for _, t := range s.terms {
		id, err := resolve(t.kind, t.key)
		if err != nil {
			return err
		}
		s.termKey = append(s.termKey, id)
	}
	return nil
}

// scan finds the first rows of the order that match, over all experiments.
func (w *Workspace) scan(r reader, s *runSearch) ([]hit, error) {
	best := &top[spot]{limit: s.limit, less: func(a, b spot) bool { return s.compare(a, b) < 0 }}
	var locked []*frame
	defer func() {
		for _, f := range locked {
			f.mu.RUnlock()
		}
	}()
	for _, experiment := range s.experiments {
		f, err := w.frame(r, experiment, s.columns)
		if err != nil {
			return nil, err
		}
		locked = append(locked, f)
		if err := s.scanFrame(r, f, best); err != nil {
			return nil, err
		}
	}
	spots := best.sorted()
	hits := make([]hit, len(spots))
	for i, spot := range spots {
		hits[i].run = spot.frame.runs[spot.index]
		for n := range s.terms {
			hits[i].keys = append(hits[i].keys, s.key(spot.frame, spot.index, n))
		}
	}
	return hits, nil
}

// frame returns an experiment's frame, locked for reading, with the columns loaded.
func (w *Workspace) frame(r reader, experiment int64, columns []column) (*frame, error) {
	for {
		f := w.store.frames.get(experiment)
		f.mu.RLock()
		ready := f.loaded && !slices.ContainsFunc(columns, func(c column) bool { return !f.has(c) })
		if ready && !f.dropped.Load() {
			return f, nil
		}
		f.mu.RUnlock()
		f.mu.Lock()
		err := f.load(r, columns)
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

func (s *runSearch) scanFrame(r reader, f *frame, best *top[spot]) error {
	tests := make([]func(int32) bool, len(s.clauses))
	for n := range s.clauses {
		test, err := s.test(r, f, n)
		if err != nil {
			return err
		}
		tests[n] = test
	}
rows:
	for i := int32(len(f.runs)) - 1; i >= 0; i-- { // the newest first: what most orders want
		if !s.view.shows(f.runs[i].Deleted) {
			continue
		}
		for _, test := range tests {
			if !test(i) {
				continue rows
			}
		}
		if s.after != nil && s.compareAfter(f, i) <= 0 {
			continue
		}
		best.offer(spot{first: s.key(f, i, 0), frame: f, index: i})
	}
	return nil
}

// test compiles a clause to a test of a row.
func (s *runSearch) test(r reader, f *frame, n int) (func(int32) bool, error) {
	c, key := &s.clauses[n], s.clauseKey[n]
	switch c.kind {
	case metricKind:
		values := f.metrics[key]
		return func(i int32) bool { v, has := values.get(i); return has && c.matchNumber(v) }, nil
	case paramKind, tagKind:
		values := f.params[key]
		if c.kind == tagKind {
			values = f.tags[key]
		}
		return func(i int32) bool { return c.matchText(values.get(i)) }, nil
	case datasetKind:
		runs, err := c.matchDatasets(r, f.experiment)
		return func(i int32) bool { return runs[f.runs[i].row] }, err
	}
	if runVocabulary.numbers[c.key] != "" {
		return func(i int32) bool { v, has := f.runs[i].number(c.key); return has && c.matchNumber(v) }, nil
	}
	return func(i int32) bool { return c.matchText(f.runs[i].text(c.key), true) }, nil
}

// key is the row's value in the order's column n.
func (s *runSearch) key(f *frame, i int32, n int) sortKey {
	t, key := s.terms[n], s.termKey[n]
	switch t.kind {
	case metricKind:
		return numberKey(f.metrics[key].get(i))
	case paramKind:
		return textKey(f.params[key].get(i))
	case tagKind:
		return textKey(f.tags[key].get(i))
	}
	if runVocabulary.numbers[t.key] != "" {
		return numberKey(f.runs[i].number(t.key))
	}
	return textKey(f.runs[i].text(t.key), true)
}

func (s *runSearch) compare(a, b spot) int {
	order := s.terms[0].compare(a.first, b.first)
	for n := 1; order == 0 && n < len(s.terms); n++ {
		order = s.terms[n].compare(s.key(a.frame, a.index, n), s.key(b.frame, b.index, n))
	}
	return order
}

// compareAfter places a row before (-1), at (0) or after (1) the last row of the page before.
func (s *runSearch) compareAfter(f *frame, i int32) int {
	for n, t := range s.terms {
		if order := t.compare(s.key(f, i, n), s.after[n]); order != 0 {
			return cmp.Compare(order, 0)
		}
	}
	return 0
}

func (r *runRow) number(attribute string) (float64, bool) {
	if attribute == "end_time" {
		return float64(r.Ended), r.Ended != 0
	}
	return float64(r.Started), true
}

func (r *runRow) text(attribute string) string {
	switch attribute {
	case "run_id":
		return r.ID
	case "run_name":
		return r.Name
	case "user_id":
		return r.User
	case "status":
		return string(r.Status)
	}
	return r.Location
}
