// SPDX-License-Identifier: Apache-2.0

// Command roles writes the table of roles into a page, from the roles as the program gives them.
//
//	roles <rbac.yaml> <page.md>
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

const (
	begin = "<!-- roles: written by make generate -->\n"
	end   = "<!-- end of roles -->"
)

// members are the roles that people have, in the order of the table.
var members = []string{"viewer", "editor", "steward", "approver", "admin"}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: roles <rbac.yaml> <page.md>")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "roles:", err)
		os.Exit(1)
	}
}

func write(source, page string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	rights, err := read(string(text))
	if err != nil {
		return err
	}
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return errors.New(page + " has no place for the table")
	}
	return os.WriteFile(page, []byte(before+begin+table(rights)+end+after), 0o644) //nolint:gosec // a page for everybody
}

// read gathers the verbs by resource and role.
func read(text string) (map[string]map[string][]string, error) {
	rights := map[string]map[string][]string{}
	for _, document := range strings.Split(text, "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(role.Name, "fathom-")
		if role.Kind != "ClusterRole" || !slices.Contains(members, name) {
			continue
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				if rights[resource] == nil {
					rights[resource] = map[string][]string{}
				}
				rights[resource][name] = append(rights[resource][name], rule.Verbs...)
			}
		}
	}
	return rights, nil
}

func table(rights map[string]map[string][]string) string {
	var b strings.Builder
	b.WriteString("\n| resource | " + strings.Join(members, " | ") + " |\n|---" + strings.Repeat("|---", len(members)) + "|\n")
	resources := make([]string, 0, len(rights))
	for r := range rights {
		resources = append(resources, r)
	}
	slices.Sort(resources)
	for _, r := range resources {
		fmt.Fprintf(&b, "| `%s` |", r)
		for _, m := range members {
			b.WriteString(" " + says(rights[r][m]) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	return b.String()
}

// says tells verbs in few words.
func says(verbs []string) string {
	var out []string
	for _, word := range []struct {
		text  string
		verbs []string
	}{{"read", []string{"get", "list", "watch"}}, {"create", []string{"create"}}, {"change", []string{"update", "patch"}}, {"delete", []string{"delete"}}} {
		if slices.ContainsFunc(word.verbs, func(v string) bool { return slices.Contains(verbs, v) }) {
			out = append(out, word.text)
		}
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, ", ")
}
