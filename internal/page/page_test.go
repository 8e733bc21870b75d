// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

func parse(t *testing.T, markdown string) *Document {
	t.Helper()
	d, err := Parse([]byte(markdown))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParse(t *testing.T) {
	d := parse(t, "---\ntitle: Findings\ndescription: All of it\nauthor: someone\n---\n# Heading\n\n```sql\nselect 1\n```\n\n- item\n\n"+
		"  ```sql {chart=bar x=site y=\"a, b\" title=\"A \\\"b\\\"\" xlabel=Site}\n  select site,\n    a\n  from t\n  ```\n\n```python\nselect 2\n```\n\n![scan](./img/scan.png)\n")
	if d.Title != "Findings" || d.Description != "All of it" || len(d.Statements) != 2 {
		t.Fatalf("document %+v", d)
	}
	first, second := d.Statements[0], d.Statements[1]
	if first.SQL != "select 1\n" || first.Line != 9 || first.Figure.Kind != Table {
		t.Errorf("first %+v", first)
	}
	f := second.Figure
	if second.SQL != "select site,\n  a\nfrom t\n" || second.Line != 15 || f.Kind != Bar || f.X != "site" || len(f.Y) != 2 || f.Y[1] != "b" || f.Title != `A "b"` || f.XLabel != "Site" {
		t.Errorf("second %+v", second)
	}
	if len(d.Pictures) != 1 || d.Pictures[0] != (Picture{"img/scan.png", 24}) {
		t.Errorf("pictures %+v", d.Pictures)
	}
}

func TestTitle(t *testing.T) {
	for _, c := range []struct{ markdown, want string }{
		{"# The *first* one\n\n# Second\n", "The first one"},
		{"---\ntitle: Front\n---\n# Heading\n", "Front"},
		{"words\n", ""},
		{"---\nwords after a rule\n", ""},
		{"\xef\xbb\xbf---\r\ntitle: Windows\r\n---\r\nx", "Windows"},
		{"---\ntitle: Short\n---", "Short"},
	} {
		if d := parse(t, c.markdown); d.Title != c.want {
			t.Errorf("%q: title %q, want %q", c.markdown, d.Title, c.want)
		}
	}
}

func TestParseMistakes(t *testing.T) {
	for _, c := range []struct{ name, markdown, want string }{
		{"kind", "```sql {chart=pie}\nselect 1\n```", `line 1: there is no chart "pie"`},
		{"no brace", "\n```sql chart=bar\nselect 1\n```", "line 2: the attributes chart=bar cannot be read"},
		{"rest", "```sql {chart=bar} x\nselect 1\n```", "cannot be read"},
		{"unquoted", "```sql {title=two words}\nselect 1\n```", "cannot be read"},
		{"unknown", "```sql {colour=red}\nselect 1\n```", `there is no attribute "colour"`},
		{"needless", "```sql {chart=value x=a}\nselect 1\n```", "x means nothing to chart=value"},
		{"bins", "```sql {chart=histogram bins=many}\nselect 1\n```", "bins is a whole number"},
		{"by and y", "```sql {chart=line by=a y=\"b,c\"}\nselect 1\n```", "names 2 columns"},
		{"scatter", "```sql {chart=scatter y=\"b,c\"}\nselect 1\n```", "a scatter has one y"},
		{"empty", "a\n\n```sql\n\n```", "line 3: the SQL block is empty"},
		{"nothing", "a\n\n```sql\n```", "line 3: the SQL block is empty"},
		{"front matter", "---\ntitle: [\n---\n", "line 2: the front matter is not YAML"},
		{"picture from elsewhere", "a\n\n![x](https://example.org/x.png)", "line 3: the picture"},
		{"picture without scheme", "![x](//example.org/x.png)", "is not a file beside the page"},
		{"picture above", "![x](../x.png)", "is not a file beside the page"},
		{"data that is no picture", "![x](data:text/html,a)", "is not a file beside the page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.markdown))
			var p *Problem
			if !fault.Is(err, fault.Invalid) || !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want Invalid with %q", err, c.want)
			}
		})
	}
	if _, err := Parse(make([]byte, MaxBytes+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a huge page gave %v", err)
	}
	if _, err := Parse([]byte(strings.Repeat("```sql\nselect 1\n```\n\n", MaxStatements+1))); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too many statements gave %v", err)
	}
}

func TestPlace(t *testing.T) {
	s := Statement{Line: 40}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fault.Error{Kind: fault.Invalid, Err: &query.Problem{Message: "no", Line: 3, Column: 7, Hint: "do"}}, "line 42, column 7: no; do"},
		{&query.Problem{Message: "no"}, "line 40: no"},
		{errors.New("disk"), "disk"},
	} {
		if got := s.Place(c.err).Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func answer(t *testing.T, lines string) Answer {
	t.Helper()
	a, err := ReadAnswer(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReadAnswer(t *testing.T) {
	a := answer(t, `{"z":1,"a":"x","l":[1,2],"b":true,"n":null}`+"\n"+`{"z":9007199254740993,"a":"NaN","l":{"k":1},"b":false,"n":1.50}`)
	if strings.Join(a.Columns, " ") != "z a l b n" || len(a.Rows) != 2 || a.Rows[0][2] != "[1,2]" || a.Rows[1][0] != json.Number("9007199254740993") {
		t.Errorf("%+v", a)
	}
	if a := answer(t, ""); len(a.Rows) != 0 || a.Columns != nil {
		t.Errorf("an empty answer is %+v", a)
	}
	for _, bad := range []string{`{"a":1`, `[1]`, `{"a":1}{"a":1,"b":2}`} {
		if _, err := ReadAnswer(strings.NewReader(bad)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s gave %v", bad, err)
		}
	}
}

var meta = Params{Workspace: "neurology", Report: "findings", Fingerprint: "abc", At: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
	Datasets: []Dataset{{Name: "voice", Version: 3, Rows: 216, Made: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}}

// render renders a page whose statements all have the same answer.
func render(t *testing.T, markdown, lines string) (string, error) {
	t.Helper()
	d := parse(t, markdown)
	var answers []Answer
	for range d.Statements {
		answers = append(answers, answer(t, lines))
	}
	html, err := d.Render(answers, meta)
	return string(html), err
}

const bySite = `{"site":"north","group":"a","n":3}` + "\n" + `{"site":"north","group":"b","n":4}` + "\n" + `{"site":"s<o>uth","group":"a","n":5}`

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name, markdown, lines string
		want, never           []string
	}{
		{"table", "```sql {title=\"By site\"}\nselect '<b>'\n```", bySite, []string{`<figcaption>By site`, `<th scope="col" class="n">n</th>`, `<td class="n">5</td>`, "s&lt;o&gt;uth", "&lt;b&gt;", "<summary>SQL"}, []string{"s<o>uth"}},
		{"hidden SQL", "```sql {sql=hide}\nselect 1\n```", bySite, []string{"<table"}, []string{"<details"}},
		{"no rows", "```sql\nselect 1\n```", "", []string{"There are no rows."}, nil},
		{"no rows to draw", "```sql {chart=bar}\nselect 1\n```", "", []string{"There are no rows to draw."}, nil},
		{"value", "```sql {chart=value unit=mm title=Distance}\nselect 1\n```", `{"d":12345.678}`, []string{"<strong>12\u202f346 <small>mm</small></strong><figcaption>Distance"}, nil},
		{"value of text", "```sql {chart=value}\nselect 1\n```", `{"best_site":"north"}`, []string{"<strong>north</strong><figcaption>best site"}, nil},
		{"bars", "```sql {chart=bar by=group}\nselect 1\n```", bySite, []string{`role="img"`, "<title>north, b: 4</title>", "Data and SQL"}, nil},
		{"bars of columns", "```sql {chart=bar x=site}\nselect 1\n```", bySite, []string{"<title>s&lt;o&gt;uth: 5</title>"}, nil},
		{"times", "```sql {chart=line}\nselect 1\n```", `{"day":"2026-01-01","n":1}` + "\n" + `{"day":"2026-03-01","n":2}`, []string{"Jan</text>", "<title>2026-03-01, 2</title>"}, nil},
		{"numbers", "```sql {chart=scatter x=n y=n}\nselect 1\n```", bySite, []string{"<circle"}, []string{"Data and SQL"}},
		{"histogram", "```sql {chart=histogram x=n bins=2 ylabel=sites}\nselect 1\n```", bySite, []string{">sites</text>"}, nil},
		{"missing numbers", "```sql {chart=line x=x y=y}\nselect 1\n```", `{"x":1,"y":null}` + "\n" + `{"x":2,"y":"NaN"}` + "\n" + `{"x":3,"y":4}`, []string{"<svg"}, []string{"NaN"}},
		{"decimals", "```sql\nselect 1\n```", `{"a":66.3,"b":0.0012345678,"c":-1}` + "\n" + `{"a":7,"b":0.5,"c":2}`, []string{">66.3<", ">7.0<", ">0.0012<", ">0.5000<", ">−1<"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			html, err := render(t, c.markdown, c.lines)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(html, want) {
					t.Errorf("the page lacks %q\n%s", want, html[strings.Index(html, "<body>"):])
				}
			}
			for _, never := range append(c.never, "fathom-block-") {
				if strings.Contains(html, never) {
					t.Errorf("the page holds %q", never)
				}
			}
		})
	}
}

func TestRenderMistakes(t *testing.T) {
	many := ""
	for i := range 20 {
		many += fmt.Sprintf(`{"x":%d,"by":"g%d","n":1}`+"\n", i, i)
	}
	for _, c := range []struct{ name, markdown, lines, want string }{
		{"x", "```sql {chart=bar x=place}\nselect 1\n```", bySite, "line 2: x=place: the answer has no such column; the answer has the columns site, group, n"},
		{"y", "```sql {chart=bar y=place}\nselect 1\n```", bySite, "y=place"},
		{"by", "```sql {chart=bar by=place}\nselect 1\n```", bySite, "by=place"},
		{"no numbers", "```sql {chart=bar}\nselect 1\n```", `{"a":"x","b":"y"}`, "needs a column of numbers for y"},
		{"text as y", "```sql {chart=bar y=group}\nselect 1\n```", bySite, "the column group holds other things than numbers; convert it in the SQL"},
		{"text as x", "```sql {chart=line y=n}\nselect 1\n```", bySite, "x=site: chart=line needs numbers there or times"},
		{"text to count", "```sql {chart=histogram}\nselect 1\n```", bySite, "x=site: chart=histogram needs numbers there"},
		{"value of rows", "```sql {chart=value}\nselect 1\n```", bySite, "the answer has 3 rows of 3 columns"},
		{"many series", "```sql {chart=line x=x y=n by=by}\nselect 1\n```", many, "by=by makes 20 series"},
		{"many bars", "```sql {chart=bar x=x}\nselect 1\n```", strings.Repeat(many, 1) + manyBars(), "bars are too many to read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(t, c.markdown, c.lines)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "line 2: ") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := parse(t, "```sql\nselect 1\n```").Render(nil, meta); !fault.Is(err, fault.Internal) {
		t.Errorf("missing answers gave %v", err)
	}
}

func manyBars() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `{"x":%d,"by":"g","n":1}`+"\n", 100+i)
	}
	return b.String()
}

func TestWordsAreHarmless(t *testing.T) {
	html, err := render(t, `---
title: "<script>alert(1)</script>"
---
<script>alert(1)</script>
<img src="x.png" onerror="alert(1)"> <a href="javascript:alert(1)">link</a> [other](javascript:alert(1)) <iframe src="https://example.org"></iframe>
<style>body{display:none}</style><form action="https://example.org"><input name=a></form> <b style="position:fixed">bold</b> <svg onload="alert(1)"></svg>

| a | b |
|---|--:|
| 1 | 2 |

- [x] done

A note[^1] with ~~strike~~ and www.example.org.

[^1]: The note.

`+"```html\n<script>alert(2)</script>\n```\n", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"<script", "onerror", "javascript:", "<iframe", "display:none}</style>", "<form", "position:fixed\"", "<svg"} {
		if strings.Contains(html, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	for _, want := range []string{`align="right"`, `type="checkbox"`, `id="fn:1"`, `href="#fn:1"`, "<del>strike</del>", "&lt;script&gt;alert(2)", "<h1>&lt;script&gt;"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q in\n%s", want, html[strings.Index(html, "<body>"):])
		}
	}
}

func TestProvenance(t *testing.T) {
	html, err := render(t, "words", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h1>findings</h1>", "<b>neurology/findings</b>, rendered 2 January 2026, 03:04 UTC", `<td>voice</td><td class="n">3</td><td class="n">216</td><td>1 January 2026, 00:00 UTC`, "<code>abc</code>"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	html, err = render(t, "# Own heading\n", "")
	if err != nil || strings.Count(html, "<h1") != 1 || !strings.Contains(html, `<title>Own heading</title>`) {
		t.Errorf("the page has another heading beside its own: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("---\ntitle: a\n---\n# b\n\n```sql {chart=bar x=a}\nselect 1\n```\n\n![a](b.png)\n")
	f.Fuzz(func(t *testing.T, markdown string) {
		d, err := Parse([]byte(markdown))
		if err != nil {
			return
		}
		answers := make([]Answer, len(d.Statements))
		if html, err := d.Render(answers, meta); err == nil && strings.Contains(strings.ToLower(string(html)), "<script") {
			t.Errorf("%q makes a page with a script", markdown)
		}
	})
}
