// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
)

const (
	maxProfiled = 200 // columns; further ones are named without numbers
	bins        = 20  // bars of a histogram, of equal width from the least to the greatest value
	tops        = 12  // values of a column of words, the most frequent
	maxProfiles = 256 // kept in memory
	sampleLimit = 1000
	exactRows   = 1_000_000 // of more rows, distinct values are estimated within some per cent
)

// Profile is what the columns of a dataset's version hold.
type Profile struct {
	Version int64           `json:"version"`
	Rows    int64           `json:"rows"`
	Columns []ColumnProfile `json:"columns"`
}

// ColumnProfile describes one column. Of numbers and times there are Least, Greatest and Bars of equal width between them;
// of numbers also the moments, over finite values; of everything else the most frequent values.
type ColumnProfile struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"` // number, time, text or other
	Missing   int64      `json:"missing"`
	Distinct  int64      `json:"distinct"`
	Least     *float64   `json:"least,omitempty"` // times in seconds since 1970
	Greatest  *float64   `json:"greatest,omitempty"`
	Mean      *float64   `json:"mean,omitempty"`
	Deviation *float64   `json:"deviation,omitempty"`
	Quantiles []float64  `json:"quantiles,omitempty"` // 5, 25, 50, 75 and 95 %
	Bars      []int64    `json:"bars,omitempty"`
	Top       []TopValue `json:"top,omitempty"`
}

// TopValue is a frequent value.
type TopValue struct {
	Value string `json:"value"`
	Rows  int64  `json:"rows"`
}

// profiles keeps what was computed; a version never changes, so neither does its profile.
type profiles struct {
	flight singleflight.Group
	mu     sync.Mutex
	kept   map[string]Profile
}

// find returns the kept profile of a dataset's version.
func (p *profiles) find(key string) (Profile, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.kept[key]
	return found, ok
}

func (p *profiles) keep(key string, of Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil || len(p.kept) >= maxProfiles {
		p.kept = map[string]Profile{}
	}
	p.kept[key] = of
}

// readable finds the version that ?version= names, the current one by default, and authorizes reading its rows.
func (s *server) readable(r *http.Request, number int64) (lake.Version, error) {
	d := &v1alpha1.Dataset{}
	if err := s.get(r, d); err != nil {
		return lake.Version{}, err
	}
	if number == 0 {
		number = d.Status.Version
	}
	if number == 0 {
		return lake.Version{}, fault.New(fault.NotFound, "dataset "+d.Name, "it has no version yet").WithHint("see `fathom status`")
	}
	v, err := s.Lake.Version(r.Context(), nameOf(r), int(number))
	if err != nil {
		return v, err
	}
	// What was identified then stays so, whatever the declaration says now.
	if d.Status.Identified = d.Status.Identified || identified(v); !d.Status.Identified {
		return v, nil // the route asked for datasets/data
	}
	return v, s.mayRead(r, d)
}

func identified(v lake.Version) bool {
	var summary struct {
		Report struct {
			Identified bool `json:"identified"`
		} `json:"report"`
	}
	return json.Unmarshal(v.Summary, &summary) != nil || summary.Report.Identified
}

// profile answers with the distributions of a version's columns.
func (s *server) profile(w http.ResponseWriter, r *http.Request) {
	n, err := number(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v, err := s.readable(r, n)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	key := fmt.Sprintf("%s@%d %s", v.Name, v.Number, v.Manifest)
	found, ok := s.profiles.find(key)
	if !ok {
		// Who asks meanwhile waits for the same answer; whoever leaves does not end it for the others.
		answer, err, _ := s.profiles.flight.Do(key, func() (any, error) { return s.compute(context.WithoutCancel(r.Context()), v) })
		if err != nil {
			s.fail(w, r, err)
			return
		}
		found = answer.(Profile)
		s.profiles.keep(key, found)
	}
	writeJSON(w, found)
}

// sample answers with the first rows of a version, one JSON object a line.
func (s *server) sample(w http.ResponseWriter, r *http.Request) {
	n, err := number(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v, err := s.readable(r, n)
	var table query.Table
	if err == nil {
		table, err = s.table(r.Context(), "t", v)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := &lateWriter{w: w, contentType: contentType("json")}
	p := query.ReadParams{SQL: "SELECT * FROM t", Tables: []query.Table{table}, Limit: sampleLimit, Format: "json"}
	if err := s.Query(r.Context(), p, out); err != nil && !out.began {
		s.fail(w, r, err)
	}
}

// table gives a version's Parquet files a name for SQL.
func (s *server) table(ctx context.Context, name string, v lake.Version) (query.Table, error) {
	files, err := s.versionFiles(ctx, v)
	return query.Table{Name: name, Files: files}, err
}

// compute asks for the moments of all columns, then for their histograms between least and greatest.
func (s *server) compute(ctx context.Context, v lake.Version) (Profile, error) {
	p := Profile{Version: int64(v.Number), Rows: v.Rows, Columns: []ColumnProfile{}}
	for _, c := range v.Columns {
		p.Columns = append(p.Columns, ColumnProfile{Name: c.Name, Type: sortOf(c.Type)})
	}
	if len(p.Columns) == 0 || v.Rows == 0 {
		return p, nil
	}
	table, err := s.table(ctx, "t", v)
	if err != nil {
		return p, err
	}
	some := p.Columns[:min(len(p.Columns), maxProfiled)]
	var moments []moment
	if err := s.rows(ctx, table, momentsOf(some, v.Rows), &moments); err != nil {
		return p, err
	}
	for _, m := range moments {
		m.into(&some[m.Column])
	}
	var counts []count
	statement := countsOf(some)
	if statement == "" {
		return p, nil
	}
	if err := s.rows(ctx, table, statement, &counts); err != nil {
		return p, err
	}
	for _, c := range counts {
		c.into(&some[c.Column])
	}
	for i := range some {
		slices.SortStableFunc(some[i].Top, func(a, b TopValue) int { return int(b.Rows - a.Rows) })
	}
	return p, nil
}

// rows reads an answer over one table, one JSON object a line.
func (s *server) rows(ctx context.Context, table query.Table, statement string, into any) error {
	var out bytes.Buffer
	p := query.ReadParams{SQL: statement, Tables: []query.Table{table}, Limit: 100_000, Format: "json"}
	if err := s.Query(ctx, p, &out); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if lines[0] == "" {
		return nil
	}
	err := json.Unmarshal([]byte("["+strings.Join(lines, ",")+"]"), into)
	return fault.Wrap(fault.Internal, "profile", err)
}
