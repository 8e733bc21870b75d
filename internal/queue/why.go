// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// obstacle is why a run cannot start now.
type obstacle struct {
	message string
	quota   bool // the workspace's quota, not the nodes' room
	curable bool // it goes away when others finish
}

// obstacle finds the first reason against a run; nil when it may start.
func (m *model) obstacle(t *tenant, run Run) *obstacle {
	if o := t.overQuota(run); o != nil {
		return o
	}
	if t.reserved != nil {
		return &obstacle{message: fmt.Sprintf("waits behind run %s, which has waited longer for the workspace's quota", t.reserved.Name)}
	}
	if o := m.noRoom(run); o != nil {
		return o
	}
	if m.reserved != nil {
		return &obstacle{message: fmt.Sprintf("waits behind run %s, which has waited longer for room", m.reserved.Name)}
	}
	return nil
}

func (t *tenant) overQuota(run Run) *obstacle {
	want, name := run.total(), t.Name
	for _, r := range []struct {
		what              string
		want, used, quota int64
		show              func(int64) string
	}{
		{"cpu", want.CPU, t.used.CPU, t.Quota.CPU, cores},
		{"memory", want.Memory, t.used.Memory, t.Quota.Memory, bytes},
	} {
		switch {
		case r.quota <= 0 || r.want == 0 || r.used+r.want <= r.quota:
		case r.want > r.quota:
			return &obstacle{quota: true, message: fmt.Sprintf("asks for %s %s, more than the quota of workspace %s (%s); lower resources or workers, or raise spec.quota.%s",
				r.show(r.want), r.what, name, r.show(r.quota), r.what)}
		default:
			return &obstacle{quota: true, curable: true, message: fmt.Sprintf("waits for %s %s: workspace %s uses %s of its quota of %s%s",
				r.show(r.want), r.what, name, r.show(r.used), r.show(r.quota), t.users())}
		}
	}
	return nil
}

// users names what holds the quota, the largest first, at most three.
func (t *tenant) users() string {
	runs := slices.Clone(t.running)
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(cmp.Compare(b.total().CPU, a.total().CPU), cmp.Compare(a.ID, b.ID))
	})
	var names []string
	for _, r := range runs[:min(3, len(runs))] {
		names = append(names, r.Name)
	}
	if len(runs) > 3 {
		names = append(names, fmt.Sprintf("%d more", len(runs)-3))
	}
	if t.Other != (Resources{}) {
		names = append(names, "endpoints")
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func (m *model) noRoom(run Run) *obstacle {
	now, ever := 0, 0
	var free Resources
	for _, n := range m.nodes {
		now += n.fits(run.PerRank)
		ever += fits(n.Allocatable, run.PerRank)
		free = free.plus(Resources{max(n.free.CPU, 0), max(n.free.Memory, 0)})
	}
	want := amount(run.total())
	switch {
	case now >= run.Ranks:
		return nil
	case len(m.nodes) == 0:
		return &obstacle{message: "waits for a node that is ready", curable: true}
	case ever < run.Ranks:
		return &obstacle{message: fmt.Sprintf("asks for %s, more than all nodes have (%s); lower resources or workers, or add nodes", want, amount(m.total))}
	}
	return &obstacle{curable: true, message: fmt.Sprintf("waits for %s: the nodes have %s left", want, amount(free))}
}

func amount(r Resources) string { return cores(r.CPU) + " cpu and " + bytes(r.Memory) + " memory" }

func cores(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

func bytes(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"Gi", 1 << 30}, {"Mi", 1 << 20}} {
		if n >= unit.size || n <= -unit.size {
			return strconv.FormatFloat(float64(n*10/unit.size)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// victims are the fewest running runs of lower priority, lowest and youngest first, whose end would let the run start;
// nil when not even all of them would do. Only runs of the same workspace, or of workspaces of lower priority, count.
func (m *model) victims(t *tenant, run Run) []string {
	type candidate struct {
		Run
		rank int32 // of its workspace
	}
	var lower []candidate
	for _, other := range m.order {
		for _, r := range other.running {
			if other.Priority < t.Priority || other == t && r.Priority < run.Priority {
				lower = append(lower, candidate{r, other.Priority})
			}
		}
	}
	slices.SortFunc(lower, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Priority, b.Priority), b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	var stopped []string
	rest := m.state
	rest.Waiting, rest.Preempt = []Run{run}, false
	for _, c := range lower {
		rest.Running = slices.DeleteFunc(slices.Clone(rest.Running), func(r Run) bool { return r.ID == c.ID })
		stopped = append(stopped, c.ID)
		if Admit(rest)[0].Admit {
			return stopped
		}
	}
	return nil
}
