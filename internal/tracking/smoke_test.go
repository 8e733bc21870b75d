// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"path/filepath"
	"testing"
)

func TestSmoke(t *testing.T) {
	s, err := Open(Options{Path: filepath.Join(t.TempDir(), "t.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	w, err := s.In(ctx, "neuro")
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.CreateRun(ctx, NewRun{User: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.LogBatch(ctx, r.ID, Batch{Metrics: []Metric{{Key: "auc", Value: .9}, {Key: "auc", Value: .95, Step: 1}}, Params: []Tag{{"C", "1"}}, Tags: []Tag{{"x", "y"}}}); err != nil {
		t.Fatal(err)
	}
	runs, next, err := w.SearchRuns(ctx, Query{Experiments: []string{"0"}, Filter: "metrics.auc > 0.9 and params.C = '1' and tags.`x` LIKE '%y' and attributes.status != 'FINISHED' and run_id NOT IN ('a','b')", Order: []string{"metrics.auc DESC"}})
	t.Log(runs, next, err)
	if err != nil || len(runs) != 1 {
		t.Fatal("no")
	}
}
