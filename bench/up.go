// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"
)

const (
	settle = 3 * time.Second  // after ready, before memory is read
	idle   = 10 * time.Second // over which idle CPU is measured
)

// measureUp starts Fathom on an empty directory and again on the same one.
func measureUp(ctx context.Context, b *bench) ([]figure, error) {
	cold := figure{what: "empty directory to ready", unit: "s", aim: "≤ 1.5 s for the API alone"}
	warm := figure{what: "restart to ready", unit: "s"}
	resident := figure{what: "resident memory when ready (control plane, node, lake, doors)", unit: "MB", aim: "≤ 300 MB"}
	anonymous := figure{what: "of it not backed by files", unit: "MB"}
	burn := figure{what: "CPU when idle", unit: "% of a core", aim: "≤ 5 %"}
	for range b.rounds {
		state, err := b.fresh("up")
		if err != nil {
			return nil, err
		}
		state = filepath.Join(state, "state")
		p, took, err := b.up(ctx, state)
		if err != nil {
			return nil, err
		}
		cold.values = append(cold.values, took.Seconds())
		rss, anon, share, err := atRest(ctx, p)
		if err = errors.Join(err, p.stop()); err != nil {
			return nil, err
		}
		resident.values, anonymous.values = append(resident.values, rss), append(anonymous.values, anon)
		burn.values = append(burn.values, share)
		if p, took, err = b.up(ctx, state); err != nil {
			return nil, err
		}
		warm.values = append(warm.values, took.Seconds())
		if err := p.stop(); err != nil {
			return nil, err
		}
		b.say("up: %.1f s, again %.1f s, %.0f MB", cold.values[len(cold.values)-1], took.Seconds(), rss)
	}
	return []figure{cold, warm, resident, anonymous, burn}, nil
}

// atRest reads memory (MB) and CPU (percent of a core) of a Fathom that has nothing to do.
func atRest(ctx context.Context, p *platform) (resident, anonymous, share float64, err error) {
	pid := p.server.Process.Pid
	if err := pause(ctx, settle); err != nil {
		return 0, 0, 0, err
	}
	if resident, anonymous, err = memoryOf(pid); err != nil {
		return 0, 0, 0, err
	}
	before, _, err := cpuOf(pid)
	if err != nil {
		return 0, 0, 0, err
	}
	begin := time.Now()
	if err := pause(ctx, idle); err != nil {
		return 0, 0, 0, err
	}
	after, _, err := cpuOf(pid)
	return resident, anonymous, 100 * (after - before).Seconds() / time.Since(begin).Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
