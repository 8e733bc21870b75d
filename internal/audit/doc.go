// SPDX-License-Identifier: Apache-2.0

// Package audit keeps a hash-chained log: one line for each decision on data.
package audit
