// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/ref"
)

// TestCapturedIsData: segments of captured traffic become a dataset, also when the first rows have no value in a column and
// later versions of the model have other columns.
func TestCapturedIsData(t *testing.T) {
	endpoint := ref.Name{Workspace: "w", Name: "e"}
	record := func(version int64, age float64, more ...capture.Column) capture.Record {
		return capture.Record{RequestID: fmt.Sprint("r", age), Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: version, Status: 200, Rows: 1,
			Columns: append([]capture.Column{{Name: "age", Numbers: []float64{age}}, {Name: "sex", Texts: []string{"f"}},
				{Name: "predicted"}, {Name: "p_1", Numbers: []float64{0.25}}}, more...)}
	}
	dir := t.TempDir()
	for _, r := range []capture.Record{record(1, math.NaN()), record(1, 41), record(2, 52.5, capture.Column{Name: "smokes", Boolean: true, Numbers: []float64{1}})} {
		store, err := capture.Open(capture.Options{Dir: dir}) // each closes a segment
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Append(t.Context(), endpoint, r); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store, err := capture.Open(capture.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	files, err := store.Captured(t.Context(), "w", "e")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	b, sources := newBench(t), map[string]string{}
	for _, f := range files {
		r, _, err := store.Open(t.Context(), f.Digest)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		sources[f.Path] = string(text)
	}
	b.ingest(privacy.IngestParams{Workspace: "w", Dataset: "e-requests", Format: "ndjson", Files: b.sources(sources)})
	got := strings.TrimSpace(b.ask("select request_id, row, year(time) as y, version, status, age, sex, predicted, p_1, smokes from t order by age nulls first"))
	want := "request_id,row,y,version,status,age,sex,predicted,p_1,smokes\nrNaN,0,2026,1,200,,f,,0.25,\nr41,0,2026,1,200,41,f,,0.25,\nr52.5,0,2026,2,200,52.5,f,,0.25,true"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
