// SPDX-License-Identifier: Apache-2.0

// Package plan decides what has to be made, apart from making it: fingerprints, staleness and the graph of datasets,
// models, endpoints and reports.
//
// A fingerprint is a hash over everything that determines a version: the declaration of the step, the digests of code,
// environment and source files, and the fingerprints of its inputs. It is known before anything runs, so that the same
// function answers "is this up to date?", "has this been made before?" and "what would this change rebuild?".
// Everything here is a pure function.
package plan
