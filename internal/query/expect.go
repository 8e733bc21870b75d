// SPDX-License-Identifier: Apache-2.0

package query

// Check is one expectation of a dataset. Either Expect or Column is set.
type Check struct {
	// Expect is a condition on aggregates, for example "count(*) >= 30".
	Expect string `json:"expect,omitempty"`
	// Of is what Expect counts: a select list such as "distinct patient_id"; default: the rows.
	Of string `json:"of,omitempty"`

	Column  string `json:"column,omitempty"`
	NotNull bool   `json:"notNull,omitempty"`
	Unique  bool   `json:"unique,omitempty"`
	Between []any  `json:"between,omitempty"` // [least, greatest], both included: numbers, or text for dates
	In      []any  `json:"in,omitempty"`
	Matches string `json:"matches,omitempty"` // RE2; the whole value must match
}

// CheckResult says how a check went.
type CheckResult struct {
	Check   string `json:"check"` // in words
	Passed  bool   `json:"passed"`
	Failing int64  `json:"failing,omitempty"` // rows
	Message string `json:"message,omitempty"` // what is wrong and where; row numbers, never values
}
