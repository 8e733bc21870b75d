// SPDX-License-Identifier: Apache-2.0

// Package tracking remembers experiments: runs with their parameters, metrics and tags, the models that runs logged,
// and the registry of named models with versions and aliases. It is what MLflow calls a tracking store and a model
// registry; the door internal/mlflow speaks MLflow's protocol on top of it, and the stations use it in-process.
//
// # Isolation
//
// A [Store] holds many workspaces, but has no method that reads or writes one. Everything is a method of
// [Workspace], which [Store.In] gives; every public identifier (experiment number, run id, model name …) is resolved
// to a row through the workspace's own id, and all other rows hang below such a row. No method takes a second
// workspace.
//
// # Durability
//
// A write that returned nil is on disk: SQLite in WAL mode with synchronous=FULL. One goroutine writes; all writes
// that wait while it syncs go into the next transaction together (group commit), each in its own savepoint, so that
// one write's failure does not touch its neighbours. A write that did not return is whole or absent.
//
// # Search
//
// Runs are searched in memory, column by column: a column (one metric, parameter or tag of one experiment) is read
// from disk when a search first names it, and kept up to date by the writer. Cost is linear in the runs of the
// experiments, a few nanoseconds a run and column; details are read from disk for the runs of the page only.
//
// Limits of names, values and batches are MLflow's (mlflow/utils/validation.py), so that a client meets the same
// errors as with the original server.
package tracking
