// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// resourceColumns are the columns of FHIR resources other than Consent.
var resourceColumns = []query.Column{
	{Name: "id", Type: "VARCHAR"}, {Name: "resourceType", Type: "VARCHAR"},
	{Name: "subject", Type: "VARCHAR"},  // id of the patient it is about; of a Patient, its own
	{Name: "resource", Type: "VARCHAR"}, // JSON
}

// placed is a resource and where it was.
type placed struct {
	file int
	row  int64
	text json.RawMessage
	kind string
}

// loadFHIR reads resources from NDJSON, single resources and Bundles. If all are Consents the table has a row for each
// provision, otherwise a row for each resource.
func (in *ingestion) loadFHIR(ctx context.Context) error {
	var all []placed
	for i, f := range in.files {
		found, err := readResources(f.Path, f.Name)
		if err != nil {
			return err
		}
		for j := range found {
			found[j].file, found[j].row = i, int64(j+1)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return fault.New(fault.Invalid, in.files[0].Name, "there is no FHIR resource in it").WithHint("FHIR files are NDJSON, resources or Bundles of R4 in JSON")
	}
	columns, flatten := resourceColumns, flattenResource
	if !slices.ContainsFunc(all, func(r placed) bool { return r.kind != "Consent" }) {
		columns, flatten = consentColumns, flattenConsent
	}
	var pending [][]any
	next := 0
	return in.engine.Append(ctx, rawTable, columns, func() (int, int64, []any, error) {
		for len(pending) == 0 {
			if next == len(all) {
				return 0, 0, nil, io.EOF
			}
			rows, err := flatten(all[next])
			if err != nil {
				return 0, 0, nil, fault.New(fault.Invalid, in.files[all[next].file].Name, "resource %d: %v", all[next].row, err)
			}
			pending = rows
			next++
		}
		row := pending[0]
		pending = pending[1:]
		return all[next-1].file, all[next-1].row, row, nil
	})
}

// readResources reads one JSON value after the other; a Bundle gives its entries.
func readResources(file, name string) ([]placed, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New(fault.Internal, name, "the staged file cannot be opened")
	}
	defer f.Close()
	d := json.NewDecoder(f)
	var out []placed
	for n := 1; ; n++ {
		var text json.RawMessage
		err := d.Decode(&text)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil {
			out, err = unpack(text, out, 0)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, name, "line %d: %s", lineOf(file, d.InputOffset()), jsonReason(err)).
				WithHint("FHIR files are NDJSON, resources or Bundles of R4 in JSON")
		}
	}
}

// jsonReason leaves out what a syntax error quotes.
func jsonReason(err error) string {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return "this is not JSON"
	case errors.As(err, &typ):
		return "the field " + typ.Field + " has the wrong type"
	}
	return err.Error()
}

func lineOf(file string, offset int64) int {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, offset))
	return strings.Count(strings.TrimRight(string(b), " \r\n\t"), "\n") + 1
}

const maxNesting = 4 // Bundles in Bundles

// unpack appends a resource, or the resources of a Bundle.
func unpack(text json.RawMessage, out []placed, depth int) ([]placed, error) {
	var head struct {
		Type  string `json:"resourceType"`
		Entry []struct {
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	switch {
	case head.Type == "":
		return nil, errors.New("this JSON has no resourceType")
	case head.Type != "Bundle":
		return append(out, placed{text: text, kind: head.Type}), nil
	case depth == maxNesting:
		return nil, errors.New("bundles are nested too deeply")
	}
	for _, e := range head.Entry {
		if len(e.Resource) == 0 {
			continue
		}
		var err error
		if out, err = unpack(e.Resource, out, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type coding struct {
	Code string `json:"code"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type reference struct {
	Reference  string `json:"reference"`
	Identifier struct {
		Value string `json:"value"`
	} `json:"identifier"`
}

// id is what a reference points to: the last part of its path, or a logical identifier.
func (r reference) id() string {
	if r.Reference == "" {
		return r.Identifier.Value
	}
	before, _, _ := strings.Cut(r.Reference, "/_history/")
	return path.Base(strings.TrimPrefix(before, "urn:uuid:"))
}

func flattenResource(p placed) ([][]any, error) {
	var r struct {
		ID      string    `json:"id"`
		Subject reference `json:"subject"`
		Patient reference `json:"patient"`
	}
	// Some kinds have other shapes in these fields; they are about nobody then.
	_ = json.Unmarshal(p.text, &r)
	subject := r.Subject.id()
	if subject == "" {
		subject = r.Patient.id()
	}
	if p.kind == "Patient" {
		subject = r.ID
	}
	return [][]any{{r.ID, p.kind, text(subject), string(p.text)}}, nil
}

type provision struct {
	Type   string `json:"type"`
	Period struct {
		Start string `json:"start"`
		End   string `json:"end"`
	} `json:"period"`
	Purpose   []coding    `json:"purpose"`
	Code      []concept   `json:"code"`
	Provision []provision `json:"provision"`
}

type fhirConsent struct {
	ID   string `json:"id"`
	Meta struct {
		LastUpdated string `json:"lastUpdated"`
	} `json:"meta"`
	Status     string    `json:"status"`
	Scope      concept   `json:"scope"`
	Category   []concept `json:"category"`
	Patient    reference `json:"patient"`
	DateTime   string    `json:"dateTime"`
	PolicyRule concept   `json:"policyRule"`
	Provision  provision `json:"provision"`
}

func flattenConsent(p placed) ([][]any, error) {
	var c fhirConsent
	if err := json.Unmarshal(p.text, &c); err != nil {
		return nil, errors.New(jsonReason(err))
	}
	given, err := instant("dateTime", c.DateTime, false)
	if err != nil {
		return nil, err
	}
	updated, err := instant("meta.lastUpdated", c.Meta.LastUpdated, false)
	if err != nil {
		return nil, err
	}
	if c.ID == "" {
		c.ID = "resource-" + strconv.Itoa(p.file) + "-" + strconv.FormatInt(p.row, 10)
	}
	if c.Provision.Type == "" {
		c.Provision.Type = opted(c.PolicyRule)
	}
	head := []any{c.ID, text(c.Patient.id()), text(c.Status), codesOf(c.Scope), codesOf(c.Category...), given, updated}
	return flattenProvision(head, "", c.Provision, nil)
}

// opted reads the base rule of a consent without a typed provision (HL7 v3 ActConsentDirective).
func opted(rule concept) string {
	for _, c := range rule.Coding {
		switch c.Code {
		case "OPTIN":
			return "permit"
		case "OPTOUT":
			return "deny"
		}
	}
	return ""
}

func flattenProvision(head []any, at string, p provision, rows [][]any) ([][]any, error) {
	start, err := instant("period.start", p.Period.Start, false)
	if err != nil {
		return nil, err
	}
	end, err := instant("period.end", p.Period.End, true)
	if err != nil {
		return nil, err
	}
	purposes := make([]string, 0, len(p.Purpose))
	for _, c := range p.Purpose {
		purposes = append(purposes, c.Code)
	}
	rows = append(rows, append(slices.Clone(head), at, text(p.Type), purposes, codesOf(p.Code...), start, end))
	for i, nested := range p.Provision {
		below := strconv.Itoa(i)
		if at != "" {
			below = at + "." + below
		}
		if rows, err = flattenProvision(head, below, nested, rows); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func codesOf(concepts ...concept) []string {
	out := []string{}
	for _, c := range concepts {
		for _, coding := range c.Coding {
			out = append(out, coding.Code)
		}
	}
	return out
}

// text is NULL for the empty string.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// instants are the precisions of FHIR's dateTime, and how long each lasts.
var instants = []struct {
	layout string
	last   func(time.Time) time.Time
}{
	{time.RFC3339Nano, func(t time.Time) time.Time { return t }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
}

// instant reads a dateTime as the first moment it means, or the last one: a period's end includes its whole day. The
// answer is a time.Time in UTC or nil.
func instant(field, s string, last bool) (any, error) {
	if s == "" {
		return nil, nil
	}
	for _, p := range instants {
		t, err := time.Parse(p.layout, s)
		if err != nil {
			continue
		}
		if end := p.last(t); last && end.After(t) {
			t = end.Add(-time.Microsecond)
		}
		return t.UTC(), nil
	}
	return nil, errors.New(field + " is not a FHIR dateTime")
}
