// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"hash/fnv"
	"html"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sizes of figures in their own units; a letter is 12.5 of them high. Square figures are narrow, so that two fit side by
// side.
const (
	width  = 480
	narrow = 360
	tall   = 230 // height of a plotting area
	square = 300 // height of a square one
)

const letter = 6.9 // mean width of a letter

// textWidth estimates; there is no font to measure.
func textWidth(s string) float64 { return float64(utf8.RuneCountInString(s)) * letter }

// canvas collects elements.
type canvas struct {
	width, height float64
	body          strings.Builder
}

// u is a coordinate: one decimal is a tenth of a pixel.
func u(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64) }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.body, `<path class="%s" d="M%s %sL%s %s"/>`, class, u(x1), u(y1), u(x2), u(y2))
}

func (c *canvas) text(class string, x, y float64, s string) {
	fmt.Fprintf(&c.body, `<text class="%s" x="%s" y="%s">%s</text>`, class, u(x), u(y), html.EscapeString(s))
}

// label writes a text that is cut to a width; all of it stays in its title.
func (c *canvas) label(class string, x, y, room float64, s string) {
	short := cut(s, room)
	if short == s {
		c.text(class, x, y, s)
		return
	}
	fmt.Fprintf(&c.body, `<text class="%s" x="%s" y="%s">%s<title>%s</title></text>`,
		class, u(x), u(y), html.EscapeString(short), html.EscapeString(s))
}

func cut(s string, room float64) string {
	if textWidth(s) <= room {
		return s
	}
	n := max(1, int(room/letter)-1)
	runes := []rune(s)
	return strings.TrimRight(string(runes[:min(n, len(runes))]), " ") + "…"
}

func (c *canvas) rect(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(&c.body, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, u(x), u(y), u(math.Max(w, 0)), u(math.Max(h, 0)))
	c.close("rect", title)
}

// close ends an element, with the numbers of its mark.
func (c *canvas) close(element, title string) {
	if title == "" {
		c.body.WriteString("/>")
		return
	}
	fmt.Fprintf(&c.body, "><title>%s</title></%s>", html.EscapeString(title), element)
}

// path draws through points.
func (c *canvas) path(class, more string, points []point) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&c.body, `<path class="%s"%s d="`, class, more)
	for i, p := range points {
		c.body.WriteByte("ML"[min(i, 1)])
		c.body.WriteString(u(p.x) + " " + u(p.y))
	}
	c.body.WriteString(`"/>`)
}

type point struct{ x, y float64 }

// mark draws the shape of a series, so that colour is not all that tells it apart.
func (c *canvas) mark(series int, class string, x, y, r float64, title string) {
	switch series % 4 {
	case 0:
		fmt.Fprintf(&c.body, `<circle class="%s" cx="%s" cy="%s" r="%s"`, class, u(x), u(y), u(r))
		c.close("circle", title)
	case 1:
		fmt.Fprintf(&c.body, `<path class="%s" d="M%s %sl%s %sl%s %sl%s %sz"`, class, u(x), u(y-1.3*r), u(1.3*r), u(1.3*r), u(-1.3*r), u(1.3*r), u(-1.3*r), u(-1.3*r))
		c.close("path", title)
	case 2:
		fmt.Fprintf(&c.body, `<path class="%s" d="M%s %sl%s %sh%sz"`, class, u(x), u(y-1.2*r), u(1.2*r), u(2.1*r), u(-2.4*r))
		c.close("path", title)
	default:
		c.rect(class, x-0.9*r, y-0.9*r, 1.8*r, 1.8*r, title)
	}
}

// series is the class of a series' colour.
func series(i int) string { return "s" + strconv.Itoa(i%seriesColours+1) }

// done wraps the elements as one accessible figure, at most maxWidth pixels wide on a screen.
func (c *canvas) done(l Labels, maxWidth int) SVG {
	body := c.body.String()
	h := fnv.New32a()
	_, _ = h.Write([]byte(l.Title + "\x00" + l.Description + "\x00" + body))
	id := strconv.FormatUint(uint64(h.Sum32()), 36)
	return SVG(fmt.Sprintf(`<svg class="fc" viewBox="0 0 %s %s" style="max-width:%dpx" role="img" aria-labelledby="t%s d%s">`+
		`<title id="t%s">%s</title><desc id="d%s">%s</desc>%s</svg>`,
		u(c.width), u(c.height), maxWidth, id, id, id, html.EscapeString(l.Title), id, html.EscapeString(l.Description), body))
}
