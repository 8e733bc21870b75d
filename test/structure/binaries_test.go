// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// links says what a binary may be made of.
type links struct {
	binary string
	never  []string // these, and what is below them
	only   []string // if set, nothing else but the standard library
	why    string
}

var binaries = []links{
	{binary: "cmd/fathom", why: "a verb answers in tens of milliseconds",
		never: []string{"k8s.io/kubernetes", "k8s.io/apiserver", "go.etcd.io", "github.com/duckdb", "github.com/apache",
			"github.com/yalue/onnxruntime_go", "github.com/mattn/go-sqlite3", "github.com/versity", "gonum.org",
			module + "/internal/lake", module + "/internal/kube", module + "/internal/node", module + "/internal/operator"}},
	{binary: "cmd/fathom-launch", why: "it starts in any image, on any libc", only: []string{module}},
	{binary: "cmd/fathom-keep", why: "it stays while Fathom restarts, and should be small", only: []string{module, "golang.org/x/sys"}},
	{binary: "cmd/fathom-step", why: "a step starts in 10 ms and knows no cluster",
		never: []string{"k8s.io", "sigs.k8s.io", "go.etcd.io", "github.com/apache/iceberg-go", "github.com/versity",
			module + "/internal/lake", module + "/internal/operator"}},
	{binary: "cmd/fathom-server", why: "people's SQL and models run in processes of their own",
		never: []string{"github.com/duckdb", "github.com/yalue/onnxruntime_go"}},
}

// check lists the packages that the binary should not link.
func (l links) check(packages []string) []string {
	var wrong []string
	for _, p := range packages {
		inside := func(parent string) bool { return within(p, parent) }
		switch {
		case len(l.only) > 0 && !standard(p) && !slices.ContainsFunc(l.only, inside), slices.ContainsFunc(l.never, inside):
			wrong = append(wrong, fmt.Sprintf("%s links %s: %s", l.binary, p, l.why))
		}
	}
	return wrong
}

func TestBinariesLink(t *testing.T) {
	for _, l := range binaries {
		t.Run(l.binary, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+l.binary)
			cmd.Dir = root
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err, string(err.(*exec.ExitError).Stderr))
			}
			packages := strings.Fields(string(out))
			if !slices.Contains(packages, module+"/"+l.binary) {
				t.Fatalf("the list of packages lacks %s itself", l.binary)
			}
			for _, wrong := range l.check(packages) {
				t.Error(wrong)
			}
		})
	}
}

func TestBinariesCheck(t *testing.T) {
	never := links{binary: "b", never: []string{"k8s.io/kubernetes"}}
	only := links{binary: "b", only: []string{module}}
	tests := []struct {
		name     string
		rule     links
		packages []string
		want     int
	}{
		{"never", never, []string{"k8s.io/kubernetes/cmd/kube-apiserver/app", "k8s.io/kubernetes", "k8s.io/kubernetes2"}, 2},
		{"only", only, []string{"fmt", module + "/internal/ref", "golang.org/x/sys/unix"}, 1},
	}
	for _, tt := range tests {
		if got := tt.rule.check(tt.packages); len(got) != tt.want {
			t.Errorf("%s: %q, want %d", tt.name, got, tt.want)
		}
	}
}
