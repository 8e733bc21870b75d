// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependenciesPage = "docs/dependencies.md"

var (
	// row is a line of a table that begins with a name.
	row = regexp.MustCompile("(?m)^\\| `([^`]+)`[^|]*\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|$")
	// requirement is a line of a Python requirements file.
	requirement = regexp.MustCompile(`(?m)^([A-Za-z][A-Za-z0-9_.-]*)`)
)

// goMod is what `go mod edit -json` prints.
type goMod struct {
	Require []struct{ Path string }
	Tool    []struct{ Path string }
}

func readGoMod(t *testing.T, dir string) goMod {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = path.Join(root, dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// moduleOf is the required module that holds a package: the longest whose path is a parent.
func moduleOf(m goMod, imported string) string {
	longest := ""
	for _, r := range m.Require {
		if within(imported, r.Path) && len(r.Path) > len(longest) {
			longest = r.Path
		}
	}
	return longest
}

// named are the modules and packages that our files and tools name themselves.
func named(files []file, product, tools goMod) []string {
	set := map[string]bool{}
	for _, f := range files {
		for _, imported := range f.imports {
			if m := moduleOf(product, imported); m != "" {
				set[m] = true
			}
		}
		base := path.Base(f.path)
		if f.path == "tools/judges.in" || base == "requirements.txt" && !f.isTestdata() {
			for _, match := range requirement.FindAllStringSubmatch(f.text, -1) {
				set[match[1]] = true
			}
		}
	}
	for _, f := range files {
		for _, name := range npmPackages(f) {
			set[name] = true
		}
	}
	for _, tool := range product.Tool {
		set[moduleOf(product, tool.Path)] = true
	}
	for _, tool := range tools.Tool {
		set[moduleOf(tools, tool.Path)] = true
	}
	var all []string
	for name := range set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// npmPackages are those that a package.json asks for itself.
func npmPackages(f file) []string {
	if path.Base(f.path) != "package.json" || f.isTestdata() {
		return nil
	}
	var declared struct {
		Dependencies    map[string]string `json:"dependencies"`
		DevDependencies map[string]string `json:"devDependencies"`
	}
	if err := json.Unmarshal([]byte(f.text), &declared); err != nil {
		return []string{f.path + " is no JSON: " + err.Error()}
	}
	return slices.Concat(slices.Collect(maps.Keys(declared.Dependencies)), slices.Collect(maps.Keys(declared.DevDependencies)))
}

// unexplained says which names lack a row whose every cell says something, and which rows nobody needs any more.
func unexplained(names []string, page string, extra ...string) (missing, stale []string) {
	explained := map[string]bool{}
	for _, match := range row.FindAllStringSubmatch(page, -1) {
		full := true
		for _, cell := range match[2:] {
			full = full && strings.TrimSpace(cell) != ""
		}
		explained[match[1]] = full
		if !slices.Contains(names, match[1]) && !slices.Contains(extra, match[1]) {
			stale = append(stale, match[1])
		}
	}
	for _, n := range names {
		if !explained[n] {
			missing = append(missing, n)
		}
	}
	return missing, stale
}

func TestDependenciesAreExplained(t *testing.T) {
	files := tree(t)
	page := slices.IndexFunc(files, func(f file) bool { return f.path == dependenciesPage })
	if page < 0 {
		t.Fatalf("%s is missing", dependenciesPage)
	}
	names := named(files, readGoMod(t, "."), readGoMod(t, "tools"))
	missing, stale := unexplained(names, files[page].text, "onnxruntime-node", "uv")
	for _, m := range missing {
		t.Errorf("%s lacks a full row for %s: what for, why this, licence", dependenciesPage, m)
	}
	for _, s := range stale {
		t.Errorf("%s explains %s, which nothing needs", dependenciesPage, s)
	}
}

func TestUnexplained(t *testing.T) {
	page := "| module | for | why | licence |\n|---|---|---|---|\n" +
		"| `a.org/kept` | storing | small | MIT |\n| `a.org/bare` | storing |  | MIT |\n| `a.org/gone` | x | y | MIT |\n"
	missing, stale := unexplained([]string{"a.org/bare", "a.org/kept", "a.org/new"}, page)
	if want := []string{"a.org/bare", "a.org/new"}; !slices.Equal(missing, want) {
		t.Errorf("missing: %q, want %q", missing, want)
	}
	if want := []string{"a.org/gone"}; !slices.Equal(stale, want) {
		t.Errorf("stale: %q, want %q", stale, want)
	}
}

func TestNamed(t *testing.T) {
	var product, tools goMod
	for _, p := range []string{"a.org/x", "a.org/x/v2", "a.org/tool", "a.org/unused"} {
		product.Require = append(product.Require, struct{ Path string }{p})
	}
	product.Tool = append(product.Tool, struct{ Path string }{"a.org/tool/cmd/t"})
	files := []file{
		example(t, "a/a.go", "package a\nimport _ \"a.org/x/v2/deep\"\nimport _ \"fmt\"\n"),
		example(t, "examples/e/requirements.txt", "# pins\nnumpy==2\nuvicorn[standard]\n"),
		example(t, "a/testdata/requirements.txt", "six\n"),
		example(t, "web/package.json", `{"dependencies": {"@a/core": "1.0.0"}, "devDependencies": {"vite": "8.0.0"}}`),
		example(t, "web/testdata/package.json", `{"dependencies": {"left-pad": "1.0.0"}}`),
	}
	got := named(files, product, tools)
	if want := []string{"@a/core", "a.org/tool", "a.org/x/v2", "numpy", "uvicorn", "vite"}; !slices.Equal(got, want) {
		t.Errorf("named: %q, want %q", got, want)
	}
}
