// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Revision is part of every fingerprint. It is raised when Fathom's own steps begin to give other results for the same
// inputs, so that everything is made again.
const Revision = 1

// Input is a dataset that a step reads, with the fingerprint of the version it reads.
type Input struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

// SourceFile is a file outside the lake that a step reads.
type SourceFile struct {
	Key    string `json:"key"`
	Digest string `json:"digest"`
}

// Recipe is everything that determines a version. Fields that do not apply stay zero.
type Recipe struct {
	// Kind of step: ingest, transform, code, model, report.
	Kind string `json:"kind"`
	// Spec is the part of the declaration that changes the result, as any JSON value.
	Spec any `json:"spec"`
	// Inputs in the order that the declaration names them.
	Inputs []Input `json:"inputs,omitempty"`
	// Files sorted by key.
	Files []SourceFile `json:"files,omitempty"`
	// Code and Requirements are digests.
	Code         string `json:"code,omitempty"`
	Requirements string `json:"requirements,omitempty"`
	// AsOf is the moment, RFC 3339, up to which consents were looked at again; it changes only when one begins or ends.
	AsOf string `json:"asOf,omitempty"`
}

// Fingerprint hashes the recipe: SHA-256, 64 hex digits. JSON with sorted map keys makes it the same everywhere.
func (r Recipe) Fingerprint() string {
	b, err := json.Marshal(struct {
		Revision int
		Recipe
	}{Revision, r})
	if err != nil { // specs are API types, which always marshal
		panic(fmt.Sprintf("plan: recipe does not marshal: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// RunName names the run that makes a version: the object's name, eight digits of the fingerprint (and of the retry
// token, so that a retry is another run), and the part.
func RunName(object, fingerprint, retry, part string) string {
	if retry != "" {
		sum := sha256.Sum256([]byte(fingerprint + "/" + retry))
		fingerprint = hex.EncodeToString(sum[:])
	}
	name := object + "-" + fingerprint[:8]
	if part != "" {
		name += "-" + part
	}
	return name
}
