// SPDX-License-Identifier: Apache-2.0

package tracking

// fields is what a filter or order can see of one row that is searched in memory.
type fields struct {
	text    func(attribute string) string
	number  func(attribute string) (float64, bool)
	tags    []Tag
	params  []Tag
	metrics map[string]float64
}

func (f *fields) match(v *vocabulary, c *clause) bool {
	switch c.kind {
	case metricKind:
		value, has := f.metrics[c.key]
		return has && c.matchNumber(value)
	case tagKind:
		return c.matchText(lookup(f.tags, c.key))
	case paramKind:
		return c.matchText(lookup(f.params, c.key))
	}
	if v.numbers[c.key] != "" {
		value, has := f.number(c.key)
		return has && c.matchNumber(value)
	}
	return c.matchText(f.text(c.key), true)
}

func (f *fields) key(v *vocabulary, t term) sortKey {
	switch t.kind {
	case metricKind:
		value, has := f.metrics[t.key]
		return numberKey(value, has)
	case tagKind:
		return textKey(lookup(f.tags, t.key))
	case paramKind:
		return textKey(lookup(f.params, t.key))
	}
	if v.texts[t.key] != "" {
		return textKey(f.text(t.key), true)
	}
	return numberKey(f.number(t.key))
}

func lookup(tags []Tag, key string) (string, bool) {
	for _, tag := range tags {
		if tag.Key == key {
			return tag.Value, true
		}
	}
	return "", false
}

// pager selects a page of rows that are in memory, by a query's filter, order and token.
type pager struct {
	words   *vocabulary
	query   string
	clauses []clause
	terms   []term
	after   []sortKey
	limit   int
}

// newPager parses a query; last are the terms that make the order total.
func newPager(words *vocabulary, what string, q Query, standard, most int, last ...term) (*pager, error) {
	p := &pager{words: words, query: q.text(what)}
	var err error
	if p.limit, err = q.limit(standard, most); err != nil {
		return nil, err
	}
	if p.clauses, err = words.parseFilter(q.Filter); err != nil {
		return nil, err
	}
	if p.terms, err = words.parseOrder(q.Order); err != nil {
		return nil, err
	}
	p.terms = append(p.terms, last...)
	p.after, err = decodeKeys(q.Token, p.query, len(p.terms))
	return p, err
}

// names reports whether the query needs the column.
func (p *pager) names(k kind) []string {
	var keys []string
	for _, c := range p.clauses {
		if c.kind == k {
			keys = append(keys, c.key)
		}
	}
	for _, t := range p.terms {
		if t.kind == k {
			keys = append(keys, t.key)
		}
	}
	return keys
}

type placed[T any] struct {
	row  T
	keys []sortKey
}

// selectPage returns the page of the rows and the token of the next one.
func selectPage[T any](p *pager, rows []T, see func(T) fields) ([]T, string) {
	compare := func(a, b []sortKey) int {
		for n, t := range p.terms {
			if order := t.compare(a[n], b[n]); order != 0 {
				return order
			}
		}
		return 0
	}
	best := &top[placed[T]]{limit: p.limit + 1, less: func(a, b placed[T]) bool { return compare(a.keys, b.keys) < 0 }}
rows:
	for _, row := range rows {
		f := see(row)
		for i := range p.clauses {
			if !f.match(p.words, &p.clauses[i]) {
				continue rows
			}
		}
		keys := make([]sortKey, len(p.terms))
		for n, t := range p.terms {
			keys[n] = f.key(p.words, t)
		}
		if p.after == nil || compare(keys, p.after) > 0 {
			best.offer(placed[T]{row, keys})
		}
	}
	found, next := best.sorted(), ""
	if len(found) > p.limit {
		found = found[:p.limit]
		next = encodeKeys(p.query, found[p.limit-1].keys)
	}
	page := make([]T, len(found))
	for i := range found {
		page[i] = found[i].row
	}
	return page, next
}
