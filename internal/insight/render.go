// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/page"
)

//go:embed body.html
var bodyText string

//go:embed footer.html
var footerText string

var functions = template.FuncMap{
	"at":      page.At,
	"day":     func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"short":   short,
	"facts":   facts,
	"capital": capital,
	"depth":   func(n Node, depth int) map[string]any { return map[string]any{"Node": n, "Depth": depth} },
	"next":    func(depth int) int { return depth + 1 },
}

var (
	body   = template.Must(template.New("body").Funcs(functions).Parse(bodyText))
	footer = template.Must(template.New("footer").Funcs(functions).Parse(footerText))
)

// Render makes the page of a model version. Invalid: no name or no evaluation.
func Render(m Model) ([]byte, error) {
	if m.Name == "" || m.Evaluation == nil {
		return nil, fault.New(fault.Invalid, "insight.Render", "a page needs a model's name and its evaluation")
	}
	v := newView(m)
	var main, foot bytes.Buffer
	if err := body.Execute(&main, v); err != nil {
		return nil, fault.Wrap(fault.Internal, "insight.Render", err)
	}
	if err := footer.Execute(&foot, v); err != nil {
		return nil, fault.Wrap(fault.Internal, "insight.Render", err)
	}
	return page.Frame(fmt.Sprintf("%s, version %d", m.Name, m.Version), template.HTML(main.String()), template.HTML(foot.String()))
}

// capital begins a sentence.
func capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// short is a digest that people can compare: twelve digits.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}

// facts tells what is known about a node; sizes for people.
func facts(all map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		value := all[k]
		if n, err := strconv.ParseFloat(value, 64); k == "size" && err == nil {
			value = size(n)
		}
		parts = append(parts, k+" "+value)
	}
	return strings.Join(parts, ", ")
}

func size(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " B"
	}
	return strconv.FormatFloat(n, 'f', 1, 64) + " " + units[i]
}
