// SPDX-License-Identifier: Apache-2.0

// Package capture keeps what endpoints were asked and what they answered, as files that a dataset can take in.
//
// A [Store] writes rows as NDJSON into one growing segment an endpoint. A segment is sealed after a number of rows or some
// time: written through to the disk, renamed to its number and digest, and never changed again. [Store.Captured] lists the
// sealed ones in order. After a crash the segment that was growing is cut behind its last whole line and sealed.
//
// Appending never waits for the disk. Rows that the disk cannot take in time are dropped, and told to [Options.Lost]: an
// answer to a client is never late because of its copy.
package capture
