// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fathom.dev/fathom/test/platform"
)

// first are the pages that the others build on; written is what a program writes and another test holds to the truth.
var (
	first   = []string{"docs/tutorial.md", "README.md"}
	written = []string{"docs/mistakes.md", "docs/reference.md", "docs/dependencies.md"}
)

// pages lists README.md and docs/*.md in the order in which they run.
func pages(t *testing.T, root string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatal("no pages", err)
	}
	out := slices.Clone(first)
	for _, f := range found {
		if page := "docs/" + filepath.Base(f); !slices.Contains(out, page) && !slices.Contains(written, page) {
			out = append(out, page)
		}
	}
	return out
}

// TestPages runs the commands of all pages on one Fathom.
func TestPages(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("uv"); err != nil {
		t.Log("uv is not on PATH: environments take longer")
	}
	p := platform.Start(t)
	dir := workplace(t, root)
	for _, page := range pages(t, root) {
		t.Run(page, func(t *testing.T) {
			list, err := commands(read(t, filepath.Join(root, page)))
			if err != nil {
				t.Fatal(err)
			}
			s := newShell(t, dir, p)
			for _, c := range list {
				if c.leaves != "" {
					t.Logf("%s:%d is not run: %s", page, c.line, c.leaves)
					continue
				}
				said, code := s.run(c.text)
				if code != 0 && !showsError(c.shown) {
					t.Fatalf("%s:%d: %s\nexit code %d\n%s", page, c.line, c.text, code, said)
				}
				if c.shown == nil {
					continue
				}
				if diff := differ(c.shown, strings.Split(strings.TrimRight(said, "\n"), "\n")); diff != "" {
					t.Errorf("%s:%d: %s\n%s", page, c.line, c.text, diff)
				}
			}
		})
	}
}

// showsError reports whether the page says that the command fails.
func showsError(shown []string) bool {
	return slices.ContainsFunc(shown, func(l string) bool { return strings.HasPrefix(l, "error: ") })
}

// workplace is a folder with the study and its data, as the tutorial makes them.
func workplace(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range [][]string{
		{"cp", "-r", filepath.Join(root, "examples", "parkinsons", "study"), filepath.Join(dir, "study")},
		{"go", "run", "./examples/parkinsons/generate", "-out", filepath.Join(dir, "data")},
	} {
		command := exec.Command(c[0], c[1:]...)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", c, err, out)
		}
	}
	return dir
}

// shell is one bash for the commands of a page.
type shell struct {
	*testing.T
	in  io.Writer
	out *bufio.Reader
}

func newShell(t *testing.T, dir string, p *platform.Platform) *shell {
	t.Helper()
	command := exec.Command("bash", "--norc")
	command.Dir = dir
	command.Env = append(os.Environ(), "PATH="+p.Bin+":"+os.Getenv("PATH"), "FATHOM_STATE="+p.State, "KUBECONFIG="+filepath.Join(p.State, "kubeconfig"), "NO_COLOR=1")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	s := &shell{T: t, in: in, out: bufio.NewReader(out)}
	fmt.Fprintln(s.in, "exec 2>&1")
	return s
}

const endMark = "\x01end "

// run gives commands to the shell and waits for their end; the code is that of the first that fails.
func (s *shell) run(text string) (said string, code int) {
	s.Helper()
	// In a subshell with -e a block ends at its first failure; what it exports is for itself.
	fmt.Fprintf(s.in, "( set -e\n%s\n) </dev/null\nprintf '%s%%d\\n' $?\n", text, endMark)
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, after, found := strings.Cut(line, endMark); found {
			b.WriteString(before)
			code, _ = strconv.Atoi(strings.TrimSpace(after)) // printf's digits
			return b.String(), code
		}
		b.WriteString(line)
		if err != nil {
			s.Fatalf("%s: the shell ended: %s", text, b.String())
		}
	}
}
