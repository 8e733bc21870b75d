// SPDX-License-Identifier: Apache-2.0

// Package gang is the contract between a run and its pods: what a rank is told (its environment, its share of the
// stage) and what it tells (files, progress, how it ended).
//
// A gang is the pods of one attempt of a run, one per rank, started together or not at all. The package is pure and
// uses only the standard library, because the pods' entry point (fathom-launch) is built from it.
package gang
