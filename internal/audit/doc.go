// SPDX-License-Identifier: Apache-2.0

// Package audit keeps a hash-chained log: one line for each decision on data.
//
// A line is JSON and holds the hash of the line before it, so a line that is changed, removed, inserted or moved breaks
// the chain at a place that [Verify] names. Signed checkpoints (head and count) tell a log that was cut short from one
// that ended there. What this cannot see alone: a person who holds the signing key can cut and sign anew; whoever
// needs that gives [Options.Witness] a place outside the machine.
//
// An entry says who wanted what and what was decided. It never holds a secret, a token or a value from the data.
//
// In the directory: segments "<first sequence number>.log", "checkpoints", "key" (0600), "key.pub" and "lock".
package audit
