// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"sync"
	"sync/atomic"
)

// frame holds the runs of one experiment in memory for searching: the attributes of all, and the columns that searches
// named. The writer keeps it up to date after each commit, so a search sees every acknowledged write.
type frame struct {
	experiment int64
	dropped    atomic.Bool
	used       atomic.Int64 // when, on frames' own clock

	mu     sync.RWMutex
	loaded bool
	runs   []runRow
	at     map[int64]int32 // row → index in runs

	metrics map[int64]*numbers // by interned key
	params  map[int64]*texts
	tags    map[int64]*texts
	bytes   int64
}

type numbers struct {
	value []float64
	has   []bool
}

type texts struct {
	value []string
	has   []bool
}

func (c *numbers) get(i int32) (float64, bool) {
	if c == nil || int(i) >= len(c.has) {
		return 0, false
	}
	return c.value[i], c.has[i]
}

func (c *numbers) set(i int32, v float64) {
	for int(i) >= len(c.has) {
		c.value, c.has = append(c.value, 0), append(c.has, false)
	}
	c.value[i], c.has[i] = v, true
}

func (c *texts) get(i int32) (string, bool) {
	if c == nil || int(i) >= len(c.has) {
		return "", false
	}
	return c.value[i], c.has[i]
}

func (c *texts) set(i int32, v string, has bool) {
	for int(i) >= len(c.has) {
		c.value, c.has = append(c.value, ""), append(c.has, false)
	}
	c.value[i], c.has[i] = v, has
}

// frames are the frames of all experiments, within a limit of memory.
type frames struct {
	limit int64
	clock atomic.Int64

	mu   sync.Mutex
	byID map[int64]*frame
}

func newFrames(limit int64) *frames { return &frames{limit: limit, byID: map[int64]*frame{}} }

// get returns the experiment's frame, perhaps not loaded yet, and drops the least recently used ones above the limit.
func (s *frames) get(experiment int64) *frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.byID[experiment]
	if f == nil || f.dropped.Load() {
		f = &frame{experiment: experiment, at: map[int64]int32{}, metrics: map[int64]*numbers{}, params: map[int64]*texts{}, tags: map[int64]*texts{}}
		s.byID[experiment] = f
	}
	f.used.Store(s.clock.Add(1))
	s.evict(f)
	return f
}

func (s *frames) evict(keep *frame) {
	for {
		var total int64
		var oldest *frame
		for _, f := range s.byID {
			total += atomic.LoadInt64(&f.bytes)
			if f != keep && (oldest == nil || f.used.Load() < oldest.used.Load()) {
				oldest = f
			}
		}
		if total <= s.limit || oldest == nil {
			return
		}
		oldest.dropped.Store(true)
		delete(s.byID, oldest.experiment)
	}
}

// peek returns the frame if there is one. The writer calls it after its commit: a frame made later reads the commit.
func (s *frames) peek(experiment int64) *frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[experiment]
}

func (s *frames) drop(experiment int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.byID[experiment]; f != nil {
		f.dropped.Store(true)
		delete(s.byID, experiment)
	}
}

// dropAll forgets everything; the next searches read it again.
func (s *frames) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.byID {
		f.dropped.Store(true)
		delete(s.byID, id)
	}
}

// change applies a committed change to the run's frame, if it is loaded.
func (s *frames) change(run runRow, apply func(f *frame, i int32)) {
	f := s.peek(run.experiment)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.at[run.row]; ok && f.loaded {
		apply(f, i)
	}
}

func (s *frames) putRun(run runRow) {
	f := s.peek(run.experiment)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded {
		f.put(run)
	}
}

func (f *frame) put(run runRow) {
	if i, ok := f.at[run.row]; ok {
		f.runs[i] = run
		return
	}
	f.at[run.row] = int32(len(f.runs))
	f.runs = append(f.runs, run)
	f.grow(int64(320 + len(run.Name) + len(run.Location)))
}

func (f *frame) grow(n int64) { atomic.AddInt64(&f.bytes, n) }

func (s *frames) setMetric(run runRow, key int64, v float64) {
	s.change(run, func(f *frame, i int32) {
		if c := f.metrics[key]; c != nil {
			c.set(i, v)
		}
	})
}

func (s *frames) setParam(run runRow, key int64, v string) {
	s.change(run, func(f *frame, i int32) {
		if c := f.params[key]; c != nil {
			c.set(i, v, true)
			f.grow(int64(len(v)))
		}
	})
}

func (s *frames) setTag(run runRow, key int64, v string) {
	s.change(run, func(f *frame, i int32) {
		if c := f.tags[key]; c != nil {
			c.set(i, v, true)
			f.grow(int64(len(v)))
		}
	})
}

func (s *frames) unsetTag(run runRow, key int64) {
	s.change(run, func(f *frame, i int32) {
		if c := f.tags[key]; c != nil {
			c.set(i, "", false)
		}
	})
}

// load reads the runs, when that was not done, and the columns that are missing. The caller holds the lock.
func (f *frame) load(r reader, columns []column) error {
	if !f.loaded {
		runs, err := collect(r, scanRun, "SELECT "+runColumns+runTables+"WHERE r.experiment = ? ORDER BY r.id", f.experiment)
		if err != nil {
			return err
		}
		for _, run := range runs {
			f.put(run)
		}
		f.loaded = true
	}
	for _, c := range columns {
		if f.has(c) {
			continue
		}
		if err := f.loadColumn(r, c); err != nil {
			return err
		}
	}
	return nil
}

// column names a column by its interned key.
type column struct {
	kind kind
	key  int64
}

func (f *frame) has(c column) bool {
	switch c.kind {
	case metricKind:
		return f.metrics[c.key] != nil
	case paramKind:
		return f.params[c.key] != nil
	case tagKind:
		return f.tags[c.key] != nil
	}
	return true
}

func (f *frame) loadColumn(r reader, c column) error {
	table := map[kind]string{metricKind: "latest", paramKind: "params", tagKind: "tags"}[c.kind]
	rows, err := r.rows("SELECT c.run, c.value FROM runs r CROSS JOIN "+table+" c ON c.run = r.id AND c.key = ? WHERE r.experiment = ?",
		c.key, f.experiment)
	if err != nil {
		return err
	}
	defer rows.Close()
	ns, ts := &numbers{}, &texts{}
	interned := map[string]string{}
	var run, size int64
	for rows.Next() {
		var text string
		var number float64
		if c.kind == metricKind {
			err = rows.Scan(&run, (*stored)(&number))
		} else {
			err = rows.Scan(&run, &text)
		}
		if err != nil {
			return err
		}
		i, ok := f.at[run]
		if !ok {
			continue // created after the runs were read: the writer adds it
		}
		if c.kind == metricKind {
			ns.set(i, number)
			continue
		}
		if same, ok := interned[text]; ok {
			text = same
		} else {
			interned[text] = text
			size += int64(len(text))
		}
		ts.set(i, text, true)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	switch c.kind {
	case metricKind:
		f.metrics[c.key] = ns
	case paramKind:
		f.params[c.key] = ts
	case tagKind:
		f.tags[c.key] = ts
	}
	f.grow(size + 17*int64(len(f.runs)))
	return nil
}
