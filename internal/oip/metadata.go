// SPDX-License-Identifier: Apache-2.0

package oip

// Metadata describes a model: what the protocol asks for and, beside it, what Fathom knows about the model's features, so that
// a client can send columns by name and an answer can be read without looking elsewhere.
type Metadata struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []Spec   `json:"inputs"`
	Outputs  []Spec   `json:"outputs"`
	// features in the order in which a matrix holds them.
	Features []Feature `json:"features,omitempty"`
	// convention is matrix or columns.
	Convention string `json:"convention,omitempty"`
	// classes in the order of the probabilities; empty for a regression.
	Classes []string `json:"classes,omitempty"`
	// label and scores name the outputs with the class, and with the probabilities or the regression's value.
	Label  string `json:"label,omitempty"`
	Scores string `json:"scores,omitempty"`
}

// Spec is an input or output; -1 in its shape is any size.
type Spec struct {
	Name  string  `json:"name"`
	Type  Type    `json:"datatype"`
	Shape []int64 `json:"shape"`
}

// Feature is a column the model was trained on. Type is number, integer, boolean, text or time.
type Feature struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ServerMetadata answers GET /v2.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}
