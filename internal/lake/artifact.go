// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"strconv"

	"fathom.dev/fathom/internal/ref"
)

// Kinds of artifact.
const (
	KindDataset     = "dataset"     // Version is its number
	KindModel       = "model"       // Version is its number
	KindReport      = "report"      // Version is its number
	KindFile        = "file"        // a source file; Name is its key in the bucket or its URL; Facts: size, modified
	KindCode        = "code"        // a code bundle, by digest
	KindEnvironment = "environment" // a virtual environment, by digest
	KindImage       = "image"       // an OCI image, by digest
	KindRun         = "run"         // a run; Version is its UID
)

// Roles an artifact can have for another. Callers may add their own.
const (
	RoleInput       = "input"
	RoleConsent     = "consent"
	RoleSource      = "source"
	RoleCode        = "code"
	RoleEnvironment = "environment"
	RoleRun         = "run"
)

// Artifact is a node of the lineage. Kind, Workspace, Name and Version identify it; where Version is empty the Digest
// takes its place. Digest and Facts are told once and kept.
type Artifact struct {
	Kind      string            `json:"kind"`
	Workspace string            `json:"workspace"`
	Name      string            `json:"name"`
	Version   string            `json:"version,omitempty"`
	Digest    ref.Digest        `json:"digest,omitempty"`
	Facts     map[string]string `json:"facts,omitempty"`
}

// DatasetArtifact is a dataset version as a node of the lineage.
func DatasetArtifact(name ref.Name, number int, digest ref.Digest) Artifact {
	return versioned(KindDataset, name, number, digest)
}

// ModelArtifact is a model version as a node of the lineage.
func ModelArtifact(name ref.Name, number int, digest ref.Digest) Artifact {
	return versioned(KindModel, name, number, digest)
}

func versioned(kind string, name ref.Name, number int, digest ref.Digest) Artifact {
	return Artifact{Kind: kind, Workspace: name.Workspace, Name: name.Name, Version: strconv.Itoa(number), Digest: digest}
}

// Edge says that From was made with the help of To.
type Edge struct {
	From, To Artifact
	Role     string
}

// Tree is what an artifact was made from, all the way to the sources.
type Tree struct {
	Artifact
	Role     string `json:"role,omitempty"`     // what it was for its parent
	Repeated bool   `json:"repeated,omitempty"` // shown with its own inputs elsewhere in the tree; Inputs is empty here
	Inputs   []Tree `json:"inputs,omitempty"`   // sorted by role, kind, name, version
}
