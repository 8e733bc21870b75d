// SPDX-License-Identifier: Apache-2.0

// Package privacy decides what may enter a dataset and in which form: whose consent covers a purpose, which
// pseudonym stands for whom, which columns stay outside, and whether the result passes its checks.
//
// The order is fixed: subject, consent, pseudonyms, drop, checks. A row without a subject or without a permit never
// enters; an original identifier never leaves.
package privacy
