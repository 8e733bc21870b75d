// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const gi = 1 << 30

func run(id, workspace string, ranks int, cpu int64) Run {
	return Run{ID: id, Name: id, Workspace: workspace, Ranks: ranks, PerRank: Resources{CPU: cpu, Memory: gi}, Since: start}
}

func nodes(cpu ...int64) []Node {
	var out []Node
	for i, c := range cpu {
		out = append(out, Node{Name: fmt.Sprint("n", i), Allocatable: Resources{CPU: c, Memory: 64 * gi}})
	}
	return out
}

func admitted(decisions []Decision) string {
	var ids []string
	for _, d := range decisions {
		if d.Admit {
			ids = append(ids, d.ID)
		}
	}
	return strings.Join(ids, " ")
}

func TestAdmit(t *testing.T) {
	later := func(r Run, d time.Duration) Run { r.Since = r.Since.Add(d); return r }
	important := func(r Run, p int32) Run { r.Priority = p; return r }
	tests := []struct {
		name        string
		state       State
		want        string
		wantMessage string // of the first run that waits
	}{
		{"all fit", State{Waiting: []Run{run("a", "w", 1, 1000), run("b", "w", 1, 1000)}, Nodes: nodes(2000)}, "a b", ""},
		{"gang or nothing", State{Waiting: []Run{run("a", "w", 3, 1000)}, Running: []Run{run("r", "w", 1, 1000)}, Nodes: nodes(3000)},
			"", "waits for 3 cpu and 3Gi memory: the nodes have 2 cpu and 63Gi memory left"},
		{"ranks are not split", State{Waiting: []Run{run("a", "w", 2, 1500)}, Nodes: nodes(2000, 1000)}, "",
			"asks for 3 cpu and 2Gi memory, more than all nodes have (3 cpu and 128Gi memory); lower resources or workers, or add nodes"},
		{"gang over two nodes", State{Waiting: []Run{run("a", "w", 3, 1000)}, Nodes: nodes(2000, 1000)}, "a", ""},
		{"quota", State{Waiting: []Run{run("a", "w", 2, 1000)}, Running: []Run{run("r", "w", 7, 1000)}, Nodes: nodes(64000),
			Workspaces: []Workspace{{Name: "w", Quota: Resources{CPU: 8000}}}}, "",
			"waits for 2 cpu: workspace w uses 7 of its quota of 8 (r)"},
		{"above quota for ever", State{Waiting: []Run{run("a", "w", 9, 1000)}, Nodes: nodes(64000),
			Workspaces: []Workspace{{Name: "w", Quota: Resources{CPU: 8000}}}}, "",
			"asks for 9 cpu, more than the quota of workspace w (8); lower resources or workers, or raise spec.quota.cpu"},
		{"endpoints count", State{Waiting: []Run{run("a", "w", 1, 1000)}, Nodes: nodes(64000),
			Workspaces: []Workspace{{Name: "w", Quota: Resources{Memory: 2 * gi}, Other: Resources{Memory: 2 * gi}}}}, "",
			"waits for 1Gi memory: workspace w uses 2Gi of its quota of 2Gi (endpoints)"},
		{"no node", State{Waiting: []Run{run("a", "w", 1, 1000)}}, "", "waits for a node that is ready"},
		{"first come", State{Waiting: []Run{later(run("a", "w", 1, 1000), 1), run("b", "w", 1, 1000)}, Nodes: nodes(1000)}, "b",
			"waits for 1 cpu and 1Gi memory: the nodes have 0 cpu and 63Gi memory left"},
		{"priority", State{Waiting: []Run{run("a", "w", 1, 1000), important(later(run("b", "w", 1, 1000), 1), 1)}, Nodes: nodes(1000)}, "b",
			"waits for 1 cpu and 1Gi memory: the nodes have 0 cpu and 63Gi memory left"},
		{"fair between workspaces", State{Waiting: []Run{run("a1", "a", 1, 1000), run("a2", "a", 1, 1000), run("b1", "b", 1, 1000)},
			Nodes: nodes(2000)}, "a1 b1", "waits for 1 cpu and 1Gi memory: the nodes have 0 cpu and 62Gi memory left"},
		{"priority of workspaces", State{Waiting: []Run{run("a1", "a", 1, 1000), run("b1", "b", 1, 1000)}, Nodes: nodes(1000),
			Workspaces: []Workspace{{Name: "b", Priority: 1}}}, "b1", "waits for 1 cpu and 1Gi memory: the nodes have 0 cpu and 63Gi memory left"},
		{"a small one overtakes", State{Waiting: []Run{run("a", "w", 4, 1000), later(run("b", "w", 1, 1000), 1)}, Now: start.Add(time.Minute),
			Running: []Run{run("r", "w", 1, 1000)}, Nodes: nodes(4000)}, "b", "waits for 4 cpu and 4Gi memory: the nodes have 3 cpu and 63Gi memory left"},
		{"but not for ever", State{Waiting: []Run{run("a", "w", 4, 1000), later(run("b", "x", 1, 1000), 1)}, Now: start.Add(time.Hour),
			Running: []Run{run("r", "x", 1, 1000)}, Nodes: nodes(4000)}, "", "waits for 4 cpu and 4Gi memory: the nodes have 3 cpu and 63Gi memory left"},
		{"what cannot run blocks nobody", State{Waiting: []Run{run("a", "w", 5, 1000), later(run("b", "w", 1, 1000), 1)}, Now: start.Add(time.Hour),
			Nodes: nodes(4000)}, "b", "asks for 5 cpu and 5Gi memory, more than all nodes have (4 cpu and 64Gi memory); lower resources or workers, or add nodes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			decisions := Admit(tt.state)
			if got := admitted(decisions); got != tt.want {
				t.Errorf("admitted %q, want %q", got, tt.want)
			}
			i := slices.IndexFunc(decisions, func(d Decision) bool { return !d.Admit })
			if message := func() string {
				if i < 0 {
					return ""
				}
				return decisions[i].Message
			}(); message != tt.wantMessage {
				t.Errorf("message %q, want %q", message, tt.wantMessage)
			}
		})
	}
}

func TestPreempt(t *testing.T) {
	high := run("high", "w", 2, 1000)
	high.Priority = 5
	old, young := run("old", "w", 1, 1000), run("young", "w", 1, 1000)
	young.Since = start.Add(time.Hour)
	foreign := run("foreign", "x", 1, 1000)
	state := State{Waiting: []Run{high}, Running: []Run{old, young, foreign}, Nodes: nodes(4000), Preempt: true}
	if got := Admit(state)[0].Preempt; !slices.Equal(got, []string{"young"}) {
		t.Errorf("stops %v, want the youngest alone", got)
	}
	state.Nodes = nodes(3000)
	if got := Admit(state)[0].Preempt; !slices.Equal(got, []string{"young", "old"}) {
		t.Errorf("stops %v", got)
	}
	state.Waiting[0].Ranks = 3 // would need the other workspace's too
	if got := Admit(state)[0].Preempt; got != nil {
		t.Errorf("stops %v though that is not enough", got)
	}
}

// simulate plays random arrivals and ends, and checks every invariant after every step.
func TestInvariants(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := State{Nodes: nodes(4000, 8000), Now: start, Workspaces: []Workspace{
			{Name: "w0", Quota: Resources{CPU: 6000, Memory: 20 * gi}}, {Name: "w1"}, {Name: "w2", Quota: Resources{CPU: 9000}}}}
		waitedFor := map[string]int{}
		for step := range 400 {
			if step < 250 {
				for range r.IntN(3) {
					n := run(fmt.Sprintf("%d-%d-%d", seed, step, r.Uint32()), fmt.Sprint("w", r.IntN(3)), 1+r.IntN(6), 500*int64(1+r.IntN(2)))
					n.Since = s.Now
					s.Waiting = append(s.Waiting, n)
				}
			}
			for _, d := range Admit(s) {
				i := slices.IndexFunc(s.Waiting, func(w Run) bool { return w.ID == d.ID })
				if !d.Admit {
					waitedFor[d.ID]++
					if d.Message == "" {
						t.Fatal("waits without a reason")
					}
					continue
				}
				n := s.Waiting[i]
				s.Waiting = slices.Delete(s.Waiting, i, i+1)
				place(t, &s, &n)
				s.Running = append(s.Running, n)
			}
			check(t, s)
			s.Running = slices.DeleteFunc(s.Running, func(Run) bool { return r.IntN(4) == 0 })
			s.Now = s.Now.Add(time.Minute)
		}
		if len(s.Waiting) > 0 {
			t.Errorf("seed %d: %d runs never started, first %+v", seed, len(s.Waiting), s.Waiting[0])
		}
	}
}

// place does what a scheduler does: every rank must find room.
func place(t *testing.T, s *State, n *Run) {
	t.Helper()
	n.Placed = map[string]int{}
	for range n.Ranks {
		found := false
		for _, node := range s.Nodes {
			free := node.Allocatable
			for _, r := range append(slices.Clone(s.Running), *n) {
				free = free.minus(r.PerRank.times(r.Placed[node.Name]))
			}
			if fits(free, n.PerRank) > 0 {
				n.Placed[node.Name]++
				found = true
				break
			}
		}
		if !found {
			t.Fatalf("the gang %s was admitted without room for all ranks", n.ID)
		}
	}
}

func check(t *testing.T, s State) {
	t.Helper()
	used := map[string]Resources{}
	for _, r := range s.Running {
		used[r.Workspace] = used[r.Workspace].plus(r.total())
	}
	for _, w := range s.Workspaces {
		if u := used[w.Name]; w.Quota.CPU > 0 && u.CPU > w.Quota.CPU || w.Quota.Memory > 0 && u.Memory > w.Quota.Memory {
			t.Fatalf("workspace %s uses %+v of %+v", w.Name, u, w.Quota)
		}
	}
}

// A gang that needs everything starts although small runs keep coming.
func TestNoStarvation(t *testing.T) {
	s := State{Nodes: nodes(4000), Now: start}
	big := run("big", "w", 4, 1000)
	s.Waiting = []Run{big}
	for i := range 4 {
		s.Running = append(s.Running, run(fmt.Sprint("r", i), "w", 1, 1000))
	}
	for minute := range 60 {
		s.Now = start.Add(time.Duration(minute) * time.Minute)
		small := run(fmt.Sprint("s", minute), fmt.Sprint("x", minute%2), 1, 1000)
		small.Since = s.Now
		s.Waiting = append(s.Waiting, small)
		s.Running = s.Running[min(1, len(s.Running)):]
		for _, d := range Admit(s) {
			if !d.Admit {
				continue
			}
			if d.ID == "big" {
				return
			}
			i := slices.IndexFunc(s.Waiting, func(w Run) bool { return w.ID == d.ID })
			s.Running = append(s.Running, s.Waiting[i])
			s.Waiting = slices.Delete(s.Waiting, i, i+1)
		}
	}
	t.Error("the gang starved for an hour")
}

func BenchmarkAdmit2000(b *testing.B) {
	s := State{Now: start.Add(time.Minute)}
	for i := range 200 {
		s.Nodes = append(s.Nodes, Node{Name: fmt.Sprint("n", i), Allocatable: Resources{CPU: 8000, Memory: 64 * gi}})
	}
	for i := range 2000 {
		n := run(fmt.Sprint("r", i), fmt.Sprint("w", i%50), 1+i%4, 1000)
		if n.Since = start.Add(time.Duration(i)); i%2 == 0 {
			s.Waiting = append(s.Waiting, n)
		} else {
			s.Running = append(s.Running, n)
		}
	}
	for b.Loop() {
		Admit(s)
	}
	b.ReportMetric(float64(len(s.Waiting)*b.N)/b.Elapsed().Seconds(), "decisions/s")
}
