// SPDX-License-Identifier: Apache-2.0

// Package mistakes makes the mistakes that newcomers make, each for real, and holds Fathom to what it says about them. The
// golden file is a page that people read, docs/mistakes.md: `go test ./test/mistakes -update` writes it.
package mistakes
