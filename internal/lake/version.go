// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"encoding/json"
	"time"

	"fathom.dev/fathom/internal/ref"
)

// Limits on what one commit may carry.
const (
	MaxSummary = 256 << 10 // bytes of CommitRequest.Summary
	MaxFiles   = 1_000_000 // files of one manifest
)

// CommitRequest asks for the next version of a dataset.
type CommitRequest struct {
	Name        ref.Name
	Fingerprint string // what the version was made from; the same fingerprint is never committed twice

	// Files names blobs that are stored already. At least one "*.parquet" outside "objects/" is required: those are the
	// table, and must agree on one schema. "objects/…" are objects that rows point at; anything else is kept beside them.
	Files FileManifest

	Summary   json.RawMessage // a JSON value for people: rows in, exclusions by reason, checks; at most MaxSummary; may be empty
	Run       string          // UID of the run that made it; may be empty
	Inputs    []Input         // what it was made from; becomes lineage
	Subjects  []string        // pseudonyms of everyone a row is about; nil when the dataset names no subject
	CreatedBy string          // who asked, for people
}

// Input is something a version was made from, and what it was for.
type Input struct {
	Artifact
	Role string `json:"role"` // RoleInput, RoleSource, …
}

// Version is one immutable state of a dataset.
type Version struct {
	Name        ref.Name        `json:"name"`
	Number      int             `json:"number"` // 1, 2, 3 without gaps
	Fingerprint string          `json:"fingerprint"`
	Snapshot    int64           `json:"snapshot"` // the Iceberg snapshot id
	Manifest    ref.Digest      `json:"manifest"` // of the FileManifest
	Rows        int64           `json:"rows"`     // of the table, from the Parquet footers
	Bytes       int64           `json:"bytes"`    // of all files
	Columns     []Column        `json:"columns"`
	Summary     json.RawMessage `json:"summary,omitempty"`
	Run         string          `json:"run,omitempty"`
	Inputs      []Input         `json:"inputs,omitempty"`
	CreatedBy   string          `json:"createdBy,omitempty"`
	Created     time.Time       `json:"created"` // UTC, milliseconds
}

// Artifact is the version as a node of the lineage.
func (v Version) Artifact() Artifact { return DatasetArtifact(v.Name, v.Number, v.Manifest) }

// Column is a top-level column of a version's table.
type Column struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // an Iceberg type: boolean, int, long, float, double, string, date, timestamp, list<…>, …
	Nullable bool   `json:"nullable"`
}

// Page asks for part of a list. The zero value is the first 100.
type Page struct {
	After string // the token that the previous page returned
	Limit int    // 1 to 1000; 0 means 100
}
