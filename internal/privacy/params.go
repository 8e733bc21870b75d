// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"time"

	"fathom.dev/fathom/internal/query"
)

// IngestParams are the parameters of `fathom-step ingest`.
type IngestParams struct {
	Workspace string `json:"workspace"`
	Dataset   string `json:"dataset"`
	// Format is csv, parquet, ndjson, fhir, dicom or text.
	Format string `json:"format"`
	// Files are the sources, staged below $FATHOM_INPUTS/source.
	Files []SourceFile `json:"files"`
	// Pattern has RE2 named groups, one a column; only for format text. A line that does not match is left out.
	Pattern string `json:"pattern,omitempty"`
	// PathPattern has RE2 named groups that are matched against a file's path and become columns; only for format text.
	PathPattern string `json:"pathPattern,omitempty"`
	// Columns fix the type of columns by name, in DuckDB's words, for example {"visit": "DATE"}. Others are found out.
	Columns map[string]string `json:"columns,omitempty"`
	Privacy *Policy           `json:"privacy,omitempty"`
	Checks  []query.Check     `json:"checks,omitempty"`
	// KeyFile holds the workspace's pseudonym key (at least 32 bytes). Required when Privacy names a subject or
	// columns to pseudonymise, and for DICOM with any Privacy.
	KeyFile string `json:"keyFile,omitempty"`
	// AsOf is the time at which consents are judged; RFC 3339. Required when Privacy names a subject or
	// columns to pseudonymise, and for DICOM with any Privacy.Consent, so that a replay judges alike.
	AsOf time.Time `json:"asOf,omitzero"`
	// Memory bounds the SQL engine, for example "512MB"; default: most of the container.
	Memory string `json:"memory,omitempty"`
}

// SourceFile is one staged source.
type SourceFile struct {
	Path     string    `json:"path"` // below $FATHOM_INPUTS/source
	Digest   string    `json:"digest,omitempty"`
	Size     int64     `json:"size,omitempty"` // bytes
	Modified time.Time `json:"modified,omitzero"`
}

// Policy is a dataset's spec.privacy.
type Policy struct {
	Subject      string        `json:"subject,omitempty"` // the column that says who a row is about
	Consent      *ConsentRule  `json:"consent,omitempty"`
	Pseudonymise []string      `json:"pseudonymise,omitempty"`
	Drop         []string      `json:"drop,omitempty"`
	Deidentify   *Deidentified `json:"deidentify,omitempty"` // only for format dicom, where it is the default with a subject
}

// ConsentRule admits only rows whose subject permits the purpose.
type ConsentRule struct {
	// Dataset is for messages; its Parquet files are staged as $FATHOM_INPUTS/consents/*.parquet.
	Dataset string `json:"dataset"`
	// Purpose is a code of the Consent's scope, category, provision.purpose or provision.code, for example "research".
	Purpose string `json:"purpose"`
}

// Deidentified says how DICOM objects lose their identity.
type Deidentified struct {
	Profile string   `json:"profile,omitempty"` // basic (default)
	Options []string `json:"options,omitempty"` // retain-longitudinal-modified
}

// IngestReport is what `fathom-step ingest` leaves in report.json. It holds no value of an identifying column.
type IngestReport struct {
	RowsIn   int64               `json:"rowsIn"`
	RowsOut  int64               `json:"rowsOut"`
	Bytes    int64               `json:"bytes"` // of data.parquet
	Excluded []Exclusion         `json:"excluded"`
	Checks   []query.CheckResult `json:"checks"`
	Files    []FileReport        `json:"files"`
	// Subjects are the pseudonyms of everyone who is in, sorted; empty without a subject.
	Subjects []string `json:"subjects"`
	Schema   []Column `json:"schema"`
	// Identified is true when rows can be traced to a person with this dataset alone: it has a subject and the subject
	// was not pseudonymised, or it is about people and names no subject.
	Identified bool `json:"identified"`
	// ValidUntil is the first moment after AsOf, RFC 3339, at which a consent begins or ends for someone who occurs in the
	// source, so that the same files would give other rows; absent when there is none.
	ValidUntil *time.Time `json:"validUntil,omitempty"`
	Findings   []Finding  `json:"findings,omitempty"`
	Objects    int64      `json:"objects,omitempty"` // files below objects/
}

// Exclusion counts rows that did not enter, for one reason.
type Exclusion struct {
	Reason   string `json:"reason"`
	Rows     int64  `json:"rows"`
	Subjects int64  `json:"subjects"`
}

// FileReport is what became of one source, in the order of paths.
type FileReport struct {
	// Path is replaced by a keyed name when the dataset has a privacy policy: a path may hold an identifier.
	Path   string `json:"path"`
	Digest string `json:"digest,omitempty"`
	Rows   int64  `json:"rows"`
}

// Column is a column of the result.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Finding is a suspicion that a person should look at.
type Finding struct {
	Column  string `json:"column"`
	Message string `json:"message"`
	Rows    int64  `json:"rows"`
}
