// SPDX-License-Identifier: Apache-2.0

package poison

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"fathom.dev/fathom/api/crds"
)

// kind is one of our kinds, as its definition describes it.
type kind struct {
	name, plural string
	namespaced   bool
	spec, status apiextensions.JSONSchemaProps
}

func kinds(t *testing.T) []kind {
	t.Helper()
	files, err := crds.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var out []kind
	for _, f := range files {
		content, err := crds.Files.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		var d apiextensions.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &d); err != nil {
			t.Fatal(err)
		}
		properties := d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties
		out = append(out, kind{
			name: d.Spec.Names.Kind, plural: d.Spec.Names.Plural, namespaced: d.Spec.Scope == apiextensions.NamespaceScoped,
			spec: properties["spec"], status: properties["status"],
		})
	}
	return out
}

// odd are texts that programs trip over.
var odd = []string{
	"", " ", "a", "/", "//", "..", "../..", "../../etc/passwd", "no-slash", "a/b/c/d", "%", "%2e%2e%2f", "{}", "[]", "null", "true", "-1", "1e999", "NaN",
	"select 1; drop table x", "' or 1=1 --", "$(id)", "`id`", "\t\r\n", "Ünïcödé", "日本語", "🧠🩺", "a\u202eb", "\u0000", "\ufeffbom", "é", "e\u0301",
	"file:///etc/passwd", "http://169.254.169.254/", "s3://", "://", "*", "**/**", "[", "(", "(?:", "sha256:", "sha256:" + strings.Repeat("0", 64),
	"sha256:" + strings.Repeat("g", 64), "9223372036854775808", "roc_auc > ", "> 0.5", "roc_auc.low.low > x", "production.production >= leakage",
	strings.Repeat("x", 63), strings.Repeat("x", 300), strings.Repeat("longer and ", 3000),
}

// inventor makes values of a schema.
type inventor struct{ *rand.Rand }

func (r inventor) text() string { return odd[r.IntN(len(odd))] }

func (r inventor) value(s apiextensions.JSONSchemaProps, depth int) any {
	if len(s.Enum) > 0 && r.IntN(10) > 0 {
		return yamlValue(s.Enum[r.IntN(len(s.Enum))].Raw)
	}
	switch s.Type {
	case "object":
		return r.object(s, depth)
	case "array":
		out := []any{}
		if s.Items != nil && s.Items.Schema != nil && depth < 8 {
			for range r.IntN(4) {
				out = append(out, r.value(*s.Items.Schema, depth+1))
			}
		}
		return out
	case "integer":
		return []any{int64(0), int64(1), int64(-1), int64(2), int64(7), int64(1 << 31), int64(1) << 62}[r.IntN(7)]
	case "number":
		return []any{0.0, 0.5, -1.0, 1e300, 1e-300, int64(3)}[r.IntN(6)]
	case "boolean":
		return r.IntN(2) == 0
	case "string":
		return r.formatted(s)
	}
	if s.XIntOrString {
		return []any{"1", "500m", "16Gi", "-5", int64(3), "lots"}[r.IntN(6)]
	}
	return map[string]any{r.key(): r.text()} // whatever is preserved
}

func (r inventor) formatted(s apiextensions.JSONSchemaProps) string {
	switch {
	case s.Format == "date-time":
		return []string{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z"}[r.IntN(3)]
	case strings.Contains(s.Pattern, "sha256"):
		return "sha256:" + strings.Repeat("0", 64)
	case s.Pattern != "" && r.IntN(3) > 0:
		return []string{"a", "voice", "a-b", "1h", "5m", "5%", "100%", "1", "a_b", "0.5"}[r.IntN(10)]
	}
	return r.text()
}

func (r inventor) object(s apiextensions.JSONSchemaProps, depth int) map[string]any {
	out := map[string]any{}
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	exactlyOne := s.MaxProperties != nil && *s.MaxProperties == 1
	for name, property := range s.Properties { // the order does not matter: each is decided by itself
		if required[name] && r.IntN(40) > 0 || !required[name] && !exactlyOne && r.IntN(3) == 0 && depth < 10 {
			out[name] = r.value(property, depth+1)
		}
	}
	if exactlyOne {
		for name, property := range s.Properties {
			out[name] = r.value(property, depth+1)
			break
		}
	}
	if more := s.AdditionalProperties; more != nil && more.Schema != nil {
		for range r.IntN(4) {
			out[r.key()] = r.value(*more.Schema, depth+1)
		}
	}
	return out
}

func (r inventor) key() string {
	return []string{"a", "C", "x.y", "a b", "日本", "", "../x", strings.Repeat("k", 200)}[r.IntN(8)]
}

// metadata that people or other programs may set.
func (r inventor) metadata(annotations, labels []string) map[string]any {
	out := map[string]any{}
	noted, labelled := map[string]any{}, map[string]any{}
	for _, key := range append([]string{"no-slash", "kubectl.kubernetes.io/last-applied-configuration"}, annotations...) {
		if r.IntN(2) == 0 {
			noted[key] = r.text()
		}
	}
	for _, key := range append([]string{"no-slash", "app.kubernetes.io/name"}, labels...) {
		if r.IntN(3) == 0 {
			labelled[key] = []string{"", "a", "A_b.c-9", strings.Repeat("x", 63)}[r.IntN(4)]
		}
	}
	out["annotations"], out["labels"] = noted, labelled
	if r.IntN(5) == 0 {
		out["finalizers"] = []any{"example.com/never"}
	}
	return out
}

func yamlValue(raw []byte) any {
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return fmt.Sprint(string(raw))
	}
	return v
}
