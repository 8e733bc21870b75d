// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
)

var asOf = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)

const consentLine = `{"resourceType":"Consent","id":"%s","status":"%s","scope":{"coding":[{"code":"research"}]},"patient":{"reference":"Patient/%s"},"dateTime":"%s","provision":{"type":"%s","period":{"start":"2020-01-01","end":"%s"}}}` + "\n"

// studyConsents has one patient for each way a consent can go.
var studyConsents = fmt.Sprintf(consentLine, "c1", "active", "PAT-0001", "2020-01-01", "permit", "2030") +
	fmt.Sprintf(consentLine, "c2", "active", "PAT-0002", "2020-01-01", "deny", "2030") +
	fmt.Sprintf(consentLine, "c3", "active", "PAT-0003", "2020-01-01", "permit", "2024-05-31") +
	fmt.Sprintf(consentLine, "c4", "active", "PAT-0004", "2020-01-01", "permit", "2030") +
	fmt.Sprintf(consentLine, "c4b", "inactive", "PAT-0004", "2021-01-01", "permit", "2030") +
	fmt.Sprintf(consentLine, "c5", "active", "PAT-0005", "2020-01-01", "deny", "2030") +
	fmt.Sprintf(consentLine, "c5b", "active", "PAT-0005", "2022-01-01", "permit", "2024-06-01")

const studyVoice = `patient_id,name,birth_date,visit,jitter,status
PAT-0001,Anna Alpha,1950-01-01,1,0.01,1
PAT-0001,Anna Alpha,1950-01-01,2,0.02,1
PAT-0002,Bert Beta,1951-01-01,1,0.03,0
PAT-0003,Cara Gamma,1952-01-01,1,0.04,1
PAT-0004,Dora Delta,1953-01-01,1,0.05,0
 PAT-0005 ,Emil Epsilon,1954-01-01,1,0.06,0
PAT-0006,Fred Zeta,1955-01-01,1,0.07,0
,Nobody,1956-01-01,1,0.08,0
`

// stageConsents turns Consent resources into the consents table that other datasets are given.
func stageConsents(t *testing.T, b *bench, ndjson string) {
	t.Helper()
	c := newBench(t)
	report := c.ingest(privacy.IngestParams{Workspace: "neurology", Dataset: "consents", Format: "fhir",
		Files: c.sources(map[string]string{"consents.ndjson": ndjson})})
	if !report.Identified {
		t.Error("raw consents must count as identified data")
	}
	table, err := os.ReadFile(filepath.Join(c.output, "data.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	b.file("inputs/consents/data.parquet", string(table))
}

func voiceParams(b *bench) privacy.IngestParams {
	return privacy.IngestParams{Workspace: "neurology", Dataset: "voice", Format: "csv",
		Files: b.sources(map[string]string{"voice/a.csv": studyVoice}),
		Privacy: &privacy.Policy{Subject: "patient_id", Consent: &privacy.ConsentRule{Dataset: "consents", Purpose: "research"},
			Pseudonymise: []string{"patient_id"}, Drop: []string{"name", "birth_date"}},
		Checks: []query.Check{{Expect: "count(*) >= 2", Of: "distinct patient_id"}, {Column: "jitter", NotNull: true, Between: []any{0, 1}}},
	}
}

func TestIngestProtects(t *testing.T) {
	b := newBench(t)
	stageConsents(t, b, studyConsents)
	report := b.ingest(voiceParams(b))
	if report.RowsIn != 8 || report.RowsOut != 3 || len(report.Subjects) != 2 || report.Identified {
		t.Errorf("report %+v", report)
	}
	want := []privacy.Exclusion{
		{Reason: privacy.Expired, Rows: 1, Subjects: 1}, {Reason: privacy.Withdrawn, Rows: 1, Subjects: 1},
		{Reason: privacy.Denied, Rows: 1, Subjects: 1}, {Reason: privacy.NoConsent, Rows: 1, Subjects: 1}, {Reason: privacy.NoSubject, Rows: 1},
	}
	slices.SortFunc(want, func(a, b privacy.Exclusion) int { return strings.Compare(a.Reason, b.Reason) })
	if !slices.Equal(report.Excluded, want) {
		t.Errorf("excluded %+v, want %+v", report.Excluded, want)
	}
	for _, c := range report.Checks {
		if !c.Passed {
			t.Errorf("check %+v", c)
		}
	}
	if until := time.Date(2024, 6, 2, 0, 0, 0, 0, time.UTC); report.ValidUntil == nil || !report.ValidUntil.Equal(until) {
		t.Errorf("valid until %v, want %v, when the consent of PAT-0005 has ended", report.ValidUntil, until)
	}
	key, _ := privacy.NewKey([]byte(strings.Repeat("k", 32)))
	wantRows := "patient_id,visit,jitter,status\n" + key.Pseudonym("PAT-0001") + ",1,0.01,1\n" + key.Pseudonym("PAT-0001") + ",2,0.02,1\n" +
		key.Pseudonym("PAT-0005") + ",1,0.06,0\n"
	if rows := b.ask("select * from t"); rows != wantRows {
		t.Errorf("rows\n%s\nwant\n%s", rows, wantRows)
	}
	for _, planted := range []string{"PAT-000", "Anna", "Beta", "1950-01-01", "Epsilon", "Nobody"} {
		if b.holds(planted) {
			t.Errorf("%q is in the output", planted)
		}
	}
}

// TestValidUntil: only those who occur in the source count, also those who may not enter yet.
func TestValidUntil(t *testing.T) {
	consents := fmt.Sprintf(consentLine, "c1", "active", "PAT-0001", "2020-01-01", "permit", "2029") +
		fmt.Sprintf(consentLine, "c2", "active", "PAT-0099", "2020-01-01", "permit", "2024-07") +
		fmt.Sprintf(consentLine, "c3", "active", "PAT-0006", "2025-03-01T08:30:00Z", "permit", "2029")
	for _, c := range []struct {
		asOf, want time.Time
		wantIn     int
	}{
		{asOf, time.Date(2025, 3, 1, 8, 30, 0, 0, time.UTC), 1},
		{time.Date(2025, 3, 1, 8, 30, 0, 0, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), 2},
		{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, 0},
	} {
		b := newBench(t)
		stageConsents(t, b, consents)
		p := voiceParams(b)
		p.AsOf, p.Checks = c.asOf, nil
		report := b.ingest(p)
		var got time.Time
		if report.ValidUntil != nil {
			got = *report.ValidUntil
		}
		if !got.Equal(c.want) || len(report.Subjects) != c.wantIn {
			t.Errorf("as of %v: %d subjects, valid until %v; want %d, %v", c.asOf, len(report.Subjects), got, c.wantIn, c.want)
		}
	}
}

func TestIngestIsRepeatable(t *testing.T) {
	var outputs [][]byte
	for range 2 {
		b := newBench(t)
		stageConsents(t, b, studyConsents)
		b.ingest(voiceParams(b))
		out, err := os.ReadFile(filepath.Join(b.output, "data.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, out)
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		t.Error("the same files gave other bytes")
	}
}

func TestIngestMistakes(t *testing.T) {
	for _, c := range []struct {
		name         string
		change       func(*bench, *privacy.IngestParams)
		reason, want string
		never        string // must not be told
	}{
		{name: "unknown subject", reason: "UnknownColumn", want: `there is no column "patientid"; did you mean "patient_id"?`,
			change: func(_ *bench, p *privacy.IngestParams) { p.Privacy.Subject = "patientid" }},
		{name: "unknown drop", reason: "UnknownColumn", want: `did you mean "name"?`,
			change: func(_ *bench, p *privacy.IngestParams) { p.Privacy.Drop = []string{"nam"} }},
		{name: "unknown check", reason: "UnknownColumn", want: `did you mean "jitter"?`,
			change: func(_ *bench, p *privacy.IngestParams) {
				p.Checks = []query.Check{{Column: "jiter", NotNull: true}}
			}},
		{name: "check of a dropped column", reason: "UnknownColumn", want: "removes it",
			change: func(_ *bench, p *privacy.IngestParams) {
				p.Checks = []query.Check{{Column: "name", NotNull: true}}
			}},
		{name: "dropped and replaced", reason: "Contradiction", want: "both dropped and pseudonymised",
			change: func(_ *bench, p *privacy.IngestParams) { p.Privacy.Drop = []string{"patient_id"} }},
		{name: "failed checks", reason: "CheckFailed", want: "3 of 3 checks failed: count(*) >= 30 of distinct patient_id: found 2; jitter is between 0 and 0.015: 2 rows break it (voice/a.csv row 2, 6); status is one of [2]: 3 rows break it",
			change: func(_ *bench, p *privacy.IngestParams) {
				p.Checks = []query.Check{{Expect: "count(*) >= 30", Of: "distinct patient_id"}, {Column: "jitter", Between: []any{0, 0.015}}, {Column: "status", In: []any{"2"}}}
			}},
		{name: "check reads elsewhere", reason: "InvalidCheck", want: "not available",
			change: func(_ *bench, p *privacy.IngestParams) {
				p.Checks = []query.Check{{Expect: "(select count(*) from read_text('/etc/passwd')) > 0"}}
			}},
		{name: "check reads the raw table", reason: "InvalidCheck", want: "its own dataset only",
			change: func(_ *bench, p *privacy.IngestParams) {
				p.Checks = []query.Check{{Expect: "(select min(name) from raw) > 'A'"}}
			}},
		{name: "check with a typing error", reason: "InvalidCheck", want: "syntax error",
			change: func(_ *bench, p *privacy.IngestParams) { p.Checks = []query.Check{{Expect: "count(* >= 1"}} }},
		{name: "ragged line", reason: "UnreadableFile", want: "voice/b.csv: line 3: 6 columns expected, 2 found", never: "Smith",
			change: func(b *bench, p *privacy.IngestParams) {
				p.Files = append(p.Files, b.sources(map[string]string{"voice/b.csv": "patient_id,name,birth_date,visit,jitter,status\nP,n,1950-01-01,1,0,1\nSmith,x\n"})...)
			}},
		{name: "other columns", reason: "UnreadableFile", want: "voice/b.csv: its columns differ from those of voice/a.csv: it lacks visit, jitter, status and has also vist",
			change: func(b *bench, p *privacy.IngestParams) {
				p.Files = append(p.Files, b.sources(map[string]string{"voice/b.csv": "patient_id,name,birth_date,vist\n"})...)
			}},
		{name: "not UTF-8", reason: "UnreadableFile", want: "not UTF-8",
			change: func(b *bench, p *privacy.IngestParams) {
				p.Files = b.sources(map[string]string{"voice/a.csv": "patient_id,name\nP1,Jos\xe9\n"})
			}},
		{name: "empty file", reason: "UnreadableFile", want: "voice/a.csv: the first line is empty",
			change: func(b *bench, p *privacy.IngestParams) { p.Files = b.sources(map[string]string{"voice/a.csv": ""}) }},
		{name: "wrong type", reason: "WrongType", want: "column name: 8 values are not of type double (voice/a.csv row 1, 2, 3, …)", never: "Anna",
			change: func(_ *bench, p *privacy.IngestParams) { p.Columns = map[string]string{"name": "double"} }},
		{name: "no such type", reason: "WrongType", want: `"nothing" is not a type`,
			change: func(_ *bench, p *privacy.IngestParams) { p.Columns = map[string]string{"name": "nothing"} }},
		{name: "identifier remains", reason: "IdentifierRemains", want: "it still holds the original patient_id in 2 rows", never: "PAT-",
			change: func(b *bench, p *privacy.IngestParams) {
				p.Files = b.sources(map[string]string{"voice/a.csv": "patient_id,name,birth_date,jitter,note\nPAT-0001,n,2000-01-01,0.1,see PAT-0001-x\nPAT-0005,m,2000-01-01,0.1,pat-0005\n"})
			}},
		{name: "unknown format", reason: "UnknownFormat", want: "use csv, parquet",
			change: func(_ *bench, p *privacy.IngestParams) { p.Format = "xls" }},
		{name: "no files", reason: "NoFiles", want: "no file matches",
			change: func(_ *bench, p *privacy.IngestParams) { p.Files = nil }},
		{name: "consents without columns", reason: "UnusableConsents", want: `has no column "patient"`,
			change: func(b *bench, p *privacy.IngestParams) {
				other := newBench(b.t)
				other.ingest(privacy.IngestParams{Format: "csv", Files: other.sources(map[string]string{"x.csv": "a,b\n1,2\n"})})
				table, _ := os.ReadFile(filepath.Join(other.output, "data.parquet"))
				b.file("inputs/consents/data.parquet", string(table))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			stageConsents(t, b, studyConsents)
			p := voiceParams(b)
			p.KeyFile = filepath.Join(b.root, "key")
			p.AsOf = asOf
			c.change(b, &p)
			code, end := b.run("ingest", p)
			if code != 2 || end.Kind != "Invalid" || end.Reason != c.reason || !strings.Contains(end.Message, c.want) {
				t.Errorf("exit %d %+v\nwant 2 %s with %q", code, end, c.reason, c.want)
			}
			if end.Field == "" {
				t.Error("no field is blamed")
			}
			if c.never != "" && strings.Contains(end.Message, c.never) {
				t.Errorf("the message tells %q", c.never)
			}
			if _, err := os.Stat(filepath.Join(b.output, "data.parquet")); err == nil {
				t.Error("data was written")
			}
		})
	}
}
