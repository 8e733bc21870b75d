// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"sort"
	"strings"
)

// Graph says what each node reads directly. Nodes are "kind/name"; a node that is read need not be a key.
type Graph map[string][]string

// Cycle returns the nodes of a cycle that node is part of, beginning and ending with it; nil when there is none.
func (g Graph) Cycle(node string) []string {
	seen := map[string]bool{}
	var walk func(at string, path []string) []string
	walk = func(at string, path []string) []string {
		for _, next := range g[at] {
			if next == node {
				return append(append([]string{}, path...), next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := walk(next, append(path, next)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(node, []string{node})
}

// CycleMessage tells a cycle to people; "" for nil.
func CycleMessage(cycle []string) string {
	if len(cycle) == 0 {
		return ""
	}
	return "it depends on itself: " + strings.Join(cycle, " → ") + "; remove one of these references"
}

// Order lists all nodes so that each stands behind what it reads. Nodes of a cycle come last, by name.
func (g Graph) Order() []string {
	all := map[string]bool{}
	for node, reads := range g {
		all[node] = true
		for _, r := range reads {
			all[r] = true
		}
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	done, out := map[string]bool{}, make([]string, 0, len(names))
	for progressed := true; progressed; {
		progressed = false
		for _, n := range names {
			if done[n] || !g.readsDone(n, done) {
				continue
			}
			done[n], progressed = true, true
			out = append(out, n)
		}
	}
	for _, n := range names {
		if !done[n] {
			out = append(out, n)
		}
	}
	return out
}

func (g Graph) readsDone(node string, done map[string]bool) bool {
	for _, r := range g[node] {
		if !done[r] {
			return false
		}
	}
	return true
}
