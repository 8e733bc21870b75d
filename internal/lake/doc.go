// SPDX-License-Identifier: Apache-2.0

// Package lake keeps datasets as numbered versions, the bytes they are made of, and the history of how they came to be.
//
// Three stores stand behind one type, [Store]:
//
//   - Blobs: every byte Fathom keeps (table files, pixel objects, code bundles, models, run outputs, logs), named by its
//     SHA-256. A [FileManifest] is a blob that lists files by path and digest; its own digest names a run's output.
//   - Versions: a dataset version is one Iceberg snapshot that replaces the table's whole content, with its own schema.
//     Numbers are 1, 2, 3 without gaps. Committing a fingerprint twice gives the version that exists already.
//   - History: finished runs, lineage from models to source files, and which pseudonymous subjects a version knew.
//
// Whatever a call has acknowledged is on disk and survives a kill or a power cut. A commit that was interrupted is either
// absent or whole after the next [Open]: the snapshot in the Iceberg catalog decides, and missing rows are rebuilt from it.
//
// One process at a time may hold a lake open for writing; within it, every method may be called concurrently.
package lake
