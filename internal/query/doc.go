// SPDX-License-Identifier: Apache-2.0

// Package query says what a SQL step is given and what it answers.
//
// It holds words only, so that stations and doors can plan a step without linking an engine; the engine is in
// [fathom.dev/fathom/internal/query/duck].
package query
