// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"time"

	"fathom.dev/fathom/internal/ref"
)

// RunRecord is what is remembered of a finished run.
type RunRecord struct {
	UID         string            `json:"uid"`
	Workspace   string            `json:"workspace"`
	Name        string            `json:"name"`
	Step        string            `json:"step"`    // ingest, transform, train, …
	ForKind     string            `json:"forKind"` // the object it ran for, for example Dataset
	ForName     string            `json:"forName"`
	Fingerprint string            `json:"fingerprint"`
	Inputs      []Input           `json:"inputs,omitempty"`
	Outputs     []Artifact        `json:"outputs,omitempty"`
	Output      ref.Digest        `json:"output,omitempty"` // manifest of what it uploaded
	Code        ref.Digest        `json:"code,omitempty"`
	Environment ref.Digest        `json:"environment,omitempty"`
	Image       string            `json:"image,omitempty"`
	Host        map[string]string `json:"host,omitempty"` // facts about where it ran: node, isolation, cpu, …
	Attempt     int               `json:"attempt"`
	Phase       string            `json:"phase"` // Succeeded, Failed, …
	Reason      string            `json:"reason,omitempty"`
	Message     string            `json:"message,omitempty"`
	Started     time.Time         `json:"started"` // zero when it never started
	Finished    time.Time         `json:"finished"`
	Log         ref.Digest        `json:"log,omitempty"` // blob
}

// RunFilter selects runs; an empty field matches everything.
type RunFilter struct {
	Workspace, Step, ForKind, ForName, Phase, Fingerprint string
}
