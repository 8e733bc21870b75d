// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/page"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// reportRows are the datasets of the example with made-up rows.
var reportRows = []struct{ dataset, sql string }{
	{"voice", `select 'p' || lpad(i::varchar, 3, '0') as patient_id, if(i % 3 = 0, 'F', 'M') as sex, 52 + i * 7 % 29 as age,
		['north', 'south', 'west'][1 + i % 3] as site, v::int as visit, date '2025-12-01' + (v * 90 + i % 25)::int as visit_date,
		0.0055 + 0.0035 * (i % 5 > 1)::int + 0.0022 * sin(i * 12.9 + v) as jitter, 0.03 + 0.008 * sin(i + v) as shimmer,
		23.5 - 3 * cos(i * v) as hnr, 0.46 + 0.07 * sin(i * 3 + v) as rpde, 0.70 + 0.04 * cos(i + v) as dfa, 0.16 + 0.06 * sin(i) as ppe,
		(i % 5 > 1)::int as status
		from range(1, 73) r(i), range(1, 4) s(v)`},
	{"scan-features", `select 'p' || lpad(i::varchar, 3, '0') as patient_id, 3.1 - 1.3 * (i % 5 > 1)::int + 0.35 * sin(i * 7.7) as putamen_ratio,
		0.04 + 0.12 * (i % 5 > 1)::int + 0.03 * cos(i * 5.1) as asymmetry, 8 as slices from range(1, 73) r(i)`},
	{"device-logs", `select timestamp '2025-12-01 09:00:00' + to_days((v * 90 + i % 25)::int) as time, 'rec-' || (i % 3) as device,
		'p' || lpad(i::varchar, 3, '0') as patient_id, v::int as visit, 4 + i % 3 as seconds, 28 + 12 * abs(sin(i * v)) as noise_db
		from range(1, 73) r(i), range(1, 4) s(v)`},
	{"cohort", `select 'p' || lpad(i::varchar, 3, '0') as patient_id, v::int as visit, (i % 5 > 1)::int as status,
		if(i % 20 = 0, null, 28 + 12 * abs(sin(i * v))) as noise_db, 2.0 as putamen_ratio, 0.1 as asymmetry
		from range(1, 73) r(i), range(1, 4) s(v)`},
}

// reportBench stages the study's datasets and a page.
func reportBench(t *testing.T, markdown string) (*bench, page.Params) {
	t.Helper()
	b := newBench(t)
	b.file("code/page.md", markdown)
	p := page.Params{Workspace: "neurology", Report: "findings", File: "./report/findings.md", Fingerprint: strings.Repeat("ab", 32),
		At: time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC)}
	e, err := duck.Open(context.Background(), duck.Options{Folders: []string{b.inputs}, Limits: query.Limits{Temp: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i, d := range reportRows {
		if err := os.MkdirAll(filepath.Join(b.inputs, d.dataset), 0o755); err != nil {
			t.Fatal(err)
		}
		written, err := e.WriteParquet(context.Background(), d.sql, filepath.Join(b.inputs, d.dataset, "data.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		p.Tables = append(p.Tables, query.Table{Name: strings.ReplaceAll(d.dataset, "-", "_"), Files: []string{d.dataset + "/*.parquet"}})
		p.Datasets = append(p.Datasets, page.Dataset{Name: d.dataset, Version: int64(i + 1), Rows: written.Rows, Made: p.At.Add(-time.Hour)})
	}
	return b, p
}

func TestRenderFindings(t *testing.T) {
	text, err := os.ReadFile("../../examples/parkinsons/study/report/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	b, p := reportBench(t, string(text))
	b.file("code/scan.png", "not really a picture")
	b.must("render", p)
	first, err := os.ReadFile(filepath.Join(b.output, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	// go test -artifacts keeps the page for a look at it.
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "index.html"), first, 0o644); err != nil {
		t.Fatal(err)
	}
	html := string(first)
	for _, want := range []string{
		"<h1>Voice and dopamine", `<strong>72</strong><figcaption>participants with voice`, "Participants by site and group", `<svg class="fc"`,
		"<figcaption>Voice measures", "scan-features", p.Fingerprint, "2 March 2026, 10:30 UTC",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"fathom-block-", "<script", "http://", "https://"} {
		if strings.Contains(html, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	if _, err := os.Stat(filepath.Join(b.output, "scan.png")); err != nil {
		t.Error("the picture did not travel")
	}
	b.must("render", p)
	if again, _ := os.ReadFile(filepath.Join(b.output, "index.html")); string(again) != html {
		t.Error("rendering again gave another page")
	}
}

func TestRenderMistakes(t *testing.T) {
	for _, c := range []struct{ name, markdown, want string }{
		{"unknown column", "# A\n\n```sql\nselect\n  jiter from voice\n```\n", "findings.md: line 5, column 3: Referenced column \"jiter\" not found"},
		{"unknown dataset", "text\n\n```sql {chart=bar}\nselect * from voices\n```\n", "findings.md: line 4, column 15: there is no dataset \"voices\" here"},
		{"syntax", "```sql\nselect * fro voice\n```\n", "findings.md: line 2, column 14: syntax error"},
		{"file", "```sql\nselect * from read_csv('/etc/passwd')\n```\n", "findings.md: line 2, column 15: the function read_csv is not available"},
		{"attribute", "\n```sql {chart=pie}\nselect 1\n```\n", "findings.md: line 2: there is no chart \"pie\""},
		{"figure", "```sql {chart=bar x=place}\nselect site, count(*) as n from voice group by site\n```\n", "findings.md: line 2: x=place: the answer has no such column; the answer has the columns site, n"},
		{"picture", "# A\n\n![a](missing.png)\n", "findings.md: line 3: there is no picture missing.png beside the page"},
		{"at run time", "```sql\nselect patient_id::int as i from voice\n```\n", "findings.md: line 2: Could not convert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, p := reportBench(t, c.markdown)
			code, end := b.run("render", p)
			if code != 2 || end.Kind != "Invalid" || end.Field != "spec.page" || !strings.Contains(end.Message, c.want) {
				t.Errorf("ended with %d %+v, want %q", code, end, c.want)
			}
		})
	}
}
