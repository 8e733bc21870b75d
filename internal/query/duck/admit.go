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

// Admission says which rows of a loaded table enter and what becomes of identifying columns.
type Admission struct {
	Subject string // column; empty when rows are about nobody
	// Judge answers for a subject whether its rows enter, and why not. nil admits every row with a subject.
	Judge func(subject string) (permit bool, reason string)
	// NoSubject is the reason given for rows whose subject is empty.
	NoSubject string
	// Pseudonym stands for an identifier. Required with Subject or Pseudonymise.
	Pseudonym    func(identifier string) string
	Pseudonymise []string
	Drop         []string
}

// Admitted says what an Admission did.
type Admitted struct {
	RowsIn, RowsOut int64
	Excluded        []Excluded
	Subjects        []string // pseudonyms of those who are in, sorted
	Suspicions      []Suspicion
}

// Excluded counts rows left out for a reason.
type Excluded struct {
	Reason         string
	Rows, Subjects int64
}

// Suspicion is a column that holds values of a dropped one.
type Suspicion struct {
	Column, Of string
	Rows       int64
}

// Admit makes the table to from the table from. Rows keep their order and their place columns. It fails with Invalid
// when a column that stays holds an identifier that was to be replaced.
func (e *Engine) Admit(ctx context.Context, from, to string, a Admission) (Admitted, error) {
	var out Admitted
	cols, err := e.Describe(ctx, Ident(from))
	if err != nil {
		return out, err
	}
	if err := e.One(ctx, "SELECT count(*) FROM "+Ident(from), &out.RowsIn); err != nil {
		return out, err
	}
	if err := e.judge(ctx, from, a, &out); err != nil {
		return out, err
	}
	if err := e.rename(ctx, from, a); err != nil {
		return out, err
	}
	if err := e.searchLeaks(ctx, from, a, cols, &out); err != nil {
		return out, err
	}
	if err := e.Exec(ctx, "CREATE TABLE "+Ident(to)+" AS "+selection(from, a, cols)); err != nil {
		return out, err
	}
	return out, e.One(ctx, "SELECT count(*) FROM "+Ident(to), &out.RowsOut)
}

// value is a column as the text that identifies: without the white space around it, NULL when empty.
func value(column string) string {
	return "nullif(trim(CAST(r." + Ident(column) + " AS VARCHAR)), '')"
}

// judge fills _fathom_subjects with the verdict on everybody and counts who is left out.
func (e *Engine) judge(ctx context.Context, from string, a Admission, out *Admitted) error {
	if a.Subject == "" {
		return nil
	}
	originals, err := e.texts(ctx, "SELECT DISTINCT "+value(a.Subject)+" FROM "+Ident(from)+" r WHERE "+value(a.Subject)+" IS NOT NULL")
	if err != nil {
		return err
	}
	rows := make([][]any, len(originals))
	for i, original := range originals {
		permit, reason := true, ""
		if a.Judge != nil {
			permit, reason = a.Judge(original)
		}
		rows[i] = []any{original, permit, reason}
		if permit {
			out.Subjects = append(out.Subjects, a.Pseudonym(original))
		}
	}
	slices.Sort(out.Subjects)
	if err := e.Fill(ctx, "_fathom_subjects", "original VARCHAR, permit BOOLEAN, reason VARCHAR", rows); err != nil {
		return err
	}
	statement := fmt.Sprintf(`SELECT coalesce(s.reason, %s) AS why, count(*), count(DISTINCT s.original)
		FROM %s r LEFT JOIN _fathom_subjects s ON s.original = %s WHERE NOT coalesce(s.permit, false) GROUP BY 1 ORDER BY 1`,
		Text(a.NoSubject), Ident(from), value(a.Subject))
	return e.Each(ctx, statement, func(scan func(...any) error) error {
		var x Excluded
		if err := scan(&x.Reason, &x.Rows, &x.Subjects); err != nil {
			return err
		}
		out.Excluded = append(out.Excluded, x)
		return nil
	})
}

// rename fills _fathom_names with the pseudonym of every identifier.
func (e *Engine) rename(ctx context.Context, from string, a Admission) error {
	if len(a.Pseudonymise) == 0 {
		return nil
	}
	var parts []string
	for _, c := range a.Pseudonymise {
		parts = append(parts, "SELECT "+value(c)+" AS v FROM "+Ident(from)+" r")
	}
	originals, err := e.texts(ctx, "SELECT DISTINCT v FROM ("+strings.Join(parts, " UNION ALL ")+") WHERE v IS NOT NULL")
	if err != nil {
		return err
	}
	rows := make([][]any, len(originals))
	for i, original := range originals {
		rows[i] = []any{original, a.Pseudonym(original)}
	}
	return e.Fill(ctx, "_fathom_names", "original VARCHAR, pseudonym VARCHAR", rows)
}

func (e *Engine) texts(ctx context.Context, statement string) ([]string, error) {
	var list []string
	err := e.Each(ctx, statement, func(scan func(...any) error) error {
		var s string
		if err := scan(&s); err != nil {
			return err
		}
		list = append(list, s)
		return nil
	})
	return list, err
}

// admitted joins the verdicts to the rows r and keeps those that enter.
func admitted(from string, a Admission) string {
	if a.Subject == "" {
		return Ident(from) + " r"
	}
	return Ident(from) + " r JOIN _fathom_subjects s ON s.permit AND s.original = " + value(a.Subject)
}

// selection is the query that makes the admitted table.
func selection(from string, a Admission, cols []query.Column) string {
	var fields []string
	joins := admitted(from, a)
	for i, c := range cols {
		switch {
		case slices.Contains(a.Drop, c.Name):
		case slices.Contains(a.Pseudonymise, c.Name):
			n := fmt.Sprintf("n%d", i)
			joins += fmt.Sprintf(" LEFT JOIN _fathom_names %s ON %s.original = %s", n, n, value(c.Name))
			fields = append(fields, n+".pseudonym AS "+Ident(c.Name))
		default:
			fields = append(fields, "r."+Ident(c.Name))
		}
	}
	return "SELECT " + strings.Join(fields, ", ") + " FROM " + joins + " ORDER BY r." + FileColumn + ", r." + RowColumn
}

// searchLeaks looks, row by row, for the identifier of a row in the columns that stay. A text that contains a telling
// identifier, or a column that repeats it in most rows, stops the dataset. Values of dropped columns that turn up are
// only told: a dropped column need not identify.
func (e *Engine) searchLeaks(ctx context.Context, from string, a Admission, cols []query.Column, out *Admitted) error {
	for _, c := range cols {
		gone := slices.Contains(a.Drop, c.Name) || slices.Contains(a.Pseudonymise, c.Name)
		if gone || c.Name == FileColumn || c.Name == RowColumn {
			continue
		}
		for _, hidden := range a.Pseudonymise {
			if err := e.searchCopy(ctx, from, a, c, hidden); err != nil {
				return err
			}
		}
		if err := e.searchDropped(ctx, from, a, c, cols, out); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) searchCopy(ctx context.Context, from string, a Admission, c query.Column, hidden string) error {
	var rows, inside, same int64
	statement := fmt.Sprintf("SELECT count(*), count(CASE WHEN %s THEN 1 END), count(CASE WHEN %s = %s THEN 1 END) FROM %s WHERE %s IS NOT NULL",
		contains(c, hidden), value(c.Name), value(hidden), admitted(from, a), value(hidden))
	if err := e.One(ctx, statement, &rows, &inside, &same); err != nil {
		return err
	}
	found := inside
	if rows > 1 && 2*same > rows {
		found = max(found, same)
	}
	if found == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "column "+c.Name, "it still holds the original %s in %d rows", hidden, found).
		WithHint("add %s to spec.privacy.drop or spec.privacy.pseudonymise", c.Name)
}

func (e *Engine) searchDropped(ctx context.Context, from string, a Admission, c query.Column, cols []query.Column, out *Admitted) error {
	for _, d := range cols {
		if d.Type != "VARCHAR" || !slices.Contains(a.Drop, d.Name) {
			continue
		}
		s := Suspicion{Column: c.Name, Of: d.Name}
		if err := e.One(ctx, "SELECT count(*) FROM "+admitted(from, a)+" WHERE "+contains(c, d.Name), &s.Rows); err != nil {
			return err
		}
		if s.Rows > 0 {
			out.Suspicions = append(out.Suspicions, s)
		}
	}
	return nil
}

// contains is a condition: the column's text contains a telling identifier: at least 4 characters, or 6 when all are
// digits, since short numbers occur by chance. Only columns that can hold text are searched.
func contains(c query.Column, hidden string) string {
	if !holdsText(c.Type) {
		return "false"
	}
	v := value(hidden)
	return fmt.Sprintf("length(%[1]s) >= 4 AND (length(%[1]s) >= 6 OR NOT regexp_full_match(%[1]s, '[0-9]*')) AND contains(lower(CAST(r.%[2]s AS VARCHAR)), lower(%[1]s))",
		v, Ident(c.Name))
}

func holdsText(typ string) bool {
	return strings.Contains(typ, "VARCHAR") || strings.Contains(typ, "JSON")
}
