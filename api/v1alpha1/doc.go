// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the kinds that a team writes to declare its data, models and insights, and the kinds that
// Fathom writes to answer.
//
// Rules: few required fields; a default for everything else; CEL rules on the types; every condition has a stable
// reason and a message that says what to do next; no object over 5 KB; a dataset "scan-features" is the SQL table
// "scan_features" of its workspace. A workspace is a Kubernetes namespace of the same name.
//
// +kubebuilder:object:generate=true
// +groupName=fathom.dev
package v1alpha1
