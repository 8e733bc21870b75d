// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"time"

	"fathom.dev/fathom/internal/evaluate"
)

// Model is everything that a page shows. Workspace, Name, Version and Evaluation are required; a part that is empty is left
// out of the page.
type Model struct {
	Workspace, Name string
	Version         int64
	// Stage is the version's, as in its status (Candidate, AwaitingApproval, Production, Archived, Refused); Why says why.
	Stage, Why string
	// Evaluation of this version.
	Evaluation *evaluate.Evaluation
	// Metrics to show first. Default: the task's most telling ones.
	Metrics []string
	// Rules of promotion, in their order; Approval is the role that must agree, "" for none.
	Rules    []Rule
	Approval string
	// Caveats belong beside the numbers, for example that isolation was not enforced while they were made.
	Caveats []string

	// Dataset and DatasetVersion are what it learnt from; Exclusions who was left out on the way there.
	Dataset        string
	DatasetVersion int64
	Exclusions     []Exclusion

	// Parameters of the training as JSON text.
	Parameters string
	// Digest of the ONNX file, Code of the training code, Environment of its packages, Fingerprint of all that made it.
	Digest, Code, Environment, Fingerprint string
	// TrackingRun is the tracking run of the final training.
	TrackingRun string
	// TrainedAt is when the version was registered, PromotedAt when it went into production last; zero when unknown.
	TrainedAt, PromotedAt time.Time
	ApprovedBy            string

	// Provenance is what the version was made from, down to the source files.
	Provenance *Node
	// Versions of the model, this one among them, newest first.
	Versions []Version
}

// Rule is one promotion rule.
type Rule struct {
	Text string
	// Holds is nil where it is not known.
	Holds *bool
}

// Verdict is how the page tells whether the rule holds; nil where it is not known.
func (r Rule) Verdict() *Verdict {
	switch {
	case r.Holds == nil:
		return nil
	case *r.Holds:
		return &Verdict{"good", "holds"}
	}
	return &Verdict{"bad", "does not hold"}
}

// Verdict is a word with its colour.
type Verdict struct{ Tone, Text string }

// Exclusion counts rows that a dataset left out for one reason; Subjects is 0 where they were not counted.
type Exclusion struct {
	Dataset, Reason string
	Rows, Subjects  int64
}

// Version is a line of the history.
type Version struct {
	Number          int64
	Stage, Headline string
	DatasetVersion  int64
	TrainedAt       time.Time
	// URL of its page; "" for no link.
	URL string
}

// Node is an artifact with what it was made from.
type Node struct {
	Kind    string // dataset, model, file, code, environment, image, run
	Name    string
	Version string // number, or ""
	Digest  string
	Role    string // what it was for its parent: input, consent, source, code, environment, run
	// Facts are told beside it, for example size and modified of a file.
	Facts map[string]string
	// Repeated marks a node whose inputs are shown elsewhere.
	Repeated bool
	Inputs   []Node
}
