// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"fathom.dev/fathom/internal/plan"
)

// rails draws a graph beside its nodes, which are given in an order where everything stands below what it reads. Each
// node is a dot; a line leads from it down to every node that reads it. All texts are equally wide.
//
//	●      consents
//	├─●    voice       reads consents
//	╰─│─●  scans       reads consents, past voice
//	  ●─╯  cohort      reads voice and scans
func rails(order []string, reads plan.Graph) []string {
	left := map[string]int{} // readers that are still to come
	for _, node := range order {
		for _, in := range reads[node] {
			left[in]++
		}
	}
	var lanes []string // whose line runs in each column; "" is free
	out := make([]string, len(order))
	for i, node := range order {
		inputs, ended := leading(lanes, reads[node], left)
		at := slices.Index(ended, true)
		if at < 0 {
			at = slices.Index(lanes, "")
		}
		if at < 0 {
			at = len(lanes)
		}
		for len(lanes) <= at {
			lanes, inputs, ended = append(lanes, ""), append(inputs, false), append(ended, false)
		}
		out[i] = railsRow(lanes, inputs, ended, at)
		for c := range lanes {
			if ended[c] {
				lanes[c] = ""
			}
		}
		if left[node] > 0 {
			lanes[at] = node
		}
	}
	return padded(out)
}

// leading says which lanes lead to a node that reads these, and which of them end there.
func leading(lanes, reads []string, left map[string]int) (inputs, ended []bool) {
	inputs, ended = make([]bool, len(lanes)), make([]bool, len(lanes))
	for c, lane := range lanes {
		if lane == "" || !slices.Contains(reads, lane) {
			continue
		}
		for _, in := range reads {
			if in == lane {
				left[lane]--
			}
		}
		inputs[c], ended[c] = true, left[lane] == 0
	}
	return inputs, ended
}

// railsRow draws one line: the node in its column, and what leads to it from the left and the right.
func railsRow(lanes []string, inputs, ended []bool, at int) string {
	first, last := at, at
	for c, in := range inputs {
		if in {
			first, last = min(first, c), max(last, c)
		}
	}
	var b strings.Builder
	for c := range lanes {
		switch {
		case c == at:
			b.WriteString("●")
		case inputs[c]:
			b.WriteString(joint(ended[c], c > first, c < last))
		case lanes[c] != "":
			b.WriteString("│")
		case c > first && c < last:
			b.WriteString("─")
		default:
			b.WriteString(" ")
		}
		if c >= first && c < last {
			b.WriteString("─")
		} else {
			b.WriteString(" ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// joint is where a line meets the way to a node: it ends there or goes on, and there is more to its left and right.
func joint(ends, left, right bool) string {
	switch {
	case ends && left && right:
		return "┴"
	case ends && left:
		return "╯"
	case ends:
		return "╰"
	case left && right:
		return "┼"
	case left:
		return "┤"
	}
	return "├"
}

// padded makes all texts as wide as the widest.
func padded(texts []string) []string {
	widest := 0
	for _, t := range texts {
		widest = max(widest, len([]rune(t)))
	}
	for i, t := range texts {
		texts[i] = t + strings.Repeat(" ", widest-len([]rune(t)))
	}
	return texts
}
