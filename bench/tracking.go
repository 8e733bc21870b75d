// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

const (
	batchSize   = 1000 // metrics, the most that MLflow's protocol allows
	batchRounds = 5    // batches a round, of which the middle counts
	metricLoad  = 64   // connections that log single metrics
	manyRuns    = 100_000
	bestRuns    = 100

	searchPatience = 90 * time.Second // with a peer that joins tables
)

// measureTracking logs batches and single metrics through the MLflow door (TLS, identity, authorization; an answer means
// synced to disk) and to servers that speak the same protocol (plain HTTP, nobody is asked who they are), and searches.
func measureTracking(ctx context.Context, b *bench) (figures []figure, err error) {
	p, err := b.plain(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := p.tracker(ctx)
	if err != nil {
		return nil, err
	}
	peers, missing := b.trackers(ctx)
	defer func() {
		for _, t := range peers {
			err = errors.Join(err, t.close())
		}
	}()
	for _, m := range missing {
		b.say("tracking: SKIPPED, %v", m)
		figures = append(figures, figure{what: "SKIPPED: " + m.Error()})
	}
	for _, t := range append([]*tracker{ours}, peers...) {
		if err := t.begin(ctx); err != nil {
			return figures, err
		}
		if _, err := t.log(ctx); err != nil { // warms up
			return figures, err
		}
	}
	for _, t := range peers {
		f, err := b.besideTracker(ctx, ours, t)
		figures = append(figures, f...)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	f, err := b.search(ctx, ours, peers)
	return append(figures, f...), err
}

// besideTracker measures writes beside one peer.
func (b *bench) besideTracker(ctx context.Context, ours, peer *tracker) ([]figure, error) {
	batch := figure{what: "log_batch of 1000 metrics, one client", unit: "metrics/s", more: true, peer: peer.name, aim: "≥ 100k/s, ≥ 10×",
		note: "ours: TLS, identity, synced to disk"}
	single := figure{what: fmt.Sprintf("log_metric, c=%d", metricLoad), unit: "/s", more: true, peer: peer.name, aim: "≥ 15k/s", note: peer.note}
	measure := func(t *tracker, batches, singles *[]float64) func() error {
		return func() error {
			rate, err := t.log(ctx)
			if err != nil {
				return err
			}
			*batches = append(*batches, rate)
			l, err := t.metrics(t.host).load(ctx, metricLoad, loadLength)
			*singles = append(*singles, l.rate)
			return err
		}
	}
	err := alternate(b.rounds, measure(ours, &batch.values, &single.values), measure(peer, &batch.peers, &single.peers))
	b.say("tracking: %s: batches %.1f, single metrics %.1f times better", peer.name, batch.ratio(), single.ratio())
	return []figure{batch, single}, err
}

// search finds the best of many runs, here and on the MLflow server on SQLite, whose database is filled directly.
func (b *bench) search(ctx context.Context, ours *tracker, peers []*tracker) ([]figure, error) {
	i := slices.IndexFunc(peers, func(t *tracker) bool { return t.fill != nil })
	if i < 0 {
		return nil, nil
	}
	peer := peers[i]
	f := figure{what: "search: best 100 of 100,000 runs by a metric, of those with a parameter", unit: "ms", peer: peer.name, aim: "≤ 50 ms, ≥ 200×"}
	begin := time.Now()
	if err := ours.logRuns(ctx, manyRuns); err != nil {
		return nil, err
	}
	f.note = fmt.Sprintf("logged through the door at %.0f runs/s", manyRuns/time.Since(begin).Seconds())
	if err := peer.fillRuns(ctx, manyRuns); err != nil {
		return nil, err
	}
	began := time.Now()
	want, err := ours.best(ctx) // the first search reads the columns
	if err != nil {
		return nil, err
	}
	f.note += fmt.Sprintf("; the first search took %.0f ms", time.Since(began).Seconds()*1e3)
	peer.client.Timeout = searchPatience
	began = time.Now()
	switch got, err := peer.best(ctx); {
	case isTimeout(err):
		f.note += fmt.Sprintf("; %s did not answer in %s", peer.name, searchPatience)
		f.peer, peer = "", nil
	case err != nil:
		return nil, err
	case len(want) != bestRuns || !slices.Equal(got, want):
		return nil, fmt.Errorf("the searches do not agree: %v, %v", want, got)
	}
	often := time.Since(began) < time.Second
	err = alternate(b.rounds, ours.searching(ctx, true, &f.values), peer.searching(ctx, often, &f.peers))
	return []figure{f}, err
}

// searching is one round of searches; of a peer that is not there it is none.
func (t *tracker) searching(ctx context.Context, often bool, values *[]float64) func() error {
	return func() error {
		if t == nil {
			return nil
		}
		var took []float64
		for len(took) == 0 || often && len(took) < batchRounds {
			began := time.Now()
			if _, err := t.best(ctx); err != nil {
				return err
			}
			took = append(took, time.Since(began).Seconds()*1e3)
		}
		*values = append(*values, median(took))
		return nil
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
