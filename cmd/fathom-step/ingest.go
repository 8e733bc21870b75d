// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
	"fathom.dev/fathom/internal/ref"
)

// ingestion is one run of ingest.
type ingestion struct {
	*step
	p      privacy.IngestParams
	policy privacy.Policy // p.Privacy, or empty
	key    privacy.Key
	keyed  bool // key is set
	engine *duck.Engine
	files  []duck.Source
	judge  func(subject string) (bool, string) // nil without a consent rule
	report privacy.IngestReport
}

// Tables of the engine while a dataset is made.
const (
	rawTable  = "raw"  // as read, typed
	dataTable = "data" // what enters; checks name it so
)

// ingest turns staged source files into data.parquet, objects/ and report.json.
func ingest(ctx context.Context, s *step) error {
	in := &ingestion{step: s}
	if err := in.setUp(); err != nil {
		return err
	}
	engine, err := duck.Open(ctx, duck.Options{Limits: query.Limits{Memory: in.p.Memory}, Folders: []string{s.inputs, s.output}})
	if err != nil {
		return err
	}
	defer engine.Close()
	in.engine = engine
	for _, stage := range []struct {
		fraction float64
		name     string
		run      func(context.Context) error
	}{
		{0.02, "reading consents", in.readConsents},
		{0.05, "reading files", in.load},
		{0.60, "applying privacy", in.protect},
		{0.80, "checking", in.check},
		{0.90, "writing", in.write},
	} {
		s.tell(stage.fraction, "%s", stage.name)
		if err := stage.run(ctx); err != nil {
			return err
		}
	}
	s.tell(1, "%d rows", in.report.RowsOut)
	return nil
}

// setUp reads parameters and the key, and finds the files.
func (in *ingestion) setUp() error {
	if err := in.read(&in.p); err != nil {
		return err
	}
	if in.p.Privacy != nil {
		in.policy = *in.p.Privacy
	}
	in.report = privacy.IngestReport{Excluded: []privacy.Exclusion{}, Checks: []query.CheckResult{}, Files: []privacy.FileReport{}, Subjects: []string{}}
	if in.needsKey() || in.p.KeyFile != "" {
		key, err := privacy.ReadKey(secretFile(in.p.KeyFile))
		if err != nil {
			return blamed("KeyMissing", "spec.privacy", err)
		}
		in.key, in.keyed = key, true
	}
	if len(in.p.Files) == 0 {
		return blamed("NoFiles", "spec.from.files.url", fault.New(fault.Invalid, "", "no file matches").WithHint("put files there, or correct the url"))
	}
	files := slices.Clone(in.p.Files)
	slices.SortFunc(files, func(a, b privacy.SourceFile) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range files {
		if _, err := ref.RelPath(f.Path); err != nil {
			return err
		}
		in.files = append(in.files, duck.Source{Path: filepath.Join(in.inputs, "source", filepath.FromSlash(f.Path)), Name: f.Path})
	}
	in.p.Files = files
	return nil
}

// needsKey reports whether something must be replaced by a keyed pseudonym.
func (in *ingestion) needsKey() bool {
	return in.policy.Subject != "" || len(in.policy.Pseudonymise) > 0 || in.p.Format == "dicom" && in.p.Privacy != nil
}

// load reads the files into the raw table.
func (in *ingestion) load(ctx context.Context) error {
	readers := map[string]func(context.Context) error{
		"csv":     func(ctx context.Context) error { return in.engine.LoadCSV(ctx, rawTable, in.files) },
		"parquet": func(ctx context.Context) error { return in.engine.LoadParquet(ctx, rawTable, in.files) },
		"ndjson":  func(ctx context.Context) error { return in.engine.LoadNDJSON(ctx, rawTable, in.files) },
		"fhir":    in.loadFHIR,
		"dicom":   in.loadDICOM,
		"text":    in.loadText,
	}
	read, known := readers[in.p.Format]
	if !known {
		err := fault.New(fault.Invalid, "", "the format %q is unknown", in.p.Format).WithHint("use csv, parquet, ndjson, fhir, dicom or text")
		return blamed("UnknownFormat", "spec.from.files.format", err)
	}
	if err := read(ctx); err != nil {
		return blamed("UnreadableFile", "spec.from.files", err)
	}
	columns, err := in.columns(ctx, rawTable)
	if err != nil {
		return err
	}
	if err := in.checkNames(columns); err != nil {
		return err
	}
	types := duck.Types{Fixed: in.p.Columns, Text: slices.Clone(in.policy.Pseudonymise), Infer: in.p.Format == "csv" || in.p.Format == "text"}
	if in.policy.Subject != "" {
		types.Text = append(types.Text, in.policy.Subject)
	}
	return blamed("WrongType", "spec.from.files.columns", in.engine.SetTypes(ctx, rawTable, types, in.files))
}

// columns lists a table's own columns.
func (in *ingestion) columns(ctx context.Context, table string) ([]query.Column, error) {
	return ownColumns(ctx, in.engine, table)
}

// mention is a column's name in the declaration.
type mention struct{ field, name string }

// mentions lists every column that the declaration names.
func (in *ingestion) mentions() []mention {
	var all []mention
	if in.policy.Subject != "" {
		all = append(all, mention{"spec.privacy.subject", in.policy.Subject})
	}
	for _, c := range in.policy.Pseudonymise {
		all = append(all, mention{"spec.privacy.pseudonymise", c})
	}
	for _, c := range in.policy.Drop {
		all = append(all, mention{"spec.privacy.drop", c})
	}
	for _, c := range slices.Sorted(mapKeys(in.p.Columns)) {
		all = append(all, mention{"spec.from.files.columns", c})
	}
	for _, c := range in.p.Checks {
		if c.Column != "" {
			all = append(all, mention{"spec.checks", c.Column})
		}
	}
	return all
}

// checkNames reports the first name in the declaration that is no column, with the nearest one that is, or that is used
// in ways that exclude each other.
func (in *ingestion) checkNames(columns []query.Column) error {
	have := columnNames(columns)
	for _, m := range in.mentions() {
		dropped := slices.Contains(in.policy.Drop, m.name)
		switch {
		case !slices.Contains(have, m.name):
			return unknownColumn(m.field, m.name, have)
		case dropped && m.field == "spec.checks":
			return blamed("UnknownColumn", m.field, fault.New(fault.Invalid, "", "the column %q is checked, but spec.privacy.drop removes it", m.name))
		case dropped && m.field == "spec.privacy.pseudonymise":
			return blamed("Contradiction", m.field, fault.New(fault.Invalid, "", "the column %q is both dropped and pseudonymised", m.name))
		}
	}
	return nil
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func columnNames(columns []query.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// protect applies subject, consent, pseudonyms and drop.
func (in *ingestion) protect(ctx context.Context) error {
	a := duck.Admission{
		Subject: in.policy.Subject, Judge: in.judge, NoSubject: privacy.NoSubject,
		Pseudonym: in.key.Pseudonym, Pseudonymise: in.policy.Pseudonymise, Drop: in.policy.Drop,
	}
	if in.p.Format == "dicom" { // subject and consent were decided object by object
		a.Subject = ""
		a.Pseudonymise = slices.DeleteFunc(slices.Clone(a.Pseudonymise), func(c string) bool { return c == subjectTag })
	}
	admitted, err := in.engine.Admit(ctx, rawTable, dataTable, a)
	if err != nil {
		return blamed("IdentifierRemains", "spec.privacy", err)
	}
	in.report.RowsIn += admitted.RowsIn
	in.report.RowsOut = admitted.RowsOut
	for _, x := range admitted.Excluded {
		in.report.Excluded = append(in.report.Excluded, privacy.Exclusion{Reason: x.Reason, Rows: x.Rows, Subjects: x.Subjects})
	}
	in.report.Subjects = append(in.report.Subjects, admitted.Subjects...)
	for _, x := range admitted.Suspicions {
		in.report.Findings = append(in.report.Findings, privacy.Finding{Column: x.Column, Rows: x.Rows,
			Message: fmt.Sprintf("holds values of the dropped column %s; drop it too if they identify", x.Of)})
	}
	in.report.Identified = in.identified()
	return nil
}

// identified reports whether the result still names people: its subject is neither replaced nor dropped, or patient
// records came in without any protection.
func (in *ingestion) identified() bool {
	if in.p.Format == "dicom" {
		return in.p.Privacy == nil
	}
	s := in.policy.Subject
	if s == "" {
		return in.p.Format == "fhir" && len(in.policy.Pseudonymise) == 0
	}
	return !slices.Contains(in.policy.Pseudonymise, s) && !slices.Contains(in.policy.Drop, s)
}

// write leaves data.parquet and report.json.
func (in *ingestion) write(ctx context.Context) error {
	columns, err := in.columns(ctx, dataTable)
	if err != nil {
		return err
	}
	if len(columns) == 0 {
		return blamed("NoColumns", "spec.privacy.drop", fault.New(fault.Invalid, "", "no column is left"))
	}
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = duck.Ident(c.Name)
		in.report.Schema = append(in.report.Schema, privacy.Column(c))
	}
	statement := fmt.Sprintf("SELECT %s FROM %s ORDER BY %s, %s", strings.Join(fields, ", "), dataTable, duck.FileColumn, duck.RowColumn)
	written, err := in.engine.WriteParquet(ctx, statement, filepath.Join(in.output, "data.parquet"))
	if err != nil {
		return err
	}
	in.report.Bytes = written.Bytes
	if err := in.countFiles(ctx); err != nil {
		return err
	}
	return in.step.report(in.report)
}

// countFiles says how many rows each source had.
func (in *ingestion) countFiles(ctx context.Context) error {
	rows := make([]int64, len(in.p.Files))
	err := in.engine.Each(ctx, fmt.Sprintf("SELECT %[1]s, count(*) FROM %[2]s GROUP BY 1", duck.FileColumn, rawTable), func(scan func(...any) error) error {
		var file int
		var n int64
		if err := scan(&file, &n); err != nil {
			return err
		}
		rows[file] = n
		return nil
	})
	for i, f := range in.p.Files {
		r := privacy.FileReport{Path: f.Path, Digest: f.Digest, Rows: rows[i]}
		if in.keyed && in.p.Privacy != nil {
			r.Path = in.key.Name(f.Path)
		}
		in.report.Files = append(in.report.Files, r)
	}
	return err
}

// secretFile is where a file of the step's secret lies; an absolute path stays as it is.
func secretFile(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(os.Getenv("FATHOM_SECRET"), name)
}
