// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Params are the parameters of `fathom-step render`.
type Params struct {
	Workspace string `json:"workspace"`
	Report    string `json:"report"`
	// File is the page as its author knows it, for messages. Default: page.md.
	File string `json:"file,omitempty"`
	// Fingerprint of the rendered page.
	Fingerprint string `json:"fingerprint,omitempty"`
	// At is when the rendering was asked for; it stands on the page, so that rendering again gives the same bytes.
	At time.Time `json:"at,omitzero"`
	// Datasets that the page reads.
	Datasets []Dataset `json:"datasets,omitempty"`
	// Tables are the datasets as SQL sees them; relative files are below $FATHOM_INPUTS.
	Tables []query.Table `json:"tables,omitempty"`
	Limits query.Limits  `json:"limits,omitzero"`
}

// Dataset is a version that a page read.
type Dataset struct {
	Name    string    `json:"name"`
	Version int64     `json:"version"`
	Rows    int64     `json:"rows"`
	Made    time.Time `json:"made,omitzero"`
}

// place is the token that stands for the answer of a statement until the text is sanitised.
func (d *Document) place(i int) string { return fmt.Sprintf("%s%d-", d.token, i) }

// Render makes the page of the answers, one a statement. Invalid, with a *Problem: a figure that the answer does not fit.
func (d *Document) Render(answers []Answer, meta Params) ([]byte, error) {
	if len(answers) != len(d.Statements) {
		return nil, fault.New(fault.Internal, "render page", "%d answers for %d statements", len(answers), len(d.Statements))
	}
	var text bytes.Buffer
	if err := d.htmlRenderer().Render(&text, d.source, d.root); err != nil {
		return nil, fault.Wrap(fault.Internal, "render page", err)
	}
	body := policy.Sanitize(text.String())
	var figures []string
	for i, s := range d.Statements {
		figure, err := s.figure(answers[i])
		if err != nil {
			return nil, err
		}
		figures = append(figures, "<p>"+d.place(i)+"</p>", figure)
	}
	body = strings.NewReplacer(figures...).Replace(body)
	title := d.Title
	if title == "" {
		title = meta.Report
	}
	head := ""
	if !d.headed {
		head = "<h1>" + html.EscapeString(title) + "</h1>\n"
	}
	if d.Description != "" {
		head += `<p class="lead">` + html.EscapeString(d.Description) + "</p>\n"
	}
	footer, err := footerHTML(meta)
	if err != nil {
		return nil, err
	}
	return Frame(title, template.HTML(head+body), footer)
}

// policy lets through what Markdown makes, and no more: no scripts, styles, forms or frames.
var policy = func() *bluemonday.Policy {
	p := bluemonday.UGCPolicy()
	p.AllowDataURIImages()
	p.AllowAttrs("id").Matching(anchor).OnElements("h1", "h2", "h3", "h4", "h5", "h6", "li", "sup", "div")
	p.AllowAttrs("class").Matching(bluemonday.SpaceSeparatedTokens).OnElements("div", "a", "sup")
	p.AllowAttrs("align").OnElements("td", "th")
	p.AllowAttrs("type").Matching(checkbox).OnElements("input")
	p.AllowAttrs("checked", "disabled").OnElements("input")
	return p
}()

// figure is the HTML of one answer.
func (s Statement) figure(a Answer) (string, error) {
	switch s.Figure.Kind {
	case Value:
		return s.value(a)
	case Table:
		return s.tableFigure(a), nil
	}
	if len(a.Rows) > MaxRows {
		return "", wrong(s.Line, "aggregate or sample in the SQL", "the answer has more than %d rows, too many to draw", MaxRows)
	}
	if len(a.Rows) == 0 {
		return s.wrap("", `<p class="none">There are no rows to draw.</p>`, ""), nil
	}
	d, err := s.choose(a)
	if err != nil {
		return "", err
	}
	svg, err := d.draw()
	if err != nil {
		return "", err
	}
	data := ""
	if s.Figure.Kind == Bar || s.Figure.Kind == Line { // of the others the rows may be more than the author meant to show
		data = tableHTML(a, s.Figure.Title)
	}
	return s.wrap("chart", string(svg), data), nil
}

// value writes one number large.
func (s Statement) value(a Answer) (string, error) {
	if len(a.Rows) != 1 || len(a.Columns) != 1 {
		return "", wrong(s.Line, "select one value of one row", "chart=value shows one number; the answer has %d rows of %d columns", len(a.Rows), len(a.Columns))
	}
	unit := ""
	if s.Figure.Unit != "" {
		unit = ` <small>` + html.EscapeString(s.Figure.Unit) + `</small>`
	}
	title := s.Figure.Title
	if title == "" {
		title = words(a.Columns[0])
	}
	return fmt.Sprintf(`<figure class="value"><strong>%s%s</strong><figcaption>%s</figcaption></figure>`,
		html.EscapeString(valueText(a.Rows[0][0])), unit, html.EscapeString(title)), nil
}

func (s Statement) tableFigure(a Answer) string {
	if len(a.Rows) == 0 {
		return s.wrap("", `<p class="none">There are no rows.</p>`, "")
	}
	return s.wrap("", tableHTML(a, s.Figure.Title), "")
}

// wrap puts the caption above and the SQL below.
func (s Statement) wrap(class, inner, data string) string {
	var b strings.Builder
	b.WriteString(`<figure class="` + class + `">`)
	if s.Figure.Title != "" {
		b.WriteString("<figcaption>" + html.EscapeString(s.Figure.Title) + "</figcaption>")
	}
	b.WriteString(inner)
	if !s.Figure.Hide {
		summary := "SQL"
		if data != "" {
			summary = "Data and SQL"
		}
		b.WriteString("<details><summary>" + summary + "</summary>" + data + "<pre><code>" +
			html.EscapeString(strings.TrimRight(s.SQL, "\n")) + "</code></pre></details>")
	}
	b.WriteString("</figure>")
	return b.String()
}

// tableHTML is an accessible table; it says when rows are left out.
func tableHTML(a Answer, name string) string {
	var b strings.Builder
	if name == "" {
		name = "table"
	}
	name = html.EscapeString(name)
	b.WriteString(`<div class="scroll" role="region" tabindex="0" aria-label="` + name + `"><table aria-label="` + name + `">`)
	decimals, class := make([]int, len(a.Columns)), make([]string, len(a.Columns))
	b.WriteString("<thead><tr>")
	for i, c := range a.Columns {
		decimals[i] = -1
		if a.numeric(i) {
			decimals[i], class[i] = a.decimals(i), ` class="n"`
		}
		b.WriteString(`<th scope="col"` + class[i] + ">" + html.EscapeString(words(c)) + "</th>")
	}
	b.WriteString("</tr></thead><tbody>\n")
	for _, row := range a.Rows[:min(len(a.Rows), MaxTableRows)] {
		b.WriteString("<tr>")
		for i, v := range row {
			if f, ok := number(v); ok && class[i] != "" && math.IsNaN(f) {
				v = nil
			}
			b.WriteString("<td" + class[i] + ">" + html.EscapeString(cellText(v, decimals[i])) + "</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody></table></div>")
	if len(a.Rows) > MaxTableRows {
		fmt.Fprintf(&b, `<p class="none">Only the first %d rows are shown.</p>`, MaxTableRows)
	}
	return b.String()
}
