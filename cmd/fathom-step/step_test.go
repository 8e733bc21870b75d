// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
)

// bench is a pod's folder, as fathom-launch prepares it.
type bench struct {
	*step
	t      *testing.T
	root   string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	root := t.TempDir()
	b := &bench{t: t, root: root}
	b.step = &step{
		params: filepath.Join(root, "params.json"), code: filepath.Join(root, "code"), inputs: filepath.Join(root, "inputs"),
		output: filepath.Join(root, "output"), progress: filepath.Join(root, "progress"), termination: filepath.Join(root, "termination.json"),
		stdin: strings.NewReader(""), stdout: &b.stdout, stderr: &b.stderr,
	}
	for _, d := range []string{b.code, b.inputs, b.output} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.file("key", strings.Repeat("k", 32))
	return b
}

// file writes a file below the bench.
func (b *bench) file(path, text string) {
	b.t.Helper()
	full := filepath.Join(b.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// run runs a sub-command with parameters and returns the exit status and what the termination file says.
func (b *bench) run(command string, params any) (int, termination) {
	b.t.Helper()
	text, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	b.file("params.json", string(text))
	os.Remove(b.termination)
	b.stdout.Reset()
	b.stderr.Reset()
	code := run(context.Background(), []string{command}, b.step)
	var end termination
	if text, err := os.ReadFile(b.termination); err == nil {
		if err := json.Unmarshal(text, &end); err != nil {
			b.t.Fatal(err)
		}
		if last := strings.TrimSpace(b.stderr.String()); last != end.Message {
			b.t.Errorf("standard error says %q, the termination file %q", last, end.Message)
		}
	}
	return code, end
}

// must runs a sub-command that has to succeed.
func (b *bench) must(command string, params any) {
	b.t.Helper()
	if code, end := b.run(command, params); code != 0 {
		b.t.Fatalf("%s ended with %d: %+v", command, code, end)
	}
}

// sources stages files and lists them.
func (b *bench) sources(files map[string]string) []privacy.SourceFile {
	var list []privacy.SourceFile
	for path, text := range files {
		b.file("inputs/source/"+path, text)
		list = append(list, privacy.SourceFile{Path: path, Size: int64(len(text))})
	}
	return list
}

func (b *bench) ingest(p privacy.IngestParams) privacy.IngestReport {
	b.t.Helper()
	p.KeyFile = filepath.Join(b.root, "key")
	if p.AsOf.IsZero() {
		p.AsOf = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
	}
	b.must("ingest", p)
	return b.readReport()
}

func (b *bench) readReport() privacy.IngestReport {
	b.t.Helper()
	var r privacy.IngestReport
	text, err := os.ReadFile(filepath.Join(b.output, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// ask runs a query over the output's data.parquet as table t and returns CSV.
func (b *bench) ask(sql string) string {
	b.t.Helper()
	b.must("sql", query.ReadParams{SQL: sql, Format: "csv", Tables: []query.Table{{Name: "t", Files: []string{filepath.Join(b.output, "data.parquet")}}}})
	return b.stdout.String()
}

// holds reports whether any file of the output contains the text, compressed pages included.
func (b *bench) holds(text string) bool {
	b.t.Helper()
	found := false
	err := filepath.WalkDir(b.output, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
			b.t.Logf("%q is in %s", text, path)
			found = true
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.output, "data.parquet")); err == nil {
		rows := b.ask("select * from t limit 100000")
		found = found || strings.Contains(rows, text)
	}
	return found
}
