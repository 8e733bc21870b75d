// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// declared is one object of a YAML file.
type declared struct {
	*unstructured.Unstructured
	file string
	dir  string // what relative paths in the object are relative to
}

func (d declared) title() string {
	if d.GetNamespace() == "" {
		return strings.ToLower(d.GetKind()) + "/" + d.GetName()
	}
	return strings.ToLower(d.GetKind()) + "/" + d.GetNamespace() + "/" + d.GetName()
}

// ours are the kinds that may leave out their apiVersion.
var ours = []string{"Workspace", "Dataset", "Model", "Endpoint", "Report"}

// read gathers the objects of files and folders, workspaces first.
func read(paths []string, workspace string) ([]declared, error) {
	if len(paths) == 0 {
		return nil, fault.New(fault.Invalid, "apply", "no file is named").WithHint("for example `fathom apply -f study/`")
	}
	var files []string
	for _, path := range paths {
		found, err := yamlFiles(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	var out []declared
	for _, file := range files {
		objects, err := readFile(file, workspace)
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	slices.SortStableFunc(out, func(a, b declared) int { return order(a) - order(b) })
	return out, nil
}

func order(d declared) int {
	if d.GetKind() == "Workspace" {
		return 0
	}
	return 1
}

func yamlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "apply", "there is no file or folder %s", path)
	} else if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var out []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.NotFound, "apply", "folder %s holds no *.yaml file", path)
	}
	slices.Sort(out)
	return out, nil
}

func readFile(file, workspace string) ([]declared, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var out []declared
	for i, text := range documents(string(content)) {
		var object map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
			return nil, yamlMistake(file, i+1, text, err)
		}
		if len(object) == 0 {
			continue
		}
		if key := booleanKey(object, ""); key != "" && booleanWord.Match(content) {
			return nil, fault.New(fault.Invalid, file, "document %d: %s is a key that YAML reads as true or false: on, off, yes or no", i+1, key).
				WithHint("put it in quotes, or use the field's name: see `kubectl explain`")
		}
		d := declared{Unstructured: &unstructured.Unstructured{Object: object}, file: file, dir: dir}
		if err := d.complete(workspace, i+1); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// documents splits a file at its lines "---". Each document has empty lines before it, so that lines keep their numbers.
func documents(content string) []string {
	var out []string
	var document strings.Builder
	lines := 0
	for line := range strings.Lines(content) {
		lines++
		if strings.HasPrefix(line, "---") {
			out = append(out, document.String())
			document.Reset()
			document.WriteString(strings.Repeat("\n", lines))
			continue
		}
		document.WriteString(line)
	}
	return append(out, document.String())
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlMistake says what is wrong with a document in people's words, and what it may be.
func yamlMistake(file string, number int, text string, err error) error {
	message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	message = strings.TrimPrefix(strings.TrimPrefix(message, "unmarshal errors:\n"), "  ")
	told := fault.New(fault.Invalid, file, "document %d: %s", number, message)
	at := ""
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits
		if lines := strings.Split(text, "\n"); n >= 1 && n <= len(lines) {
			at = lines[n-1]
		}
	}
	switch {
	case strings.Contains(message, "already set"):
		return told.WithHint("a key stands once in an object: put both parts below one")
	case strings.Contains(strings.TrimLeft(at, " "), "\t"), strings.Contains(message, "cannot start any token"):
		return told.WithHint("indent with spaces, YAML takes no tabs")
	case strings.Contains(message, "mapping values are not allowed"):
		return told.WithHint("put a text with ': ' in it into quotes; or the line is indented too far")
	case strings.Contains(message, "did not find expected"):
		return told.WithHint("look at the indentation there and above: the keys of one object begin in the same column, and every [ and { is closed")
	}
	return told
}

// booleanWord is a key that YAML 1.1 takes for a boolean unless it is quoted.
var booleanWord = regexp.MustCompile(`(?mi)(^|[{,\s])(on|off|yes|no|y|n)\s*:(\s|$)`)

// booleanKey is the path of a key that was read as a boolean; "" when there is none.
func booleanKey(value any, at string) string {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			path := strings.TrimPrefix(at+"."+key, ".")
			if key == "true" || key == "false" {
				return path
			}
			if found := booleanKey(inner, path); found != "" {
				return found
			}
		}
	case []any:
		for i, inner := range v {
			if found := booleanKey(inner, fmt.Sprintf("%s[%d]", at, i)); found != "" {
				return found
			}
		}
	}
	return ""
}

// complete fills in what a person may leave out: our apiVersion and the workspace.
func (d declared) complete(workspace string, document int) error {
	at := fmt.Sprintf("%s, document %d", d.file, document)
	if d.GetKind() == "" {
		return fault.New(fault.Invalid, at, "kind is missing").WithHint("one of %s", strings.Join(ours, ", "))
	}
	if d.GetName() == "" {
		return fault.New(fault.Invalid, at, "%s has no metadata.name", d.GetKind())
	}
	if d.GetAPIVersion() == "" {
		if !slices.Contains(ours, d.GetKind()) {
			return fault.New(fault.Invalid, at, "kind %q is not one of %s, and apiVersion is missing", d.GetKind(), strings.Join(ours, ", "))
		}
		d.SetAPIVersion(v1alpha1.GroupVersion.String())
	}
	if d.GetKind() != "Workspace" && d.GetNamespace() == "" {
		if workspace == "" {
			return fault.New(fault.Invalid, at, "%s %s has no metadata.namespace", d.GetKind(), d.GetName()).
				WithHint("name its workspace there, or with -n")
		}
		d.SetNamespace(workspace)
	}
	return nil
}
