// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// all reads every page and returns the ids.
func all(t *testing.T, w *Workspace, q Query) []string {
	t.Helper()
	var ids []string
	for {
		runs, next, err := w.SearchRuns(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			ids = append(ids, run.ID)
		}
		if next == "" {
			return ids
		}
		q.Token = next
	}
}

func TestOrderPutsNaNThenNothingLast(t *testing.T) {
	w := in(t, open(t), "neurology")
	values := map[string]*float64{"two": ptr(2.0), "nan": ptr(math.NaN()), "none": nil, "inf": ptr(math.Inf(1)), "one": ptr(1.0)}
	for _, name := range []string{"none", "nan", "two", "inf", "one"} {
		run := must(w.CreateRun(t.Context(), NewRun{Name: name}))(t)
		if v := values[name]; v != nil {
			if err := w.LogBatch(t.Context(), run.ID, Batch{Metrics: []Metric{{Key: "x", Value: *v}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for order, want := range map[string][]string{
		"metrics.x":      {"one", "two", "inf", "nan", "none"},
		"metrics.x DESC": {"inf", "two", "one", "nan", "none"},
	} {
		for limit := 1; limit <= 5; limit++ {
			var got []string
			for _, id := range all(t, w, Query{Experiments: []string{"0"}, Order: []string{order}, Limit: limit}) {
				got = append(got, must(w.Run(t.Context(), id))(t).Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d a page: %v, want %v", order, limit, got, want)
			}
		}
	}
}

func ptr(v float64) *float64 { return &v }

// TestSearchAgreesWithPlainLoops compares pages of random searches with a filter and sort of what Run returns.
func TestSearchAgreesWithPlainLoops(t *testing.T) {
	w := in(t, open(t), "neurology")
	experiments := []string{"0", must(w.CreateExperiment(t.Context(), "second", "", nil))(t)}
	random := rand.New(rand.NewPCG(1, 2))
	for range 120 {
		run := newRun(t, w, experiments[random.IntN(2)])
		change(t, w, run.ID, random)
	}
	for round := range 60 {
		low, text := math.Round(random.Float64()*10), fmt.Sprint(random.IntN(4))
		q := Query{Experiments: experiments, Limit: 1 + random.IntN(50),
			Filter: fmt.Sprintf("metrics.m%d >= %v and params.p != '%s'", random.IntN(3), low, text), Order: []string{"metrics.m0 DESC", "tags.t"}}
		key := q.Filter[8:10]
		var want []Run
		for _, id := range all(t, w, Query{Experiments: experiments}) {
			run := must(w.Run(t.Context(), id))(t)
			value, has := latestOf(run, key)
			param, _ := lookup(run.Params, "p")
			if has && value >= low && param != "" && param != text {
				want = append(want, run)
			}
		}
		slices.SortStableFunc(want, func(a, b Run) int {
			x, hasX := latestOf(a, "m0")
			y, hasY := latestOf(b, "m0")
			tagA, hasA := lookup(a.Tags, "t")
			tagB, hasB := lookup(b.Tags, "t")
			return cmp.Or(first(hasX, hasY), cmp.Compare(y, x), first(hasA, hasB), cmp.Compare(tagA, tagB),
				cmp.Compare(b.Started, a.Started), cmp.Compare(a.ID, b.ID))
		})
		got := all(t, w, q)
		if len(got) != len(want) {
			t.Fatalf("round %d, %s: %d runs, want %d", round, q.Filter, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i].ID {
				t.Fatalf("round %d, %s: place %d is %s, want %s", round, q.Filter, i, got[i], want[i].ID)
			}
		}
		change(t, w, firstID(got), random) // columns that are loaded must follow
		newRun(t, w, experiments[round%2])
	}
}

// firstID is the first id, or "" when there is none.
func firstID(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func latestOf(run Run, key string) (float64, bool) {
	for _, m := range run.Metrics {
		if m.Key == key {
			return m.Value, true
		}
	}
	return 0, false
}

var stepCounter int64

func change(t *testing.T, w *Workspace, run string, random *rand.Rand) {
	t.Helper()
	if run == "" {
		return
	}
	var b Batch
	for k := range 3 {
		if random.IntN(3) > 0 {
			stepCounter++
			b.Metrics = append(b.Metrics, Metric{Key: fmt.Sprint("m", k), Value: math.Round(random.Float64() * 10), Step: stepCounter})
		}
	}
	if old := must(w.Run(t.Context(), run))(t); len(old.Params) == 0 && random.IntN(2) > 0 {
		b.Params = []Tag{{"p", fmt.Sprint(random.IntN(4))}}
	}
	if random.IntN(2) > 0 {
		b.Tags = []Tag{{"t", fmt.Sprint(random.IntN(3))}}
	}
	if err := w.LogBatch(t.Context(), run, b); err != nil {
		t.Fatal(err)
	}
}

func TestPagesStayRightWhileRunsCome(t *testing.T) {
	w := in(t, open(t), "neurology")
	var want []string
	for range 20 {
		want = append([]string{newRun(t, w, "0").ID}, want...)
	}
	q := Query{Experiments: []string{"0"}, Limit: 7}
	var got []string
	for {
		runs, next, err := w.SearchRuns(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			got = append(got, run.ID)
		}
		if next == "" {
			break
		}
		q.Token = next
		newRun(t, w, "0")
		if err := w.DeleteRun(t.Context(), runs[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTokensBelongToTheirQuery(t *testing.T) {
	w := in(t, open(t), "neurology")
	newRun(t, w, "0")
	newRun(t, w, "0")
	_, next, err := w.SearchRuns(t.Context(), Query{Experiments: []string{"0"}, Limit: 1})
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	for _, q := range []Query{
		{Experiments: []string{"0"}, Token: next, Filter: "metrics.x > 1"}, {Experiments: []string{"0"}, Token: next, Order: []string{"metrics.x"}},
		{Experiments: []string{"0"}, Token: "?"}, {Experiments: []string{"0"}, Token: "e30="}, {Experiments: []string{"0"}, Token: next[:len(next)-8]},
	} {
		_, _, err := w.SearchRuns(t.Context(), q)
		wantKind(t, err, fault.Invalid)
	}
	for _, limit := range []int{-1, MaxSearchRuns + 1} {
		_, _, err := w.SearchRuns(t.Context(), Query{Experiments: []string{"0"}, Limit: limit})
		wantKind(t, err, fault.Invalid)
	}
}

func TestColumnsAreBounded(t *testing.T) {
	s := open(t)
	s.frames.limit = 100_000
	w := in(t, s, "neurology")
	for i := range 20 {
		e := must(w.CreateExperiment(t.Context(), fmt.Sprint("e", i), "", nil))(t)
		for range 30 {
			newRun(t, w, e)
		}
		if n := len(all(t, w, Query{Experiments: []string{e}, Filter: "tags.`mlflow.runName` LIKE '%-%'"})); n != 30 {
			t.Fatal(n)
		}
	}
	if n := len(s.frames.byID); n > 10 {
		t.Errorf("%d experiments are in memory", n)
	}
	var everywhere []string
	for i := range 21 {
		everywhere = append(everywhere, fmt.Sprint(i))
	}
	if n := len(all(t, w, Query{Experiments: everywhere, Limit: 100})); n != 600 {
		t.Errorf("%d runs in all experiments, want 600", n)
	}
}

func TestSearchSeesDeletedExperimentsOnlyWhenAsked(t *testing.T) {
	w := in(t, open(t), "neurology")
	e := must(w.CreateExperiment(t.Context(), "e", "", nil))(t)
	newRun(t, w, e)
	q := Query{Experiments: []string{e}}
	if n := len(all(t, w, q)); n != 1 {
		t.Fatal(n)
	}
	if err := w.DeleteExperiment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for view, want := range map[View]int{Active: 0, DeletedOnly: 1, All: 1} {
		q.View = view
		if n := len(all(t, w, q)); n != want {
			t.Errorf("view %d: %d runs, want %d", view, n, want)
		}
	}
	if err := w.RestoreExperiment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, w, Query{Experiments: []string{e}})); n != 1 {
		t.Error(n)
	}
}

// TestSearchSeesOwnWrites: a caller finds what was acknowledged to it, whatever others write, search and evict.
func TestSearchSeesOwnWrites(t *testing.T) {
	s := open(t)
	w := in(t, s, "neurology")
	second := must(w.CreateExperiment(t.Context(), "second", "", nil))(t)
	errs := make(chan error, 8)
	for n := range cap(errs) {
		go func() { errs <- writeAndFind(t.Context(), w, n, []string{"0", second}) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func writeAndFind(ctx context.Context, w *Workspace, n int, experiments []string) error {
	for i := range 25 {
		run, err := w.CreateRun(ctx, NewRun{Experiment: experiments[(n+i)%2]})
		if err != nil {
			return err
		}
		key := fmt.Sprint("m", i%4)
		if err := w.LogBatch(ctx, run.ID, Batch{Metrics: []Metric{{Key: key, Value: float64(n)}}, Tags: []Tag{{"t", key}}}); err != nil {
			return err
		}
		if n == 0 && i%5 == 0 {
			w.store.frames.dropAll()
		}
		found, _, err := w.SearchRuns(ctx, Query{Experiments: experiments,
			Filter: fmt.Sprintf("run_id IN ('%s') and metrics.%s = %d and tags.t = '%s'", run.ID, key, n, key), Order: []string{"metrics." + key}})
		if err != nil || len(found) != 1 || found[0].ID != run.ID {
			return fmt.Errorf("writer %d, round %d: found %d runs, %v", n, i, len(found), err)
		}
		if err := w.DeleteRun(ctx, run.ID); err != nil {
			return err
		}
		found, _, err = w.SearchRuns(ctx, Query{Experiments: experiments, Filter: "run_id IN ('" + run.ID + "')"})
		if err != nil || len(found) != 0 {
			return fmt.Errorf("writer %d, round %d: found a deleted run, %v", n, i, err)
		}
	}
	return nil
}
