// SPDX-License-Identifier: Apache-2.0

package mistakes_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fathom.dev/fathom/test/platform"
)

// refused applies what apply itself must refuse.
func (w *world) refused() []entry {
	w.Helper()
	var out []entry
	for _, m := range declarations {
		if m.object != "" {
			continue
		}
		said, code := w.apply(m)
		if code == 0 {
			w.Errorf("%s: it was taken", m.name)
		}
		out = append(out, entry{mistake: m, said: said, code: code})
	}
	return out
}

// apply declares the mistake, from a folder of its own.
func (w *world) apply(m mistake) (said string, code int) {
	w.Helper()
	files := map[string]string{"object.yaml": strings.ReplaceAll(m.yaml, "{name}", m.name)}
	for name, content := range m.files {
		files[name] = content
	}
	w.write(m.name, files)
	folder := filepath.Join(w.dir, m.name)
	command := exec.CommandContext(w.Context(), filepath.Join(w.Bin, "fathom"), "apply", "-f", "object.yaml")
	command.Dir = folder
	command.Env = append(os.Environ(), "FATHOM_STATE="+w.State, "KUBECONFIG="+w.configs[""])
	said, code = w.execute(command, []string{"apply", "-f", "object.yaml"})
	return strings.ReplaceAll(said, m.name+"/", "study/"), code
}

// line is an object in `fathom status`.
type line struct{ Kind, Name, State, Message string }

// ends are the states in which an object that cannot become true stays.
var ends = []string{"Invalid", "Failed", "Cycle", "Waiting", "Refused"}

// conditions declares the others, and waits until each has come to an end.
func (w *world) conditions() []entry {
	w.Helper()
	var out []entry
	for _, m := range declarations {
		if m.object == "" {
			continue
		}
		if said, code := w.apply(m); code != 0 {
			w.Errorf("%s: apply refused it: %s", m.name, said)
			continue
		}
		out = append(out, entry{mistake: m, code: -1})
	}
	w.do("put", "-n", "tiny", "base/people.csv", "inbox/people/")
	for i, e := range out {
		workspace := "wrong"
		if strings.Contains(e.yaml, "namespace: tiny") {
			workspace = "tiny"
		}
		l := w.end(workspace, e.object, e.name, e.until)
		out[i].said = w.shown(l)
	}
	return out
}

// end is what an object says in the end.
func (w *world) end(workspace, kind, name, until string) (l line) {
	w.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(4 * time.Minute); ; {
		var lines []line
		said := w.Fathom("status", "-n", workspace, "-o", "json")
		if err := json.Unmarshal([]byte(said), &lines); err != nil {
			w.Fatal(err, said)
		}
		i := slices.IndexFunc(lines, func(l line) bool { return strings.ToLower(l.Kind) == kind && l.Name == name })
		if i >= 0 {
			l = lines[i]
		}
		if until == "" && slices.Contains(ends, l.State) || until != "" && strings.Contains(l.Message, until) {
			return l
		}
		select {
		case <-deadline:
			w.Errorf("%s/%s comes to no end: %+v", kind, name, l)
			return l
		case <-tick.C:
		}
	}
}

// pythonless is a Fathom on a machine whose Python is not there, and then too old.
func (w *world) pythonless() []entry {
	w.Helper()
	python := filepath.Join(w.dir, "python3")
	w.Setenv("FATHOM_PYTHON3", python)
	other := &world{Platform: platform.Start(w.T), dir: w.dir, plain: w.plain}
	other.configs = map[string]string{"": filepath.Join(other.State, "kubeconfig")}
	const yaml = "kind: Workspace\nmetadata: {name: {name}}\n---\n" +
		"kind: Dataset\nmetadata: {name: rows, namespace: {name}}\nspec: {from: {query: {sql: select 1 as a}}}\n---\n" +
		"kind: Dataset\nmetadata: {name: {name}, namespace: {name}}\nspec:\n" +
		"  from: {code: {path: ./code, command: [python, x.py], inputs: [rows], environment: {python: requirements.txt}}}\n"
	var out []entry
	for _, m := range []mistake{
		{name: "no-python", yaml: yaml, given: "There is no Python on the machine.", want: []string{"there is no Python 3.11 or newer", "FATHOM_PYTHON3"}},
		{name: "python-too-old", yaml: yaml, given: "The only Python is 3.9.", want: []string{"there is no Python 3.11 or newer", "is 3.9.2", "FATHOM_PYTHON3"}},
	} {
		if m.name == "python-too-old" {
			if err := os.WriteFile(python, []byte("#!/bin/sh\necho /usr/bin/python3.9\necho 3.9.2\nexit 1\n"), 0o755); err != nil { //nolint:gosec // a program
				w.Fatal(err)
			}
		}
		m.files = map[string]string{"code/x.py": "", "code/requirements.txt": "numpy\n"}
		if said, code := other.apply(m); code != 0 {
			w.Fatal(said)
		}
		l := other.end(m.name, "dataset", m.name, "no Python")
		m.yaml, m.files = "", nil
		out = append(out, entry{mistake: m, code: -1, said: other.shown(l)})
	}
	return out
}

// shown is an object as `fathom status -o wide` shows it.
func (w *world) shown(l line) string {
	return w.steady("$ fathom status -o wide\n" + strings.ToLower(l.Kind) + "/" + l.Name + "  " + l.State + "  " + l.Message)
}
