// SPDX-License-Identifier: Apache-2.0

package chart

import "math"

// plot is a canvas with a plotting area between two axes.
type plot struct {
	canvas
	x, y                     scale
	left, right, top, bottom float64
}

// newPlot draws grid, ticks, axis titles and legend; slots without ticks (categories) are left to the caller.
func newPlot(l Labels, x, y axis, legend []string, width, height float64) *plot {
	p := &plot{canvas: canvas{width: width}, left: 14, right: width - 14}
	for _, t := range y.ticks {
		p.left = math.Max(p.left, textWidth(t.label)+10)
	}
	p.legend(legend)
	if l.Y != "" {
		p.top += 16
		p.label("a", 0, p.top-2, width, l.Y)
	}
	p.top += 10
	p.bottom = p.top + height
	p.canvas.height = p.bottom + 20
	p.x = scale{x.low, x.high, p.left, p.right}
	p.y = scale{y.low, y.high, p.bottom, p.top}
	for _, t := range y.ticks {
		at := p.y.at(t.value)
		p.line("g", p.left, at, p.right, at)
		p.text("t e v", p.left-6, at+4, t.label)
	}
	p.line("x", p.left, p.bottom, p.right, p.bottom)
	p.xTicks(x)
	if l.X != "" {
		p.canvas.height += 18
		p.label("a c", (p.left+p.right)/2, p.canvas.height-4, p.right-p.left, l.X)
	}
	return p
}

func (p *plot) xTicks(x axis) {
	for i, t := range x.ticks {
		at := p.x.at(t.value)
		p.line("x", at, p.bottom, at, p.bottom+4)
		class := "t c v"
		if half := textWidth(t.label) / 2; i == len(x.ticks)-1 && at+half > p.width {
			at, class = p.width, "t e v"
		}
		p.text(class, at, p.bottom+17, t.label)
	}
}

// legend names the series above the plot, in as many lines as it takes; one series needs none.
func (p *plot) legend(names []string) {
	if len(names) < 2 {
		return
	}
	x := 2.0
	p.top += 16
	for i, name := range names {
		name = cut(name, 160)
		if w := textWidth(name) + 30; x+w > p.width && x > 2 {
			x, p.top = 2, p.top+18
		}
		p.mark(i, series(i)+" b", x+6, p.top-4.5, 5, "")
		p.text("", x+16, p.top, name)
		x += textWidth(name) + 30
	}
	p.top += 4
}

// rows is a canvas with one line a row: names on the left, a plotting area, values on the right.
type rows struct {
	canvas
	x                        scale
	left, right, top, bottom float64
	step                     float64
}

// newRows makes room for names and values and draws the axis.
func newRows(l Labels, x axis, names, values []string, legend []string, step float64) *rows {
	p := plot{canvas: canvas{width: width}}
	p.legend(legend)
	r := &rows{canvas: p.canvas, top: p.top + 6, step: step, left: 20, right: width - 10}
	for _, n := range names {
		r.left = math.Max(r.left, math.Min(textWidth(n)+10, 165))
	}
	for _, v := range values {
		r.right = math.Min(r.right, width-textWidth(v)-10)
	}
	r.bottom = r.top + step*float64(len(names))
	r.canvas.height = r.bottom + 22
	r.x = scale{x.low, x.high, r.left, r.right}
	last := math.Inf(-1)
	for _, t := range x.ticks {
		at := r.x.at(t.value)
		r.line("g", at, r.top, at, r.bottom)
		if half := textWidth(t.label)/2 + 2; at-half > last { // ticks never run into each other
			r.text("t c v", at, r.bottom+16, t.label)
			last = at + half
		}
	}
	r.line("x", r.left, r.bottom, r.right, r.bottom)
	if l.X != "" {
		r.canvas.height += 18
		r.label("a c", (r.left+r.right)/2, r.canvas.height-4, r.right-r.left+120, l.X)
	}
	for i, n := range names {
		r.label("e", r.left-8, r.middle(i)+4, r.left-8, n)
	}
	for i, v := range values {
		r.text("v", r.right+8, r.middle(i)+4, v)
	}
	return r
}

func (r *rows) middle(i int) float64 { return r.top + (float64(i)+0.5)*r.step }
