// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// volatile functions answer differently each time, so that a replay cannot give the same bytes.
var volatile = []string{
	"current_date", "current_localtime", "current_localtimestamp", "current_timestamp", "gen_random_uuid",
	"get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "now", "random", "setseed", "today",
	"transaction_timestamp", "uuid", "uuidv4", "uuidv7",
}

// tableFunctions make rows out of nothing but their arguments. All others read files or the engine's state.
var tableFunctions = []string{"generate_series", "range", "unnest", "json_each", "json_tree", "generate_subscripts", "repeat", "summary"}

// Check reads a statement without running it. Mistakes of its author are in Checked.Error; the error is ours.
func (e *Engine) Check(ctx context.Context, p query.CheckParams) (query.Checked, error) {
	out, m, err := e.parse(ctx, p.SQL)
	if err != nil || out.Error != nil {
		return out, err
	}
	for _, f := range m.functions {
		switch {
		case f.table && !slices.Contains(tableFunctions, f.name):
			out.Error = (&query.Problem{Message: "the function " + f.name + " is not available: a query reads datasets by name and nothing else",
				Hint: "declare a Dataset with from.files and name it here"}).At(p.SQL, f.at)
			return out, nil
		case slices.Contains(volatile, f.name):
			out.Volatile = append(out.Volatile, f.name)
		}
	}
	for _, t := range m.tables {
		if isFile(t.name) {
			out.Error = (&query.Problem{Message: strconv.Quote(t.name) + " is a file, not a dataset",
				Hint: "declare a Dataset with from.files and name it here"}).At(p.SQL, t.at)
			return out, nil
		}
		out.Tables = append(out.Tables, unqualified(t.name, p.Workspace))
	}
	out.Tables, out.Volatile = distinct(out.Tables), distinct(out.Volatile)
	return out, e.bind(ctx, p, &out)
}

// parse asks DuckDB's own parser for the statement's tree.
func (e *Engine) parse(ctx context.Context, sql string) (query.Checked, mentions, error) {
	var out query.Checked
	var m mentions
	var text string
	err := e.conn.QueryRowContext(ctx, "SELECT CAST(json_serialize_sql($1::VARCHAR) AS VARCHAR)", sql).Scan(&text)
	if err != nil {
		return out, m, translate(err)
	}
	var tree struct {
		Failed     bool   `json:"error"`
		Message    string `json:"error_message"`
		Position   string `json:"position"`
		Statements []struct {
			Node map[string]any `json:"node"`
		} `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return out, m, fault.Wrap(fault.Internal, "read SQL", err)
	}
	switch {
	case tree.Failed && strings.HasPrefix(tree.Message, "Only SELECT"):
		out.Error = &query.Problem{Message: "only a SELECT or WITH statement is allowed",
			Hint: "a dataset is the answer of one query; write nothing but the query"}
	case tree.Failed:
		pos, err := strconv.Atoi(tree.Position)
		if err != nil {
			pos = -1
		}
		out.Error = (&query.Problem{Message: oneLine(tree.Message)}).At(sql, pos)
	case len(tree.Statements) != 1:
		out.Error = &query.Problem{Message: strconv.Itoa(len(tree.Statements)) + " statements; exactly one SELECT is allowed",
			Hint: "join them with WITH, or make one Dataset of each"}
	default:
		node := tree.Statements[0].Node
		m.walk(node, nil)
		out.Ordered = isOrdered(node)
	}
	return out, m, nil
}

func isOrdered(node map[string]any) bool {
	modifiers, _ := node["modifiers"].([]any)
	return slices.ContainsFunc(modifiers, func(m any) bool {
		mod, _ := m.(map[string]any)
		return mod["type"] == "ORDER_MODIFIER"
	})
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// bind resolves every name against the known tables, if all of them are known.
func (e *Engine) bind(ctx context.Context, p query.CheckParams, out *query.Checked) error {
	known := map[string]bool{}
	for _, t := range p.Tables {
		known[strings.ToLower(t.Name)] = true
	}
	for _, name := range out.Tables {
		if !known[strings.ToLower(name)] {
			return nil
		}
	}
	if err := e.declare(ctx, p.Workspace, p.Tables); err != nil {
		return err
	}
	cols, err := e.Describe(ctx, p.SQL)
	var raw *Raw
	if errors.As(err, &raw) {
		out.Error = problem(err, p.SQL, len(describePrefix))
		return nil
	}
	out.Columns = cols
	if err == nil && len(p.Tables) > 0 { // a dataset is planned; a person's question may repeat names
		out.Error = duplicate(cols)
	}
	return err
}

// declare makes empty tables of the given columns.
func (e *Engine) declare(ctx context.Context, workspace string, tables []query.Table) error {
	if err := e.schema(ctx, workspace); err != nil {
		return err
	}
	for _, t := range tables {
		cols := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			cols[i] = Ident(c.Name) + " " + c.Type
		}
		if len(cols) == 0 {
			return fault.New(fault.Invalid, "check SQL", "table %s has no columns", t.Name)
		}
		if err := e.Exec(ctx, "CREATE TABLE "+Ident(t.Name)+" ("+strings.Join(cols, ", ")+")"); err != nil {
			return err
		}
	}
	return nil
}

// schema makes the workspace's schema the current one, so that both "voice" and "neurology.voice" are found.
func (e *Engine) schema(ctx context.Context, workspace string) error {
	if workspace == "" {
		return nil
	}
	if err := e.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Ident(workspace)); err != nil {
		return err
	}
	return e.Exec(ctx, "USE "+Ident(workspace))
}

func unqualified(table, workspace string) string {
	if ws, name, ok := strings.Cut(table, "."); ok && ws == workspace {
		return name
	}
	return table
}

// isFile tells a table name that can only be a path.
func isFile(table string) bool {
	lower := strings.ToLower(table)
	return strings.Contains(table, "/") || slices.ContainsFunc(fileEnds, func(end string) bool { return strings.HasSuffix(lower, end) })
}

var fileEnds = []string{".csv", ".parquet", ".json", ".ndjson", ".jsonl", ".tsv", ".txt", ".gz", ".zst", ".db"}
