// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"cmp"
	"slices"
	"time"
)

const defaultPatience = 5 * time.Minute

// Admit decides on every waiting run. The decisions come in the order in which the runs were considered; the same
// state gives the same decisions.
func Admit(s State) []Decision {
	m := newModel(s)
	decisions := make([]Decision, 0, len(s.Waiting))
	for {
		t := m.next()
		if t == nil {
			return decisions
		}
		run := t.waiting[0]
		t.waiting = t.waiting[1:]
		decisions = append(decisions, m.decide(t, run))
	}
}

// model is the state while it is being changed by decisions.
type model struct {
	state   State
	tenants map[string]*tenant
	order   []*tenant // by name, so that ties end the same way
	nodes   []*node
	total   Resources // of all nodes
	// reserved is the gang that what gets free is kept for; nobody of the same or lower rank overtakes it.
	reserved *Run
}

type tenant struct {
	Workspace
	waiting  []Run
	running  []Run
	used     Resources
	reserved *Run // a gang for which the workspace's quota is kept
}

type node struct {
	Node
	free Resources
}

func newModel(s State) *model {
	if s.Patience == 0 {
		s.Patience = defaultPatience
	}
	m := &model{state: s, tenants: map[string]*tenant{}}
	for _, w := range s.Workspaces {
		m.tenants[w.Name] = &tenant{Workspace: w, used: w.Other}
	}
	for _, n := range s.Nodes {
		m.nodes = append(m.nodes, &node{Node: n, free: n.Allocatable.minus(n.Other)})
		m.total = m.total.plus(n.Allocatable)
	}
	slices.SortFunc(m.nodes, func(a, b *node) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range s.Running {
		t := m.tenant(r.Workspace)
		t.used, t.running = t.used.plus(r.total()), append(t.running, r)
		m.occupy(r)
	}
	for _, r := range s.Waiting {
		t := m.tenant(r.Workspace)
		t.waiting = append(t.waiting, r)
	}
	for _, t := range m.tenants {
		m.order = append(m.order, t)
		slices.SortFunc(t.waiting, before)
	}
	slices.SortFunc(m.order, func(a, b *tenant) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

func (m *model) tenant(name string) *tenant {
	t := m.tenants[name]
	if t == nil {
		t = &tenant{Workspace: Workspace{Name: name}}
		m.tenants[name] = t
	}
	return t
}

// before orders the runs of one workspace.
func before(a, b Run) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}

// next is the workspace whose turn it is; nil when nobody waits.
func (m *model) next() *tenant {
	var best *tenant
	var bestShare float64
	for _, t := range m.order {
		if len(t.waiting) == 0 {
			continue
		}
		share := m.share(t.used)
		if best == nil || t.Priority > best.Priority || t.Priority == best.Priority && share < bestShare {
			best, bestShare = t, share
		}
	}
	return best
}

// share is the dominant share.
func (m *model) share(r Resources) float64 {
	return max(part(r.CPU, m.total.CPU), part(r.Memory, m.total.Memory))
}

func part(amount, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return float64(amount) / float64(of)
}

// decide on one run and, if it starts, take its room.
func (m *model) decide(t *tenant, run Run) Decision {
	blocked := m.obstacle(t, run)
	if blocked == nil {
		t.used, t.running = t.used.plus(run.total()), append(t.running, run)
		m.occupy(run)
		return Decision{ID: run.ID, Admit: true}
	}
	d := Decision{ID: run.ID, Message: blocked.message}
	if m.state.Preempt && blocked.curable {
		d.Preempt = m.victims(t, run)
	}
	if blocked.curable && m.state.Now.Sub(run.Since) >= m.state.Patience {
		if blocked.quota && t.reserved == nil {
			t.reserved = &run
		} else if !blocked.quota && m.reserved == nil {
			m.reserved = &run
		}
	}
	return d
}

// occupy takes a run's room: on the nodes where its ranks are, and for the others wherever there is some.
func (m *model) occupy(run Run) {
	left := run.Ranks
	for _, n := range m.nodes {
		placed := run.Placed[n.Name]
		n.free = n.free.minus(run.PerRank.times(placed))
		left -= placed
	}
	for _, n := range m.nodes {
		here := min(left, n.fits(run.PerRank))
		n.free = n.free.minus(run.PerRank.times(here))
		left -= here
	}
}

// fits counts how many ranks find room on the node.
func (n *node) fits(r Resources) int { return fits(n.free, r) }

func fits(free, each Resources) int {
	const many = 1 << 30
	count := int64(many)
	if each.CPU > 0 {
		count = min(count, free.CPU/each.CPU)
	}
	if each.Memory > 0 {
		count = min(count, free.Memory/each.Memory)
	}
	return int(max(count, 0))
}
