// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
)

// voiceInput makes a dataset and stages it as the input "voice".
func voiceInput(t *testing.T, b *bench) query.Table {
	t.Helper()
	from := newBench(t)
	from.ingest(privacy.IngestParams{Format: "csv", Files: from.sources(map[string]string{"a.csv": "patient_id,jitter,at\np2,0.5,2024-01-02\np1,0.25,2024-01-03\np1,,2024-01-04\n"})})
	table, err := os.ReadFile(filepath.Join(from.output, "data.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	b.file("inputs/voice/data.parquet", string(table))
	return query.Table{Name: "voice", Files: []string{"voice/*.parquet"}}
}

func TestTransform(t *testing.T) {
	b := newBench(t)
	voice := voiceInput(t, b)
	b.file("code/cohort.sql", "select patient_id, avg(jitter) as jitter from voice group by patient_id")
	b.must("transform", query.TransformParams{SQLFile: "cohort.sql", Workspace: "neurology", Tables: []query.Table{voice}})
	var report query.TransformReport
	text, err := os.ReadFile(filepath.Join(b.output, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || report.RowsOut != 2 || len(report.Schema) != 2 || report.Schema[1].Type != "DOUBLE" {
		t.Errorf("report %+v, %v", report, err)
	}
	if rows := b.ask("select * from t"); rows != "patient_id,jitter\np1,0.25\np2,0.5\n" {
		t.Errorf("rows %q", rows)
	}
	if progress, _ := os.ReadFile(b.progress); !strings.HasPrefix(string(progress), "1.00 2 rows") {
		t.Errorf("progress %q", progress)
	}
}

func TestTransformChecks(t *testing.T) {
	sql := "select patient_id, jitter from voice"
	for _, c := range []struct {
		name         string
		checks       []query.Check
		identified   bool
		reason, want string // "" when all hold
	}{
		{"hold", []query.Check{{Expect: "count(*) >= 2", Of: "distinct patient_id"}, {Column: "jitter", Between: []any{0.0, 1.0}, In: []any{"0.25", "0.5"}}}, false, "", ""},
		{"fail", []query.Check{{Expect: "count(*) >= 30", Of: "distinct patient_id"}, {Column: "jitter", NotNull: true, Between: []any{0.0, 0.3}}, {Column: "patient_id", Unique: true}}, false,
			"CheckFailed", "4 of 4 checks failed: count(*) >= 30 of distinct patient_id: found 2; jitter is not null: 1 rows break it (result row 2); jitter is between 0 and 0.3: 1 rows break it (result row 3); patient_id is unique: 2 rows break it (result row 1, 2); correct the statement or the checks"},
		{"nothing measured is told", []query.Check{{Expect: "max(jitter) < 0.1"}}, true, "CheckFailed", "max(jitter) < 0.1: it does not hold; correct"},
		{"no such column", []query.Check{{Column: "jiter", NotNull: true}}, false, "UnknownColumn", `there is no column "jiter"; did you mean "jitter"?`},
		{"says nothing", []query.Check{{Column: "jitter"}}, false, "InvalidCheck", "it says nothing"},
		{"reads elsewhere", []query.Check{{Expect: "(select count(*) from read_parquet('voice/*.parquet')) > 0"}}, false, "InvalidCheck", "not available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			code, end := b.run("transform", query.TransformParams{SQL: sql, Tables: []query.Table{voiceInput(t, b)}, Checks: c.checks, Identified: c.identified})
			_, missing := os.Stat(filepath.Join(b.output, "data.parquet"))
			if c.reason == "" {
				if code != 0 || missing != nil || len(b.readReport().Checks) != 3 {
					t.Errorf("exit %d %+v, %v", code, end, missing)
				}
				return
			}
			if code != 2 || end.Reason != c.reason || !strings.Contains(end.Message, c.want) || !strings.HasPrefix(end.Field, "spec.checks") {
				t.Errorf("exit %d %+v\nwant %s with %q", code, end, c.reason, c.want)
			}
			if missing == nil {
				t.Error("data was kept")
			}
		})
	}
}

func TestTransformMistakes(t *testing.T) {
	for _, c := range []struct{ name, sql, file, want, field string }{
		{"unknown column", "select\n jiter from voice", "", "line 2, column 2: Referenced column \"jiter\" not found in FROM clause!; did you mean jitter?", "spec.from.query.sql"},
		{"file", "select * from read_csv('/etc/passwd')", "", "read_csv is not available", "spec.from.query.sql"},
		{"not a select", "drop table voice", "", "only a SELECT", "spec.from.query.sql"},
		{"twice", "select v.*, w.jitter from voice v join voice w using (patient_id)", "", "\"jitter\" occurs twice", "spec.from.query.sql"},
		{"no file", "", "nowhere.sql", "nowhere.sql is not in the code", "spec.from.query.file"},
		{"run time", "select cast(patient_id as int) as i from voice", "", "Could not convert", "spec.from.query.sql"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			code, end := b.run("transform", query.TransformParams{SQL: c.sql, SQLFile: c.file, Tables: []query.Table{voiceInput(t, b)}})
			if code != 2 || end.Kind != "Invalid" || end.Field != c.field || !strings.Contains(end.Message, c.want) {
				t.Errorf("exit %d %+v, want %q", code, end, c.want)
			}
		})
	}
}

func TestAskFormats(t *testing.T) {
	b := newBench(t)
	p := query.ReadParams{SQL: "select * from voice order by \"at\"", Tables: []query.Table{voiceInput(t, b)}}
	for format, want := range map[string]string{
		"csv":   "patient_id,jitter,at\np2,0.5,2024-01-02\np1,0.25,2024-01-03\np1,,2024-01-04\n",
		"json":  `{"patient_id":"p2","jitter":0.5,"at":"2024-01-02"}` + "\n" + `{"patient_id":"p1","jitter":0.25,"at":"2024-01-03"}` + "\n" + `{"patient_id":"p1","jitter":null,"at":"2024-01-04"}` + "\n",
		"table": "patient_id  jitter  at\np2          0.5     2024-01-02\np1          0.25    2024-01-03\np1                  2024-01-04\n(3 rows)\n",
	} {
		p.Format = format
		b.must("sql", p)
		if got := b.stdout.String(); got != want {
			t.Errorf("%s:\n%q\nwant\n%q", format, got, want)
		}
	}
	p.Limit, p.Format = 2, "table"
	b.must("sql", p)
	if got := b.stdout.String(); !strings.Contains(got, "the first 2 rows") {
		t.Errorf("limit: %q", got)
	}
	p.SQL = "select [1,2] l, {'a': 1} s, 1.5::decimal(4,2) d, 'x'::blob b, 'nan'::double f, interval 1 day i, map {'k': 1} m, 170141183460469231731687303715884105727::hugeint h, time '10:11:12' z, true y, 1 k, 2 k"
	for format, want := range map[string]string{
		"csv":  `"[1, 2]",{'a': 1},1.50,x,NaN,1 day,{k=1},170141183460469231731687303715884105727,10:11:12,true,1,2`,
		"json": `{"l":[1,2],"s":{"a":1},"d":1.5,"b":"x","f":"NaN","i":"1 day","m":{"k":1},"h":170141183460469231731687303715884105727,"z":"10:11:12","y":true,"k":1,"k":2}`,
	} {
		p.Format = format
		b.must("sql", p)
		if got := b.stdout.String(); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", format, got, want)
		}
	}
	p.SQL = "select * from read_text('/etc/passwd')"
	if code, end := b.run("sql", p); code != 2 || !strings.Contains(end.Message, "not available") {
		t.Errorf("%d %+v", code, end)
	}
}

func TestCheckCommand(t *testing.T) {
	b := newBench(t)
	tables := []query.Table{{Name: "voice", Columns: []query.Column{{Name: "patient_id", Type: "VARCHAR"}, {Name: "jitter", Type: "DOUBLE"}}}}
	for _, c := range []struct{ sql, want string }{
		{"select avg(jitter) m from voice", `{"tables":["voice"],"columns":[{"name":"m","type":"DOUBLE"}],"ordered":false}`},
		{"select x from voice", `"line":1,"column":8`},
		{"select * from voice join scans using (patient_id)", `{"tables":["scans","voice"],"ordered":false}`},
	} {
		b.must("check", query.CheckParams{SQL: c.sql, Workspace: "neurology", Tables: tables})
		if got := b.stdout.String(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.sql, got, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	b := newBench(t)
	if code := run(t.Context(), []string{"nothing"}, b.step); code != 2 || !strings.Contains(b.stderr.String(), "transform") {
		t.Errorf("%d %s", code, b.stderr.String())
	}
	if code, end := b.run("transform", map[string]any{"sqll": "x"}); code != 1 || end.Kind != "Internal" {
		t.Errorf("unknown parameters: %d %+v", code, end)
	}
}
