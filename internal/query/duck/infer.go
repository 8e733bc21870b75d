// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// guess is a type that a text column may have, tried in order. Every value of the column must pass, so all rows are
// looked at. Numbers with a leading zero or with 19 digits and more stay text: they are identifiers.
var guesses = []struct{ typ, passes string }{
	{"BOOLEAN", `lower(%[1]s) IN ('true', 'false')`},
	{"BIGINT", `regexp_full_match(%[1]s, '[-+]?(0|[1-9][0-9]{0,17})')`},
	{"DOUBLE", `NOT regexp_matches(%[1]s, '^[-+]?(0[0-9]|[0-9]{19,}$)') AND TRY_CAST(%[1]s AS DOUBLE) IS NOT NULL`},
	{"DATE", `regexp_full_match(%[1]s, '[0-9]{4}-[0-9]{2}-[0-9]{2}') AND TRY_CAST(%[1]s AS DATE) IS NOT NULL`},
	{"TIMESTAMP", `regexp_full_match(%[1]s, '[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+') AND TRY_CAST(%[1]s AS TIMESTAMP) IS NOT NULL`},
	{"TIMESTAMP WITH TIME ZONE", `regexp_matches(%[1]s, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[-+][0-9:]+)$') AND TRY_CAST(%[1]s AS TIMESTAMPTZ) IS NOT NULL`},
}

// Types says which types a table's columns get.
type Types struct {
	Fixed map[string]string // by column
	Text  []string          // columns that are text, whatever they hold: identifiers
	Infer bool              // other text columns get the first type that all their values have
}

// SetTypes gives a loaded table's columns their types. files name the table's sources in messages.
func (e *Engine) SetTypes(ctx context.Context, table string, types Types, files []Source) error {
	cols, err := e.Describe(ctx, Ident(table))
	if err != nil {
		return err
	}
	var changes []string
	for _, c := range cols {
		if c.Name == FileColumn || c.Name == RowColumn {
			continue
		}
		want, err := e.wantedType(ctx, table, c, types, files)
		if err != nil {
			return err
		}
		if want != c.Type {
			changes = append(changes, fmt.Sprintf("CAST(%[1]s AS %[2]s) AS %[1]s", Ident(c.Name), want))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	typed := Ident(table + "_typed")
	for _, s := range []string{
		"CREATE TABLE " + typed + " AS SELECT * REPLACE (" + strings.Join(changes, ", ") + ") FROM " + Ident(table),
		"DROP TABLE " + Ident(table),
		"ALTER TABLE " + typed + " RENAME TO " + Ident(table),
	} {
		if err := e.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) wantedType(ctx context.Context, table string, c query.Column, types Types, files []Source) (string, error) {
	if slices.Contains(types.Text, c.Name) {
		return "VARCHAR", nil
	}
	if want, ok := types.Fixed[c.Name]; ok {
		return e.fixedType(ctx, table, c, want, files)
	}
	if c.Type != "VARCHAR" || !types.Infer {
		return c.Type, nil
	}
	return e.infer(ctx, table, c.Name)
}

// fixedType checks that a declared type exists and that all values have it.
func (e *Engine) fixedType(ctx context.Context, table string, c query.Column, want string, files []Source) (string, error) {
	if !isTypeName(want) {
		return "", fault.New(fault.Invalid, "column "+c.Name, "%q is not a type", want).WithHint("use bigint, double, boolean, varchar, date or timestamp")
	}
	var name string
	if err := e.One(ctx, "SELECT typeof(CAST(NULL AS "+want+"))", &name); err != nil {
		return "", fault.New(fault.Invalid, "column "+c.Name, "%q is not a type", want).WithHint("use bigint, double, boolean, varchar, date or timestamp")
	}
	col := Ident(c.Name)
	n, places, err := e.Places(ctx, table, fmt.Sprintf("%s IS NOT NULL AND TRY_CAST(%s AS %s) IS NULL", col, col, want), files)
	if err != nil {
		return "", err
	}
	if n > 0 {
		return "", fault.New(fault.Invalid, "column "+c.Name, "%d values are not of type %s (%s)", n, want, places).
			WithHint("correct the files, or change the type in spec.from.files.columns")
	}
	return want, nil
}

// isTypeName keeps a type from carrying SQL of its own.
func isTypeName(s string) bool {
	if s == "" || len(s) > 60 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" _(),[]", r))
	}) < 0
}

func (e *Engine) infer(ctx context.Context, table, column string) (string, error) {
	col := Ident(column)
	fields := []string{"count(" + col + ")"}
	for _, g := range guesses {
		fields = append(fields, "count(CASE WHEN "+fmt.Sprintf(g.passes, col)+" THEN 1 END)")
	}
	counts := make([]int64, len(fields))
	into := make([]any, len(fields))
	for i := range counts {
		into[i] = &counts[i]
	}
	if err := e.One(ctx, "SELECT "+strings.Join(fields, ", ")+" FROM "+Ident(table), into...); err != nil {
		return "", err
	}
	for i, g := range guesses {
		if counts[0] > 0 && counts[i+1] == counts[0] {
			return g.typ, nil
		}
	}
	return "VARCHAR", nil
}

const examples = 3 // places named in a message

// Places counts the rows of a loaded table that meet a condition of ours and says where the first of them are:
// "voice.csv rows 4, 9 and 12".
func (e *Engine) Places(ctx context.Context, table, condition string, files []Source) (int64, string, error) {
	var n int64
	if err := e.One(ctx, "SELECT count(*) FROM "+Ident(table)+" WHERE "+condition, &n); err != nil || n == 0 {
		return n, "", err
	}
	var parts []string
	last := -1
	statement := fmt.Sprintf("SELECT %[1]s, %[2]s FROM %[3]s WHERE %[4]s ORDER BY 1, 2 LIMIT %[5]d", FileColumn, RowColumn, Ident(table), condition, examples)
	err := e.Each(ctx, statement, func(scan func(...any) error) error {
		var file, row int
		if err := scan(&file, &row); err != nil {
			return err
		}
		if file != last && file >= 0 && file < len(files) {
			parts = append(parts, fmt.Sprintf("%s row %d", files[file].Name, row))
		} else {
			parts = append(parts, fmt.Sprint(row))
		}
		last = file
		return nil
	})
	text := strings.Join(parts, ", ")
	if n > examples {
		text += ", …"
	}
	return n, text, err
}
