// SPDX-License-Identifier: Apache-2.0

// Package evaluate says how good a model is, on rows its training never saw, and how sure that is.
//
// It holds out whole subjects (folds.go), scores pooled out-of-fold predictions (metrics_*.go), puts a 95 % interval on
// every number that respects rows of one subject belonging together (interval*.go), looks at parts of the population
// (slices.go), asks which features carry the result (importance.go) and looks for the mistakes that make a result too good
// to be true (leakage.go). [Evaluation] is the document all of it ends in; [SplitParams] and [Params] are what a step is
// asked for.
//
// Everything here is a pure function of values: no files, no clock, no model runtime. Randomness comes from a seed, so the
// same rows give the same document. Metrics follow scikit-learn's definitions; the tests hold them to 1e-9.
package evaluate
