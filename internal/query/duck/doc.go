// SPDX-License-Identifier: Apache-2.0

// Package duck runs SQL over Parquet files with DuckDB. It is the only room that links DuckDB.
//
// An [Engine] opens with a list of folders it may touch, and locks itself before it sees a statement of a person:
// no other files, no network, no extensions, no settings. A person's statement passes [Engine.Check] first: it must be
// a single SELECT over tables that exist.
package duck
