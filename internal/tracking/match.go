// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern is the longest pattern of LIKE, in bytes: matching costs pattern × text.
const maxPattern = 1000

func checkPattern(pattern string) error {
	if len(pattern) > maxPattern {
		return invalid("A pattern of LIKE may have at most %d bytes", maxPattern)
	}
	return nil
}

// number reports whether v satisfies a numeric clause. NaN satisfies none but "!=".
func (c *clause) matchNumber(v float64) bool {
	switch c.op {
	case "=":
		return v == c.number
	case "!=":
		return v != c.number
	case "<":
		return v < c.number
	case "<=":
		return v <= c.number
	case ">":
		return v > c.number
	case ">=":
		return v >= c.number
	}
	return false
}

// matchText reports whether a value satisfies a clause on text; has says whether there is a value at all.
func (c *clause) matchText(v string, has bool) bool {
	switch {
	case c.op == "IS NULL":
		return !has
	case c.op == "IS NOT NULL":
		return has
	case !has:
		return false
	}
	switch c.op {
	case "=":
		return v == c.text
	case "!=":
		return v != c.text
	case "LIKE":
		return like(v, c.text, false)
	case "ILIKE":
		return like(v, c.text, true)
	case "IN":
		return slices.Contains(c.list, v)
	case "NOT IN":
		return !slices.Contains(c.list, v)
	}
	return false
}

// like matches SQL's LIKE: % is any text, _ any character. It backtracks to the last % only, so it costs at most
// pattern × text.
func like(text, pattern string, fold bool) bool {
	t, p := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		tr, tn := utf8.DecodeRuneInString(text[t:])
		var pr rune
		pn := 0
		if p < len(pattern) {
			pr, pn = utf8.DecodeRuneInString(pattern[p:])
		}
		switch {
		case pn > 0 && pr == '%':
			star, mark = p, t
			p += pn
		case pn > 0 && (pr == '_' || pr == tr || fold && lower(pr) == lower(tr)):
			p += pn
			t += tn
		case star >= 0:
			_, n := utf8.DecodeRuneInString(text[mark:])
			mark += n
			t, p = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "%") == ""
}

func lower(r rune) rune { return unicode.ToLower(r) }
