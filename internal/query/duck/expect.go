// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Condition is one rule for one column of a loaded table. Exactly one of its fields besides Column is set.
type Condition struct {
	Column  string
	NotNull bool
	Unique  bool
	Between []any
	In      []any
	Matches string
}

// Violations counts the rows that break a condition and says where the first are. Every rule but NotNull leaves NULL
// alone. A value that has not the column's type, or a wrong pattern, is Invalid.
func (e *Engine) Violations(ctx context.Context, table string, c Condition, typ string, files []Source) (int64, string, error) {
	col := Ident(c.Column)
	var where string
	switch {
	case c.NotNull:
		where = col + " IS NULL"
	case c.Unique:
		where = fmt.Sprintf("%[1]s IN (SELECT %[1]s FROM %[2]s WHERE %[1]s IS NOT NULL GROUP BY 1 HAVING count(*) > 1)", col, Ident(table))
	case len(c.Between) == 2:
		where = fmt.Sprintf("NOT coalesce(%s BETWEEN %s AND %s, true)", col, literal(c.Between[0], typ), literal(c.Between[1], typ))
	case len(c.In) > 0:
		list := make([]string, len(c.In))
		for i, v := range c.In {
			list[i] = literal(v, typ)
		}
		where = fmt.Sprintf("NOT coalesce(%s IN (%s), true)", col, strings.Join(list, ", "))
	case c.Matches != "":
		where = fmt.Sprintf("NOT coalesce(regexp_full_match(CAST(%s AS VARCHAR), %s), true)", col, Text(c.Matches))
	}
	n, places, err := e.Places(ctx, table, where, files)
	var raw *Raw
	if errors.As(err, &raw) {
		return 0, "", fault.New(fault.Invalid, "check of column "+c.Column, "the check does not fit the column's type %s", typ)
	}
	return n, places, err
}

// literal writes a value of a check for SQL. Text is read as the column's type, so that "2020-01-01" is a date.
func literal(v any, typ string) string {
	switch x := v.(type) {
	case string:
		return "CAST(" + Text(x) + " AS " + typ + ")"
	case nil:
		return "NULL"
	default:
		return fmt.Sprint(x)
	}
}

var comparison = regexp.MustCompile(`^(.*?)\s*(>=|<=|<>|!=|==|=|<|>)\s*([^<>=!]*)$`)

// Expect evaluates a condition on aggregates over a table, or over a select list of it such as "distinct patient_id".
// measured is the left side's value when the condition compares a number; other values are not told. A mistake in either text is Invalid and wraps a
// *query.Problem. The caller has locked the engine.
func (e *Engine) Expect(ctx context.Context, table, expect, of string) (holds bool, measured string, err error) {
	relation := Ident(table)
	if of = strings.TrimSpace(of); of != "" && !strings.EqualFold(of, "rows") {
		relation = "(SELECT " + of + " FROM " + relation + ")"
	}
	var answer *bool
	if err := e.fragment(ctx, "("+expect+")::BOOLEAN", relation, table, &answer); err != nil {
		return false, "", err
	}
	if m := comparison.FindStringSubmatch(expect); m != nil {
		// Only for the message: what does not evaluate alone is left out.
		if e.fragment(ctx, "("+m[1]+")::VARCHAR", relation, table, &measured) != nil || !isNumber(measured) {
			measured = ""
		}
	}
	return answer != nil && *answer, measured, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// fragment evaluates one expression that a person wrote; it must be a single SELECT that reads only the table.
func (e *Engine) fragment(ctx context.Context, expression, relation, table string, into any) error {
	statement := "SELECT " + expression + " FROM " + relation
	checked, err := e.Check(ctx, query.CheckParams{SQL: statement})
	if err != nil {
		return err
	}
	if checked.Error == nil && (len(checked.Tables) != 1 || checked.Tables[0] != table) {
		checked.Error = &query.Problem{Message: "a check reads its own dataset only"}
	}
	if checked.Error == nil {
		err = e.One(ctx, statement, into)
		var raw *Raw
		if errors.As(err, &raw) {
			checked.Error = problem(err, statement, 0)
		}
	}
	if checked.Error != nil {
		checked.Error.Line, checked.Error.Column = 0, 0 // they count our words
		return &fault.Error{Kind: fault.Invalid, Err: checked.Error}
	}
	return err
}
