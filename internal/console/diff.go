// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
)

// difference tells two versions of a dataset apart.
type difference struct {
	Name    string        `json:"name"`
	From    side          `json:"from"`
	To      side          `json:"to"`
	Columns []columnDelta `json:"columns"` // that came, went or have another type
	Rows    rowsDelta     `json:"rows"`
	// Subjects is missing where a version names none.
	Subjects *subjectsDelta `json:"subjects,omitempty"`
	Inputs   []inputDelta   `json:"inputs"` // what it was made from that is not the same: why the versions differ
	// Declaration is true when SQL, command or resources of the step are not the same; false where that is not known.
	Declaration bool `json:"declaration,omitempty"`
}

// side is one of the two versions.
type side struct {
	Version int             `json:"version"`
	Rows    int64           `json:"rows"`
	Bytes   int64           `json:"bytes"`
	Created string          `json:"created"`
	Summary json.RawMessage `json:"summary,omitempty"` // the step's report: rows in, who was left out and why, checks
}

type columnDelta struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"` // its type; empty: it was not there
	To   string `json:"to,omitempty"`   // its type; empty: it is gone
}

// rowsDelta counts rows by their values in the columns that both versions have. Without a key a row that changed counts as
// removed and as added.
type rowsDelta struct {
	Compared bool     `json:"compared"`
	Why      string   `json:"why,omitempty"` // why they were not compared
	Key      []string `json:"key,omitempty"` // columns that say which rows are the same row
	Added    int64    `json:"added"`
	Removed  int64    `json:"removed"`
	Changed  int64    `json:"changed"`
}

// inputDelta is something that the version was made from.
type inputDelta struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Role string `json:"role"`
	From string `json:"from,omitempty"` // version or digest; empty: it was not used
	To   string `json:"to,omitempty"`
}

// datasetDiff compares ?from= (default: the version before) and ?to= (default: the current one); ?key= names columns,
// separated by commas. The counts of rows are for those who may read the data.
func (s *server) datasetDiff(w http.ResponseWriter, r *http.Request) {
	var d v1alpha1.Dataset
	if err := s.get(r, &d); err != nil {
		s.fail(w, r, err)
		return
	}
	from, to, err := s.pair(r, &d)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := difference{
		Name: d.Name, From: sideOf(from), To: sideOf(to), Columns: columnsDelta(from.Columns, to.Columns), Inputs: inputsDelta(from.Inputs, to.Inputs),
		Declaration: redeclared(from.Summary, to.Summary),
	}
	key := strings.FieldsFunc(r.URL.Query().Get("key"), func(c rune) bool { return c == ',' })
	if out.Subjects, err = s.subjectsDelta(r.Context(), from, to); err != nil {
		s.fail(w, r, err)
		return
	}
	if out.Rows, err = s.rowsDelta(r, &d, from, to, key); err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, out)
}

// pair reads the two versions that the request is about.
func (s *server) pair(r *http.Request, d *v1alpha1.Dataset) (from, to lake.Version, err error) {
	numbers := map[string]int{"to": int(d.Status.Version)}
	for _, which := range []string{"to", "from"} {
		text := r.URL.Query().Get(which)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
		if err != nil || n < 1 {
			return from, to, fault.New(fault.Invalid, which, "%q is not a version number", text)
		}
		numbers[which] = n
	}
	if numbers["from"] == 0 {
		numbers["from"] = numbers["to"] - 1
	}
	if numbers["from"] < 1 {
		return from, to, fault.New(fault.Conflict, "dataset "+d.Name, "it has %d version, and a difference needs two", d.Status.Version).
			WithHint("see `fathom show dataset %s`", d.Name)
	}
	if from, err = s.Lake.Version(r.Context(), nameOf(r), numbers["from"]); err != nil {
		return from, to, err
	}
	to, err = s.Lake.Version(r.Context(), nameOf(r), numbers["to"])
	return from, to, err
}

func sideOf(v lake.Version) side {
	var summary struct {
		Report json.RawMessage `json:"report"`
	}
	_ = json.Unmarshal(v.Summary, &summary) // a version without a report has none to tell
	return side{Version: v.Number, Rows: v.Rows, Bytes: v.Bytes, Created: v.Created.Format("2006-01-02T15:04:05Z"), Summary: summary.Report}
}

func columnsDelta(from, to []lake.Column) []columnDelta {
	out := []columnDelta{}
	for _, c := range from {
		now := typeOf(to, c.Name)
		if now != c.Type {
			out = append(out, columnDelta{Name: c.Name, From: c.Type, To: now})
		}
	}
	for _, c := range to {
		if typeOf(from, c.Name) == "" {
			out = append(out, columnDelta{Name: c.Name, To: c.Type})
		}
	}
	return out
}

func typeOf(columns []lake.Column, name string) string {
	for _, c := range columns {
		if c.Name == name {
			return c.Type
		}
	}
	return ""
}

func inputsDelta(from, to []lake.Input) []inputDelta {
	type id struct{ kind, name, role string }
	content := func(i lake.Input) string { return cmp.Or(i.Version, string(i.Digest)) }
	found := map[id]*inputDelta{}
	var order []id
	at := func(i lake.Input) *inputDelta {
		k := id{i.Kind, i.Name, i.Role}
		if found[k] == nil {
			found[k] = &inputDelta{Kind: i.Kind, Name: i.Name, Role: i.Role}
			order = append(order, k)
		}
		return found[k]
	}
	for _, i := range from {
		at(i).From = content(i)
	}
	for _, i := range to {
		at(i).To = content(i)
	}
	out := []inputDelta{}
	for _, k := range order {
		if d := found[k]; d.From != d.To {
			out = append(out, *d)
		}
	}
	slices.SortStableFunc(out, func(a, b inputDelta) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// redeclared compares what the two steps were told. Steps that take in files are told which, so that for them it says nothing.
func redeclared(from, to json.RawMessage) bool {
	type told struct{ Step, Parameters string }
	var a, b told
	if json.Unmarshal(from, &a) != nil || json.Unmarshal(to, &b) != nil || a.Step == v1alpha1.StepIngest {
		return false
	}
	return a != b
}

// rowsDelta counts rows, if the caller may read them.
func (s *server) rowsDelta(r *http.Request, d *v1alpha1.Dataset, from, to lake.Version, key []string) (rowsDelta, error) {
	if err := s.mayRead(r, d); fault.Is(err, fault.Forbidden) {
		return rowsDelta{Why: "you may not read its data"}, nil
	} else if err != nil {
		return rowsDelta{}, err
	}
	var common []string
	for _, c := range to.Columns {
		if typeOf(from.Columns, c.Name) != "" {
			common = append(common, c.Name)
		}
	}
	for _, k := range key {
		if !slices.Contains(common, k) {
			return rowsDelta{}, fault.New(fault.Invalid, "key", "%q is not a column of both versions", k).WithHint("they share %s", strings.Join(common, ", "))
		}
	}
	if len(common) == 0 {
		return rowsDelta{Why: "the versions share no column"}, nil
	}
	p := query.ReadParams{SQL: deltaSQL(common, key), Workspace: d.Namespace, Format: "json", Limit: 1}
	for _, v := range []struct {
		name    string
		version lake.Version
	}{{"fathom_from", from}, {"fathom_to", to}} {
		files, err := s.versionFiles(r.Context(), v.version)
		if err != nil {
			return rowsDelta{}, err
		}
		p.Tables = append(p.Tables, query.Table{Name: v.name, Files: files})
	}
	var text bytes.Buffer
	if err := s.Query(r.Context(), p, &text); err != nil {
		return rowsDelta{}, err
	}
	out := rowsDelta{Compared: true, Key: key}
	if err := json.Unmarshal(text.Bytes(), &out); err != nil {
		return rowsDelta{}, fault.New(fault.Internal, "diff", "the counts cannot be read: %w", err)
	}
	return out, nil
}

// deltaSQL counts the rows that came, went and, where a key tells which rows are the same, changed.
func deltaSQL(common, key []string) string {
	columns := quoted(common)
	if len(key) == 0 {
		return fmt.Sprintf(`select (select count(*) from (select %[1]s from fathom_to except all select %[1]s from fathom_from)) as added,
			(select count(*) from (select %[1]s from fathom_from except all select %[1]s from fathom_to)) as removed, 0 as changed`, columns)
	}
	keys := quoted(key)
	return fmt.Sprintf(`select (select count(*) from fathom_to anti join fathom_from using (%[2]s)) as added,
		(select count(*) from fathom_from anti join fathom_to using (%[2]s)) as removed,
		(select count(*) from (select distinct %[2]s from (select %[1]s from fathom_to except all select %[1]s from fathom_from))
			semi join fathom_from using (%[2]s)) as changed`, columns, keys)
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
	}
	return strings.Join(out, ", ")
}
