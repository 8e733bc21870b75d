// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"maps"
	"slices"
	"strings"
)

// use is one mention of a table or a function in a statement.
type use struct {
	name  string // as written; a table of a schema is "schema.table"
	table bool   // a function used as a table
	at    int    // byte offset
}

// mentions are what a statement refers to. DuckDB's own list of tables loses those of a join with USING, so the tree is
// walked here, with the scopes of WITH.
type mentions struct {
	tables, functions []use
}

// walk collects the mentions below a node of json_serialize_sql's tree. ctes are the WITH names in scope, lower case.
func (m *mentions) walk(node any, ctes map[string]bool) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			m.walk(child, ctes)
		}
	case map[string]any:
		m.walkObject(n, ctes)
	}
}

func (m *mentions) walkObject(n map[string]any, ctes map[string]bool) {
	ctes = m.with(n, ctes)
	at := location(n)
	if name, ok := n["function_name"].(string); ok {
		m.functions = append(m.functions, use{name: strings.ToLower(name), at: at})
	}
	switch n["type"] {
	case "BASE_TABLE":
		m.table(n, ctes, at)
	case "TABLE_FUNCTION":
		if f, ok := n["function"].(map[string]any); ok {
			name, _ := f["function_name"].(string)
			m.functions = append(m.functions, use{name: strings.ToLower(name), table: true, at: location(f)})
			m.walk(f["children"], ctes)
		}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(n)) {
		if key != "cte_map" {
			m.walk(n[key], ctes)
		}
	}
}

func (m *mentions) table(n map[string]any, ctes map[string]bool, at int) {
	name, _ := n["table_name"].(string)
	schema, _ := n["schema_name"].(string)
	catalog, _ := n["catalog_name"].(string)
	if schema == "" && ctes[strings.ToLower(name)] {
		return
	}
	for _, outer := range []string{schema, catalog} {
		if outer != "" {
			name = outer + "." + name
		}
	}
	m.tables = append(m.tables, use{name: name, at: at})
}

// with walks the queries of a WITH clause and returns the scope of what follows it. A query sees the names before it;
// a recursive one sees itself too.
func (m *mentions) with(n map[string]any, ctes map[string]bool) map[string]bool {
	clause, _ := n["cte_map"].(map[string]any)
	entries, _ := clause["map"].([]any)
	if len(entries) == 0 {
		return ctes
	}
	scope := maps.Clone(ctes)
	if scope == nil {
		scope = map[string]bool{}
	}
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		name, _ := entry["key"].(string)
		name = strings.ToLower(name)
		if isRecursive(entry["value"]) {
			scope[name] = true
		}
		m.walk(entry["value"], scope)
		scope[name] = true
	}
	return scope
}

func isRecursive(cte any) bool {
	value, _ := cte.(map[string]any)
	q, _ := value["query"].(map[string]any)
	node, _ := q["node"].(map[string]any)
	return node["type"] == "RECURSIVE_CTE_NODE"
}

// location is -1 when the tree does not say.
func location(n map[string]any) int {
	at, ok := n["query_location"].(float64)
	if !ok || at > 1<<31 {
		return -1
	}
	return int(at)
}
