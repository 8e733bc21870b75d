// SPDX-License-Identifier: Apache-2.0

package query

// Column is one column of a table.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as DuckDB writes it, for example VARCHAR, DOUBLE, TIMESTAMP
}

// Table is a dataset as SQL sees it.
type Table struct {
	// Name is ref.Table of the dataset's name.
	Name string `json:"name"`
	// Files are paths of Parquet files; they may end in /*.parquet. Relative ones are below $FATHOM_INPUTS.
	// Default: <Name of the dataset>/*.parquet is not assumed; at least one is required unless Columns is set.
	Files []string `json:"files,omitempty"`
	// Columns describe a table without files (at plan time).
	Columns []Column `json:"columns,omitempty"`
}

// Limits bound what a step may use.
type Limits struct {
	Memory  string `json:"memory,omitempty"`  // for example "512MB"; default: 60 % of the machine or container
	Threads int    `json:"threads,omitempty"` // default 1, which makes floating-point sums repeatable
	Temp    string `json:"temp,omitempty"`    // folder to spill to; default $TMPDIR
}

// TransformParams are the parameters of `fathom-step transform`.
type TransformParams struct {
	// SQL is one SELECT or WITH statement.
	SQL string `json:"sql"`
	// SQLFile is read when SQL is empty; relative paths are below $FATHOM_CODE.
	SQLFile string `json:"sqlFile,omitempty"`
	// Workspace is the schema that the tables may be qualified with; optional.
	Workspace string  `json:"workspace,omitempty"`
	Tables    []Table `json:"tables"`
	Limits    Limits  `json:"limits"`
	// Checks must hold for the result, or nothing is kept of it.
	Checks []Check `json:"checks,omitempty"`
	// Identified inputs: a failed check then does not tell what it measured.
	Identified bool `json:"identified,omitempty"`
}

// TransformReport is what `fathom-step transform` leaves in report.json.
type TransformReport struct {
	RowsOut int64    `json:"rowsOut"`
	Bytes   int64    `json:"bytes"` // of data.parquet
	Schema  []Column `json:"schema"`
	Inputs  []string `json:"inputs"` // tables the statement reads, sorted
	// Ordered is false when the statement has no ORDER BY; rows are then sorted by all columns.
	Ordered bool `json:"ordered"`
	// Volatile lists functions whose answer changes from run to run; a replay will not give the same bytes.
	Volatile []string `json:"volatile,omitempty"`
	// Checks in the order of the declaration; a check of a column may hold several.
	Checks []CheckResult `json:"checks,omitempty"`
}

// ReadParams are the parameters of `fathom-step sql`: a person's question.
type ReadParams struct {
	SQL       string  `json:"sql"`
	Workspace string  `json:"workspace,omitempty"`
	Tables    []Table `json:"tables"`
	Limit     int64   `json:"limit,omitempty"`  // rows; default 1000, at most 100000
	Format    string  `json:"format,omitempty"` // table (default), json (one object a line), csv
	Limits    Limits  `json:"limits"`
}

// CheckParams are the parameters of `fathom-step check`: is this statement right, and what does it read?
type CheckParams struct {
	SQL       string `json:"sql"`
	Workspace string `json:"workspace,omitempty"`
	// Tables that are known, with their columns. Names that the statement uses and that are not listed are not
	// bound: then only syntax is checked.
	Tables []Table `json:"tables,omitempty"`
}

// Checked is the answer of `fathom-step check`.
type Checked struct {
	Tables   []string `json:"tables"`             // referenced, sorted; "schema.table" when qualified by another schema
	Columns  []Column `json:"columns,omitempty"`  // of the result, when every referenced table was known
	Ordered  bool     `json:"ordered"`            // the statement has an ORDER BY at its top
	Volatile []string `json:"volatile,omitempty"` // functions that answer differently each time
	Error    *Problem `json:"error,omitempty"`
}

// Problem is a mistake in a statement, placed.
type Problem struct {
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"`   // from 1; 0 when unknown
	Column  int    `json:"column,omitempty"` // from 1, in characters
	Hint    string `json:"hint,omitempty"`   // what to do next
}

// Error is the message with its place and hint, on one line.
func (p *Problem) Error() string { return p.Place() + p.Message + p.advice() }
