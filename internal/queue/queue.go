// SPDX-License-Identifier: Apache-2.0

// Package queue decides which waiting runs may start now.
//
// [Admit] is a pure function of what waits, what runs, the workspaces' quotas and the nodes' room. It admits whole gangs
// or nothing. Between workspaces, higher priority goes first, then the smaller dominant share (the larger of a
// workspace's parts of all CPU and of all memory; Ghodsi et al., "Dominant Resource Fairness", NSDI 2011). Within a
// workspace, higher priority goes first, then who waited longer. A smaller run may overtake a gang that does not fit,
// but only until the gang has waited for State.Patience: from then on what gets free is kept for it, so nobody starves.
package queue

import "time"

// Resources is an amount of CPU in thousandths of a core and memory in bytes.
type Resources struct {
	CPU, Memory int64
}

func (r Resources) plus(o Resources) Resources  { return Resources{r.CPU + o.CPU, r.Memory + o.Memory} }
func (r Resources) minus(o Resources) Resources { return Resources{r.CPU - o.CPU, r.Memory - o.Memory} }
func (r Resources) times(n int) Resources       { return Resources{r.CPU * int64(n), r.Memory * int64(n)} }

// Run is a gang: Ranks equal parts.
type Run struct {
	ID        string // unique
	Name      string // for messages
	Workspace string
	Ranks     int // at least 1
	PerRank   Resources
	Priority  int32 // within the workspace; higher first
	// Since is when a waiting run began to wait, or when a running one started.
	Since time.Time
	// Placed counts a running run's ranks by node. Ranks that are on no node yet are given room in the model.
	Placed map[string]int
}

func (r Run) total() Resources { return r.PerRank.times(r.Ranks) }

// Workspace bounds and orders a tenant's runs.
type Workspace struct {
	Name     string
	Quota    Resources // zero in a resource means no bound
	Other    Resources // what the workspace holds besides runs, for example endpoints
	Priority int32     // higher first
}

// Node is a machine.
type Node struct {
	Name        string
	Allocatable Resources
	Other       Resources // what pods that are not runs' hold
}

// State is everything that a decision depends on.
type State struct {
	Waiting, Running []Run
	Workspaces       []Workspace // one that is not listed has no quota
	Nodes            []Node
	Now              time.Time
	// Patience is how long a gang may be overtaken. Default: 5 minutes.
	Patience time.Duration
	// Preempt lets a run stop others of lower priority.
	Preempt bool
}

// Decision says whether a waiting run starts, and why not.
type Decision struct {
	ID    string
	Admit bool
	// Message tells what a run that waits is waiting for; empty when it is admitted.
	Message string
	// Preempt are the runs to stop first; the run is admitted once they are gone.
	Preempt []string
}
