// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Raw is DuckDB's own account of an error.
type Raw struct {
	Type       string `json:"exception_type"`    // Binder, Catalog, Parser, Permission, Out of Memory, …
	Message    string `json:"exception_message"` // may hold values of the data
	Position   string `json:"position"`          // byte offset in the statement
	Name       string `json:"name"`
	Candidates string `json:"candidates"`
	Subtype    string `json:"error_subtype"`
}

// Error is the message.
func (r *Raw) Error() string { return r.Message }

// kinds of DuckDB's exceptions that are the statement's or the data's fault; the rest is ours.
var kinds = map[string]fault.Kind{
	"Binder": fault.Invalid, "Catalog": fault.Invalid, "Parser": fault.Invalid, "Syntax": fault.Invalid,
	"Conversion": fault.Invalid, "Invalid Input": fault.Invalid, "Out of Range": fault.Invalid,
	"Permission": fault.Invalid, "Not implemented": fault.Invalid, "Mismatch Type": fault.Invalid,
	"Constraint": fault.Invalid, "Invalid type": fault.Invalid, "Missing Extension": fault.Invalid,
	"Expression": fault.Invalid, "Divide by Zero": fault.Invalid, "Decimal": fault.Invalid,
	"Out of Memory": fault.Exhausted, "INTERRUPT": fault.Unavailable,
}

// translate gives an engine error a kind and keeps what it says about itself.
func translate(err error) error {
	raw := parseRaw(err)
	if raw == nil {
		return fault.Wrap(fault.Internal, "", err)
	}
	kind, known := kinds[raw.Type]
	if !known {
		kind = fault.Internal
	}
	return &fault.Error{Kind: kind, Err: raw}
}

func parseRaw(err error) *Raw {
	text := err.Error()
	start := strings.IndexByte(text, '{')
	if start < 0 {
		return nil
	}
	raw := &Raw{}
	if json.Unmarshal([]byte(text[start:]), raw) != nil || raw.Message == "" {
		return nil
	}
	return raw
}

// problem turns an error about a person's statement into words and a place. offset is what we put before it.
func problem(err error, statement string, offset int) *query.Problem {
	var raw *Raw
	if !errors.As(err, &raw) {
		return &query.Problem{Message: oneLine(err.Error())}
	}
	p := &query.Problem{Message: oneLine(raw.Message)}
	if pos, err := strconv.Atoi(raw.Position); err == nil {
		p.At(statement, pos-offset)
	}
	switch {
	case raw.Type == "Permission":
		p.Message = "a query reads datasets by name and nothing else: " + p.Message
		p.Hint = "name a dataset of the workspace as a table"
	case raw.Type == "Out of Memory":
		p.Hint = "give the step more memory (spec.resources.memory), or aggregate earlier"
	case raw.Subtype == "COLUMN_NOT_FOUND" && raw.Candidates != "":
		p.Message, _, _ = strings.Cut(p.Message, " Candidate bindings:")
		nearest, _, _ := strings.Cut(raw.Candidates, ",")
		p.Hint = "did you mean " + nearest + "?"
	}
	return p
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
