// SPDX-License-Identifier: Apache-2.0

package chart

import "fmt"

// Series is a named row of points.
type Series struct {
	Name   string
	Points []Point
}

// Point is a value at a place; Label tells more when it is pointed at.
type Point struct {
	X, Y  float64
	Label string
}

// Lines joins the points of each series in their order. With moments x values are [Seconds].
func Lines(l Labels, all []Series, moments bool) SVG {
	p, names := pointPlot(&l, all, moments)
	dashes := []string{"", ` stroke-dasharray="7 3"`, ` stroke-dasharray="2 3"`, ` stroke-dasharray="9 3 2 3"`}
	for i, s := range all {
		var path []point
		for _, q := range s.Points {
			if finite(q.X) && finite(q.Y) {
				path = append(path, point{p.x.at(q.X), p.y.at(q.Y)})
			}
		}
		p.path(series(i)+" l", dashes[i%len(dashes)], path)
		if len(path) <= 60 {
			p.points(i, s, names, 3, "b")
		}
	}
	return p.done(l, 620)
}

// Scatter draws each point alone. With moments x values are [Seconds].
func Scatter(l Labels, all []Series, moments bool) SVG {
	p, names := pointPlot(&l, all, moments)
	for i, s := range all {
		p.points(i, s, names, 3.4, "p")
	}
	return p.done(l, 620)
}

// Agreement is a scatter of predicted against true values with the line on which both agree.
func Agreement(l Labels, points []Point) SVG {
	all := []Series{{Points: points}}
	low, high, ok := span(append(xs(all), ys(all)...))
	if !ok {
		low, high = 0, 1
	}
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d points between %s and %s, and the line on which both values are equal.", len(points), Number(low), Number(high))
	}
	a := fitted(low, high, 6)
	p := newPlot(l, a, a, nil, narrow, square)
	p.line("r", p.left, p.bottom, p.right, p.top)
	p.points(0, all[0], nil, 3, "p")
	return p.done(l, 440)
}

func pointPlot(l *Labels, all []Series, moments bool) (*plot, []string) {
	var names []string
	count := 0
	for _, s := range all {
		names = append(names, s.Name)
		count += len(s.Points)
	}
	lowX, highX, okX := span(xs(all))
	lowY, highY, okY := span(ys(all))
	if !okX || !okY {
		lowX, highX, lowY, highY, moments = 0, 1, 0, 1, false
	}
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d points in %d series; values from %s to %s.", count, len(all), Number(lowY), Number(highY))
	}
	x := fitted(lowX, highX, 6)
	if moments {
		x = times(lowX, highX)
	}
	return newPlot(*l, x, fitted(lowY, highY, 6), names, width, tall), names
}

func (p *plot) points(i int, s Series, names []string, r float64, class string) {
	for _, q := range s.Points {
		if !finite(q.X) || !finite(q.Y) {
			continue
		}
		title := q.Label
		if title == "" {
			title = Number(q.X) + ", " + Number(q.Y)
		}
		if len(names) > 1 {
			title = s.Name + ": " + title
		}
		p.mark(i, series(i)+" "+class, p.x.at(q.X), p.y.at(q.Y), r, title)
	}
}

func xs(all []Series) (out []float64) {
	for _, s := range all {
		for _, q := range s.Points {
			out = append(out, q.X)
		}
	}
	return out
}

func ys(all []Series) (out []float64) {
	for _, s := range all {
		for _, q := range s.Points {
			out = append(out, q.Y)
		}
	}
	return out
}
