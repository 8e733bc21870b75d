// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"math"
)

// Group is one category of a bar chart: a value for each series, NaN for none.
type Group struct {
	Name   string
	Values []float64
}

// Bars draws a bar for each series of each group, from zero; lying when the names or the groups are too many to stand.
func Bars(l Labels, names []string, groups []Group) SVG {
	var all []float64
	longest := 0.0
	for _, g := range groups {
		all = append(all, g.Values...)
		longest = math.Max(longest, textWidth(g.Name))
	}
	low, high, ok := span(append(all, 0))
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d groups of bars; values from %s to %s.", len(groups), Number(low), Number(high))
	}
	if !ok || len(groups) == 0 {
		low, high = 0, 1
	}
	if len(groups) > 0 && longest <= 420/float64(len(groups)) && len(groups)*max(1, len(names)) <= 40 {
		return standing(l, names, groups, numbers(low, high+(high-low)*0.07, 5)) // room for the topmost number
	}
	return lying(l, names, groups, numbers(low, high, 4))
}

func standing(l Labels, names []string, groups []Group, y axis) SVG {
	p := newPlot(l, axis{}, y, names, width, tall)
	slot := (p.right - p.left) / float64(len(groups))
	bar := math.Min(slot*0.78/float64(max(1, len(names))), 56)
	tell := bar >= 22
	for i, g := range groups {
		middle := p.left + (float64(i)+0.5)*slot
		p.text("c", middle, p.bottom+17, g.Name)
		for s, v := range g.Values {
			if !finite(v) {
				continue
			}
			x := middle + (float64(s)-float64(len(g.Values))/2)*bar
			top, bottom := p.y.at(math.Max(v, 0)), p.y.at(math.Min(v, 0))
			p.rect(series(s)+" b", x+1, top, bar-2, bottom-top, told(g.Name, names, s, v))
			if tell {
				p.text("t c v", x+bar/2, top-4, Number(v))
			}
		}
	}
	p.line("x", p.left, p.y.at(0), p.right, p.y.at(0))
	return p.done(l, 620)
}

func lying(l Labels, names []string, groups []Group, x axis) SVG {
	var labels []string
	for _, g := range groups {
		labels = append(labels, g.Name)
	}
	l.X, l.Y = l.Y, "" // the value axis lies now
	n := float64(max(1, len(names)))
	r := newRows(l, x, labels, nil, names, 8+14*n)
	for i, g := range groups {
		for s, v := range g.Values {
			if !finite(v) {
				continue
			}
			y := r.middle(i) + (float64(s)-n/2)*14
			from, to := r.x.at(math.Min(v, 0)), r.x.at(math.Max(v, 0))
			r.rect(series(s)+" b", from, y+1, to-from, 12, told(g.Name, names, s, v))
		}
	}
	return r.done(l, 620)
}

// told is what a mark says of itself.
func told(group string, names []string, s int, v float64) string {
	if len(names) > 1 && s < len(names) {
		group += ", " + names[s]
	}
	return group + ": " + Number(v)
}
