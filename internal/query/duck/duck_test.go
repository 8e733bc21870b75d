// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

func open(t *testing.T, folders ...string) *Engine {
	t.Helper()
	e, err := Open(context.Background(), Options{Folders: folders, Limits: query.Limits{Temp: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestCheck(t *testing.T) {
	voice := query.Table{Name: "voice", Columns: []query.Column{{Name: "patient_id", Type: "VARCHAR"}, {Name: "jitter", Type: "DOUBLE"}}}
	scans := query.Table{Name: "scan_features", Columns: []query.Column{{Name: "patient_id", Type: "VARCHAR"}, {Name: "ratio", Type: "DOUBLE"}}}
	for _, c := range []struct {
		name, sql               string
		tables                  string
		line, col               int
		wantMessage, wantHint   string
		wantColumns             int
		wantOrdered, wantUnsure bool
	}{
		{name: "join", sql: "select v.*, s.ratio\nfrom voice v join neurology.scan_features s using (patient_id)", tables: "scan_features voice", wantColumns: 3},
		{name: "order", sql: "select * from voice order by 1;", tables: "voice", wantColumns: 2, wantOrdered: true},
		{name: "case", sql: "SELECT * FROM Voice", tables: "Voice", wantColumns: 2},
		{name: "with", sql: "with q as (select * from voice) select * from q", tables: "voice", wantColumns: 2},
		{name: "with that hides a table", sql: "with voice as (select * from voice) select * from voice", tables: "voice", wantColumns: 2},
		{name: "recursive", sql: "with recursive r as (select 1 x union all select x+1 from r where x<3) select * from r", wantColumns: 1},
		{name: "subquery", sql: "select (select max(ratio) from scan_features) from voice", tables: "scan_features voice", wantColumns: 1},
		{name: "unknown column", sql: "select\n  jiter from voice", tables: "voice", line: 2, col: 3, wantMessage: `"jiter" not found`, wantHint: "jitter"},
		{name: "unknown table is only named", sql: "select x from other", tables: "other"},
		{name: "syntax", sql: "select * fro voice", line: 1, col: 14, wantMessage: "syntax error"},
		{name: "empty", sql: "", wantMessage: "0 statements"},
		{name: "two", sql: "select 1; select 2", wantMessage: "2 statements"},
		{name: "ddl", sql: "create table x as select 1", wantMessage: "only a SELECT"},
		{name: "copy", sql: "copy voice to 'x'", wantMessage: "only a SELECT"},
		{name: "attach", sql: "attach 'x'", wantMessage: "only a SELECT"},
		{name: "read_csv", sql: "select * from\nread_csv('/etc/passwd')", line: 2, col: 1, wantMessage: "read_csv is not available"},
		{name: "file as table", sql: "select * from '/etc/passwd.csv'", line: 1, wantMessage: "is a file"},
		{name: "now", sql: "select now() from voice", tables: "voice", wantColumns: 1, wantUnsure: true},
		{name: "series", sql: "select * from range(3)", wantColumns: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := open(t).Check(context.Background(), query.CheckParams{SQL: c.sql, Workspace: "neurology", Tables: []query.Table{voice, scans}})
			if err != nil {
				t.Fatal(err)
			}
			if c.wantMessage != "" {
				p := got.Error
				if p == nil || !strings.Contains(p.Message, c.wantMessage) || !strings.Contains(p.Hint, c.wantHint) {
					t.Fatalf("got problem %+v, want %q", p, c.wantMessage)
				}
				if p.Line != c.line || c.col != 0 && p.Column != c.col {
					t.Errorf("placed at %d:%d, want %d:%d", p.Line, p.Column, c.line, c.col)
				}
				return
			}
			if got.Error != nil {
				t.Fatal(got.Error)
			}
			if tables := strings.Join(got.Tables, " "); tables != c.tables {
				t.Errorf("tables %q, want %q", tables, c.tables)
			}
			if len(got.Columns) != c.wantColumns || got.Ordered != c.wantOrdered || (len(got.Volatile) > 0) != c.wantUnsure {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// sample writes a small Parquet file and returns its inputs folder.
func sample(t *testing.T, sql string) string {
	t.Helper()
	inputs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(inputs, "voice"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := open(t, inputs)
	if _, err := e.WriteParquet(context.Background(), sql, filepath.Join(inputs, "voice", "data.parquet")); err != nil {
		t.Fatal(err)
	}
	return inputs
}

func transform(t *testing.T, inputs, sql string) (query.TransformReport, []byte, error) {
	t.Helper()
	out := t.TempDir()
	report, err := Transform(context.Background(), query.TransformParams{
		SQL: sql, Workspace: "neurology", Limits: query.Limits{Temp: t.TempDir(), Memory: "200MB"},
		Tables: []query.Table{{Name: "voice", Files: []string{"voice/*.parquet"}}},
	}, inputs, out)
	b, _ := os.ReadFile(filepath.Join(out, "data.parquet"))
	return report, b, err
}

func TestTransformIsRepeatable(t *testing.T) {
	inputs := sample(t, "select 'p' || (i % 97) as patient_id, i, sin(i) as x from range(200000) r(i)")
	sql := "select patient_id, avg(x) as m, sum(x) as s, count(*) as n from neurology.voice group by 1"
	report, first, err := transform(t, inputs, sql)
	if err != nil {
		t.Fatal(err)
	}
	if report.RowsOut != 97 || report.Ordered || len(report.Schema) != 4 || report.Bytes != int64(len(first)) {
		t.Errorf("report %+v", report)
	}
	for range 3 {
		_, again, err := transform(t, inputs, sql+" -- a comment\n;")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Fatal("the same statement over the same rows wrote other bytes")
		}
	}
}

func TestTransformKeepsTheAuthorsOrder(t *testing.T) {
	inputs := sample(t, "select i from range(300000) r(i)")
	out := t.TempDir()
	report, err := Transform(context.Background(), query.TransformParams{SQL: "select i from voice order by (i * 7919) % 300007 desc",
		Tables: []query.Table{{Name: "voice", Files: []string{"voice/*.parquet"}}}}, inputs, out)
	if err != nil || !report.Ordered {
		t.Fatal(report, err)
	}
	e := open(t, out)
	var wrong int64
	err = e.One(context.Background(), `SELECT count(*) FROM (SELECT (i * 7919) % 300007 AS k, lag((i * 7919) % 300007) OVER (ORDER BY file_row_number) AS before
		FROM read_parquet(`+Text(filepath.Join(out, "data.parquet"))+`, file_row_number = true)) WHERE k > before`, &wrong)
	if err != nil || wrong != 0 {
		t.Errorf("%d rows out of order, %v", wrong, err)
	}
}

// TestInputsMayBeLinks: staged inputs are links to where datasets are kept.
func TestInputsMayBeLinks(t *testing.T) {
	kept := sample(t, "select 1 as a")
	inputs := t.TempDir()
	if err := os.Symlink(filepath.Join(kept, "voice"), filepath.Join(inputs, "voice")); err != nil {
		t.Fatal(err)
	}
	if report, _, err := transform(t, inputs, "select * from voice"); err != nil || report.RowsOut != 1 {
		t.Errorf("%+v %v", report, err)
	}
}

func TestTransformSpills(t *testing.T) {
	inputs := sample(t, "select i, md5(i::varchar) as h from range(1500000) r(i)")
	out := t.TempDir()
	_, err := Transform(context.Background(), query.TransformParams{
		SQL:    "select a.h, b.h as g from voice a join voice b using (i) order by a.h",
		Limits: query.Limits{Temp: t.TempDir(), Memory: "100MB"},
		Tables: []query.Table{{Name: "voice", Files: []string{"voice/*.parquet"}}},
	}, inputs, out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestTransformRefuses(t *testing.T) {
	inputs := sample(t, "select 'p1' as patient_id, 'x' as word")
	for _, c := range []struct{ name, sql, want string }{
		{"file function", "select * from read_csv('/etc/passwd')", "read_csv is not available"},
		{"file function in a subquery", "select (select count(*) from read_text('/etc/hostname')) from voice", "read_text is not available"},
		{"file as table", "select * from '/etc/passwd'", "is a file"},
		{"file as table, odd name", "select * from 'passwd'", "no dataset"},
		{"install", "install httpfs", "only a SELECT"},
		{"set", "set memory_limit='10GB'", "only a SELECT"},
		{"pragma", "pragma database_list", "SELECT"},
		{"closing our parenthesis", "select 1) to '/tmp/x' (format csv); select (1", "syntax error"},
		{"unknown dataset", "select * from scans", `no dataset "scans"`},
		{"unknown column", "select wrd from voice", "did you mean word?"},
		{"cast at run time", "select word::int as i from voice", "Could not convert"},
		{"engine tables", "select * from duckdb_settings()", "not available"},
		{"engine views", "select * from information_schema.tables", "no dataset"},
		{"dynamic", "select * from query('select 1')", "query is not available"},
		{"dynamic table", "select * from query_table(['voice'])", "query_table is not available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := transform(t, inputs, c.sql)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want Invalid with %q", err, c.want)
			}
			var p *query.Problem
			if !errors.As(err, &p) {
				t.Errorf("%v is not a *query.Problem", err)
			}
		})
	}
}

// TestEngineStaysInItsFolders goes past Check to see that the lock itself holds.
func TestEngineStaysInItsFolders(t *testing.T) {
	inputs := sample(t, "select 1 as a")
	e := open(t, inputs)
	ctx := context.Background()
	if err := e.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"select * from read_csv('/etc/passwd')", "select * from read_text('" + inputs + "/../../etc/passwd')",
		"copy (select 1) to '/tmp/fathom-escape.csv'", "attach '/tmp/fathom-escape.db'", "install httpfs", "load httpfs",
		"set enable_external_access = true", "set allowed_directories = ['/']", "set threads = 8",
		"select * from glob('/etc/*')", "select * from 'http://127.0.0.1/x.parquet'",
	} {
		if err := e.Exec(ctx, s); err == nil {
			t.Errorf("allowed: %s", s)
		}
	}
	if _, err := os.Stat("/tmp/fathom-escape.csv"); err == nil {
		t.Error("a file was written outside")
	}
}
