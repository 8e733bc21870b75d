// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// consentColumns are the columns of a consents table; Consent resources become rows of it.
var consentColumns = []query.Column{
	{Name: "id", Type: "VARCHAR"}, {Name: "patient", Type: "VARCHAR"}, {Name: "status", Type: "VARCHAR"},
	{Name: "scope", Type: "VARCHAR[]"}, {Name: "category", Type: "VARCHAR[]"},
	{Name: "date_time", Type: "TIMESTAMP"}, {Name: "last_updated", Type: "TIMESTAMP"},
	{Name: "provision", Type: "VARCHAR"}, // path of a nested provision, for example "0.2"; empty for the Consent itself
	{Name: "provision_type", Type: "VARCHAR"},
	{Name: "purpose", Type: "VARCHAR[]"}, {Name: "code", Type: "VARCHAR[]"},
	{Name: "period_start", Type: "TIMESTAMP"}, {Name: "period_end", Type: "TIMESTAMP"},
}

// readConsents prepares in.judge from the staged consents. Whoever is judged counts for the report's validUntil.
func (in *ingestion) readConsents(ctx context.Context) error {
	rule := in.policy.Consent
	if rule == nil {
		return nil
	}
	if in.policy.Subject == "" {
		return blamed("SubjectMissing", "spec.privacy.subject", fault.New(fault.Invalid, "", "consent needs to know who a row is about").WithHint("set spec.privacy.subject"))
	}
	if in.p.AsOf.IsZero() {
		return fault.New(fault.Internal, "read consents", "asOf is missing")
	}
	rows, err := in.provisions(ctx)
	if err != nil {
		return blamed("UnusableConsents", "spec.privacy.consent.dataset", err)
	}
	verdicts := privacy.Judge(rows, rule.Purpose, in.p.AsOf)
	changes := privacy.Changes(rows, rule.Purpose, in.p.AsOf)
	in.judge = func(subject string) (bool, string) {
		v, known := verdicts[subject]
		at := changes[subject]
		if !known && at.IsZero() { // the consents may be pseudonymised themselves
			pseudonym := in.key.Pseudonym(subject)
			v, known = verdicts[pseudonym]
			at = changes[pseudonym]
		}
		if first := in.report.ValidUntil; !at.IsZero() && (first == nil || at.Before(*first)) {
			in.report.ValidUntil = &at
		}
		if !known {
			return false, privacy.NoConsent
		}
		return v.Permit, v.Reason
	}
	return nil
}

// provisions reads the staged consents table. Columns that it lacks are empty, so that a hand-written table with patient
// and provision_type is enough.
func (in *ingestion) provisions(ctx context.Context) ([]privacy.Provision, error) {
	name := in.policy.Consent.Dataset
	files, _ := filepath.Glob(filepath.Join(in.inputs, "consents", "*.parquet"))
	if len(files) == 0 {
		return nil, fault.New(fault.Internal, "read consents", "no file of the dataset %q was staged", name)
	}
	slices.Sort(files)
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = duck.Text(f)
	}
	from := "read_parquet([" + strings.Join(quoted, ", ") + "])"
	have, err := in.engine.Describe(ctx, "SELECT * FROM "+from)
	if err != nil {
		return nil, err
	}
	fields, err := consentFields(name, have)
	if err != nil {
		return nil, err
	}
	var rows []privacy.Provision
	err = in.engine.Each(ctx, "SELECT "+strings.Join(fields, ", ")+" FROM "+from, func(scan func(...any) error) error {
		r, err := scanProvision(scan)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// consentFields are expressions, one for each of consentColumns; lists become text with '|'.
func consentFields(dataset string, have []query.Column) ([]string, error) {
	types := map[string]string{}
	for _, c := range have {
		types[c.Name] = c.Type
	}
	var fields []string
	for _, c := range consentColumns {
		typ, present := types[c.Name]
		switch {
		case !present && (c.Name == "patient" || c.Name == "provision_type"):
			return nil, fault.New(fault.Invalid, "", "the dataset %q has no column %q, so it is no table of consents", dataset, c.Name).
				WithHint("make it from FHIR Consent resources (format: fhir)")
		case !present && c.Name == "status":
			fields = append(fields, "'active'")
		case !present && c.Type == "TIMESTAMP":
			fields = append(fields, "NULL::TIMESTAMP")
		case !present:
			fields = append(fields, "''")
		case c.Type == "TIMESTAMP":
			fields = append(fields, "CAST("+duck.Ident(c.Name)+" AS TIMESTAMP)")
		case strings.HasSuffix(typ, "[]"):
			fields = append(fields, "coalesce(array_to_string("+duck.Ident(c.Name)+", '|'), '')")
		default:
			fields = append(fields, "coalesce(CAST("+duck.Ident(c.Name)+" AS VARCHAR), '')")
		}
	}
	return fields, nil
}

func scanProvision(scan func(...any) error) (privacy.Provision, error) {
	var r privacy.Provision
	var scope, category, purpose, code string
	var given, updated, start, end sql.NullTime
	err := scan(&r.Consent, &r.Patient, &r.Status, &scope, &category, &given, &updated, &r.Path, &r.Type, &purpose, &code, &start, &end)
	r.Scope, r.Category, r.Purpose, r.Code = split(scope), split(category), split(purpose), split(code)
	r.Given, r.Updated, r.Start, r.End = given.Time, updated.Time, start.Time, end.Time
	return r, err
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == '|' || r == ',' })
}
