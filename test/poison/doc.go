// SPDX-License-Identifier: Apache-2.0

// Package poison gives a running Fathom objects that the API server admits and nobody would write: random values of every kind's
// schema, missing parts, huge and odd texts, annotations and labels of ours with any content, statuses that lie. Whatever the
// stations make of them, they go on, and a healthy workspace beside them is made true.
package poison
