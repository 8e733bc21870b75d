// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"strconv"
	"strings"
)

// sortOf says how a column of an Iceberg type is described.
func sortOf(typ string) string {
	switch {
	case typ == "int", typ == "long", typ == "float", typ == "double", strings.HasPrefix(typ, "decimal"):
		return "number"
	case typ == "date", strings.HasPrefix(typ, "timestamp"):
		return "time"
	case typ == "string", typ == "boolean", typ == "uuid":
		return "text"
	}
	return "other"
}

// moment is a line of the answer to momentsOf. Numbers come as text, so that those beyond JSON's are not lost.
type moment struct {
	Column    int       `json:"i"`
	Missing   int64     `json:"missing"`
	Distinct  int64     `json:"distinct_values"`
	Least     *float64  `json:"least"`
	Greatest  *float64  `json:"greatest"`
	Mean      *float64  `json:"mean"`
	Deviation *float64  `json:"deviation"`
	Quantiles []float64 `json:"quantiles"`
}

func (m moment) into(c *ColumnProfile) {
	c.Missing, c.Distinct, c.Least, c.Greatest = m.Missing, m.Distinct, m.Least, m.Greatest
	if c.Type == "number" {
		c.Mean, c.Deviation, c.Quantiles = m.Mean, m.Deviation, m.Quantiles
	}
}

// measure is a column as a number: itself, or seconds since 1970.
func measure(c ColumnProfile) string {
	if c.Type == "time" {
		return "epoch(" + ident(c.Name) + ")"
	}
	return "CAST(" + ident(c.Name) + " AS DOUBLE)"
}

// momentsOf asks for one line a column.
func momentsOf(columns []ColumnProfile, rows int64) string {
	distinct := "count(DISTINCT "
	if rows > exactRows {
		distinct = "approx_count_distinct("
	}
	parts := make([]string, 0, len(columns))
	for i, c := range columns {
		if c.Type == "number" || c.Type == "time" {
			parts = append(parts, fmt.Sprintf(`SELECT %d AS i, count(*) - count(x) AS missing, %sx) AS distinct_values,
min(x) FILTER (isfinite(x)) AS least, max(x) FILTER (isfinite(x)) AS greatest, avg(x) FILTER (isfinite(x)) AS mean,
stddev_samp(x) FILTER (isfinite(x)) AS deviation, quantile_cont(x, [0.05, 0.25, 0.5, 0.75, 0.95]) FILTER (isfinite(x)) AS quantiles
FROM (SELECT %s AS x FROM t)`, i, distinct, measure(c)))
			continue
		}
		parts = append(parts, fmt.Sprintf(`SELECT %d AS i, count(*) - count(x) AS missing, %sCAST(x AS VARCHAR)) AS distinct_values,
NULL::DOUBLE AS least, NULL::DOUBLE AS greatest, NULL::DOUBLE AS mean, NULL::DOUBLE AS deviation, NULL::DOUBLE[] AS quantiles
FROM (SELECT %s AS x FROM t)`, i, distinct, ident(c.Name)))
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

// count is a line of the answer to countsOf: rows in a bar, or with a value.
type count struct {
	Column int     `json:"i"`
	Bar    *int    `json:"bar"`
	Value  *string `json:"value"`
	Rows   int64   `json:"n"`
}

func (n count) into(c *ColumnProfile) {
	switch {
	case n.Bar != nil && *n.Bar >= 0 && *n.Bar < bins:
		if c.Bars == nil {
			c.Bars = make([]int64, bins)
		}
		c.Bars[*n.Bar] += n.Rows
	case n.Value != nil:
		c.Top = append(c.Top, TopValue{Value: *n.Value, Rows: n.Rows})
	}
}

// countsOf asks for the histograms of numbers and times that vary, and for the most frequent values of everything else and
// of numbers with few values; "" when there is nothing to count.
func countsOf(columns []ColumnProfile) string {
	var parts []string
	for i, c := range columns {
		if c.Distinct == 0 {
			continue
		}
		if c.Least != nil && c.Greatest != nil && *c.Least < *c.Greatest {
			width := (*c.Greatest - *c.Least) / bins
			parts = append(parts, fmt.Sprintf(`SELECT %d AS i, bar, NULL::VARCHAR AS value, count(*) AS n
FROM (SELECT CAST(greatest(0, least(%d, floor((x - (%s)) / %s))) AS INTEGER) AS bar FROM (SELECT %s AS x FROM t) WHERE isfinite(x)) GROUP BY bar`,
				i, bins-1, number64(*c.Least), number64(width), measure(c)))
		}
		if c.Type == "text" || c.Type == "other" || c.Distinct <= tops {
			parts = append(parts, fmt.Sprintf(`(SELECT %d AS i, NULL::INTEGER AS bar, left(CAST(%s AS VARCHAR), 80) AS value, count(*) AS n
FROM t WHERE %s IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT %d)`, i, ident(c.Name), ident(c.Name), tops))
		}
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

func number64(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) + "::DOUBLE" }

// ident quotes a column's name for SQL.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
