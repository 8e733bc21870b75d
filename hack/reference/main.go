// SPDX-License-Identifier: Apache-2.0

// Command reference writes the reference of Fathom's kinds, in Markdown, from the folder of their definitions.
//
//	reference <folder> > reference.md
package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference <folder of definitions>")
		os.Exit(2)
	}
	kinds, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
	fmt.Print(render(kinds))
}

// order is the order in which a reader meets the kinds; others follow by name.
var order = []string{"Workspace", "Dataset", "Model", "Endpoint", "Report", "Notebook", "Run", "ModelVersion"}

func read(folder string) ([]apiextensions.CustomResourceDefinition, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no definitions in %s: %w", folder, cmp.Or(err, os.ErrNotExist))
	}
	kinds := make([]apiextensions.CustomResourceDefinition, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(text, &kinds[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	slices.SortFunc(kinds, func(a, b apiextensions.CustomResourceDefinition) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Name, b.Name))
	})
	return kinds, nil
}

func place(k apiextensions.CustomResourceDefinition) int {
	if i := slices.Index(order, k.Spec.Names.Kind); i >= 0 {
		return i
	}
	return len(order)
}

func render(kinds []apiextensions.CustomResourceDefinition) string {
	var b strings.Builder
	b.WriteString("# The kinds\n\nGenerated from the definitions by `make generate`. A field in **bold** is required.\n\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "- [%s](#%s)\n", k.Spec.Names.Kind, strings.ToLower(k.Spec.Names.Kind))
	}
	for _, k := range kinds {
		for _, v := range k.Spec.Versions {
			kind(&b, k, v)
		}
	}
	return b.String()
}

func kind(b *strings.Builder, k apiextensions.CustomResourceDefinition, v apiextensions.CustomResourceDefinitionVersion) {
	schema := v.Schema.OpenAPIV3Schema
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", k.Spec.Names.Kind, prose(schema.Description))
	fmt.Fprintf(b, "`apiVersion: %s/%s`, %s", k.Spec.Group, v.Name, strings.ToLower(string(k.Spec.Scope)))
	if len(k.Spec.Names.ShortNames) > 0 {
		fmt.Fprintf(b, "; for short `%s`", strings.Join(k.Spec.Names.ShortNames, "`, `"))
	}
	b.WriteString(".\n")
	for _, part := range []string{"spec", "status"} {
		if s, ok := schema.Properties[part]; ok {
			fmt.Fprintf(b, "\n### %s.%s\n\n| field | type | default | says |\n|---|---|---|---|\n", k.Spec.Names.Kind, part)
			fields(b, "", s)
		}
	}
	if rules := rulesOf("", *schema); len(rules) > 0 {
		b.WriteString("\nWhat is refused:\n\n")
		for _, r := range rules {
			fmt.Fprintf(b, "- %s\n", r)
		}
	}
}

// fields writes a row for every field, parents before their children, by name.
func fields(b *strings.Builder, prefix string, s apiextensions.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		full := prefix + name
		shown := "`" + full + "`"
		if slices.Contains(s.Required, name) {
			shown = "**" + shown + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", shown, typeOf(p), defaultOf(p), cell(says(name, p)))
		if full == "conditions" {
			continue // the same everywhere
		}
		inner, mark := elements(p)
		fields(b, full+mark+".", inner)
	}
}

// elements is what a list or map holds, or the object itself, with the mark that its path gets.
func elements(p apiextensions.JSONSchemaProps) (apiextensions.JSONSchemaProps, string) {
	switch {
	case p.Items != nil && p.Items.Schema != nil:
		return *p.Items.Schema, "[]"
	case p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil:
		return *p.AdditionalProperties.Schema, "{}"
	}
	return p, ""
}

func typeOf(p apiextensions.JSONSchemaProps) string {
	inner, mark := elements(p)
	switch {
	case mark == "[]":
		return "list of " + typeOf(inner)
	case mark == "{}":
		return "map to " + typeOf(inner)
	case len(p.Enum) > 0:
		values := make([]string, len(p.Enum))
		for i, v := range p.Enum {
			values[i] = "`" + strings.Trim(string(v.Raw), `"`) + "`"
		}
		return strings.Join(values, ", ")
	case p.XIntOrString:
		return "integer or string"
	}
	return cmp.Or(p.Type, "any")
}

func defaultOf(p apiextensions.JSONSchemaProps) string {
	if p.Default == nil {
		return ""
	}
	return "`" + cell(strings.Trim(string(p.Default.Raw), `"`)) + "`"
}

// rulesOf lists the messages of the validation rules, with where they hold.
func rulesOf(at string, s apiextensions.JSONSchemaProps) []string {
	var rules []string
	for _, r := range s.XValidations {
		rules = append(rules, strings.TrimPrefix(fmt.Sprintf("`%s`: %s", strings.TrimPrefix(at, "."), cmp.Or(r.Message, "`"+r.Rule+"`")), "``: "))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		rules = append(rules, rulesOf(at+"."+name, s.Properties[name])...)
	}
	if inner, mark := elements(s); mark != "" {
		rules = append(rules, rulesOf(at+mark, inner)...)
	}
	return rules
}

func prose(s string) string { return strings.Join(strings.Fields(s), " ") }
func cell(s string) string  { return strings.ReplaceAll(s, "|", `\|`) }

// says is the description without the field's name, with which it begins.
func says(name string, p apiextensions.JSONSchemaProps) string {
	text := prose(p.Description)
	return strings.TrimPrefix(strings.TrimPrefix(text, name+" "), name+": ")
}
