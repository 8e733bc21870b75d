// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// level is the storey that a room is on. Imports point down only.
type level int

const (
	unknown level = iota
	words         // names, errors, the kinds: standard library only
	things        // values, files, SQL: no Kubernetes clients, nothing that serves
	engines       // processes
	doors         // request bytes
	hands         // cluster objects
	desk          // flags, wiring, exit codes; tests of the whole
)

// rooms says on which storey each room is. A new room gets its line here.
var rooms = map[string]level{
	"api/crds": words, "api/v1alpha1": words, "internal/fault": words, "internal/ref": words, "web": words,

	"internal/audit": things, "internal/backup": things, "internal/bundle": things, "internal/capture": things, "internal/chart": things, "internal/dicom": things, "internal/dist": things,
	"internal/drift": things, "internal/evaluate": things, "internal/gang": things, "internal/identity": things, "internal/insight": things,
	"internal/lake": things, "internal/oip": things, "internal/page": things, "internal/plan": things,
	"internal/predict": things, "internal/privacy": things, "internal/promotion": things, "internal/query": things,
	"internal/queue": things, "internal/registry": things, "internal/source": things, "internal/tracking": things, "internal/upload": things,
	"internal/traffic": things,

	"internal/environment": engines, "internal/kube": engines, "internal/node": engines,

	"internal/console": doors, "internal/gateway": doors, "internal/iceberg": doors, "internal/inference": doors,
	"internal/mlflow": doors, "internal/oci": doors, "internal/s3": doors, "internal/staging": doors,

	"internal/operator": hands, "internal/operator/dataset": hands, "internal/operator/endpoint": hands,
	"internal/operator/image": hands, "internal/operator/model": hands, "internal/operator/notebook": hands,
	"internal/operator/report": hands, "internal/operator/rotation": hands, "internal/operator/run": hands,
	"internal/operator/workspace": hands,

	"internal/testenv": desk, "cmd": desk, "examples": desk, "test": desk, "bench": desk, "hack": desk,
}

// heavy dependencies live in these rooms and nowhere else.
var heavy = map[string][]string{
	"github.com/apache/iceberg-go":               {"internal/lake"},
	"github.com/duckdb":                          {"internal/query"},
	"github.com/google/nftables":                 {"internal/node"},
	"github.com/opencontainers/runc":             {"internal/node"},
	"github.com/versity/versitygw":               {"internal/s3"},
	"github.com/virtual-kubelet/virtual-kubelet": {"internal/node"},
	"github.com/vishvananda/netlink":             {"internal/node"},
	"github.com/vishvananda/netns":               {"internal/node"},
	"github.com/yalue/onnxruntime_go":            {"internal/predict"},
	"go.etcd.io":                                 {"internal/kube"},
	"gonum.org/v1/plot":                          {"internal/chart"},
	"k8s.io/kubernetes":                          {"internal/kube"},
}

// forbidden to things: clients of Kubernetes, and serving.
var forbiddenToThings = []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "net/http", "k8s.io/apiserver"}

// within says whether an import path is this one or below it.
func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

// room is the longest known room that holds the folder; its level is unknown if there is none.
func room(dir string) (string, level) {
	for d := dir; d != "."; d = parentOf(d) {
		if l := rooms[d]; l != unknown {
			return d, l
		}
	}
	return dir, unknown
}

func parentOf(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		return dir[:i]
	}
	return "."
}

func standard(p string) bool { return !strings.Contains(strings.Split(p, "/")[0], ".") }

// wall says why a file in the folder may not import a package, or "".
func wall(dir, imported string, test bool) string {
	from, l := room(dir)
	if l == unknown {
		return fmt.Sprintf("%s is a room without a storey: give it one in the table of rooms", dir)
	}
	for dependency, homes := range heavy {
		if within(imported, dependency) && !slices.Contains(homes, from) {
			return fmt.Sprintf("%s imports %s, which lives in %s alone", dir, imported, strings.Join(homes, " and "))
		}
	}
	if !within(imported, module) {
		return outside(from, l, imported, test)
	}
	to, below := room(strings.TrimPrefix(imported, module+"/"))
	switch {
	case from == to, l == desk, test && to == "internal/testenv":
		return ""
	case below == unknown:
		return fmt.Sprintf("%s imports %s, a room without a storey", dir, to)
	case from == "internal/operator" && within(to, from):
		return "" // the list of stations
	case below == words, below == things && l >= things:
		return ""
	}
	return fmt.Sprintf("%s imports %s: what it needs from there is a func or small interface that the desk injects", dir, to)
}

// outside is the wall towards packages that are not ours.
func outside(from string, l level, imported string, test bool) string {
	switch l {
	case words:
		kubernetes := within(imported, "k8s.io/api") || within(imported, "k8s.io/apimachinery")
		if !standard(imported) && !test && !(within(from, "api") && kubernetes) {
			return fmt.Sprintf("%s imports %s: words import the standard library", from, imported)
		}
	case things:
		for _, f := range forbiddenToThings {
			mayServe := from == "internal/identity" && f == "net/http"
			if within(imported, f) && !mayServe {
				return fmt.Sprintf("%s imports %s: things know no cluster and serve nothing", from, imported)
			}
		}
	}
	return ""
}

func TestWalls(t *testing.T) {
	strange := map[string]bool{}
	for _, f := range tree(t) {
		if !f.isGo() || f.isTestdata() || strange[f.dir()] {
			continue
		}
		if _, l := room(f.dir()); l == unknown {
			strange[f.dir()] = true
			t.Errorf("%s: a room without a storey: give it one in the table of rooms", f.dir())
			continue
		}
		for _, imported := range f.imports {
			if why := wall(f.dir(), imported, f.isTest()); why != "" {
				t.Errorf("%s: %s", f.path, why)
			}
		}
	}
}

func TestWallsStand(t *testing.T) {
	tests := []struct {
		dir, imported string
		test, want    bool // want: is stopped
	}{
		{dir: "internal/operator/run", imported: module + "/internal/operator/model", want: true},
		{dir: "internal/operator/run", imported: module + "/internal/kube", want: true},
		{dir: "internal/operator/run", imported: module + "/internal/s3", want: true},
		{dir: "internal/operator/run", imported: module + "/internal/operator", want: true},
		{dir: "internal/operator", imported: module + "/internal/operator/run"},
		{dir: "internal/operator/run", imported: module + "/internal/lake"},
		{dir: "internal/s3", imported: module + "/internal/mlflow", want: true},
		{dir: "internal/s3", imported: module + "/internal/node/volume", want: true},
		{dir: "internal/s3", imported: module + "/internal/identity"},
		{dir: "internal/node", imported: module + "/internal/kube/pki", want: true},
		{dir: "internal/node/sandbox", imported: module + "/internal/node/network"},
		{dir: "internal/lake", imported: module + "/internal/s3", want: true},
		{dir: "internal/lake", imported: module + "/internal/tracking"},
		{dir: "internal/lake", imported: "k8s.io/client-go/rest", want: true},
		{dir: "internal/lake", imported: "sigs.k8s.io/controller-runtime", want: true},
		{dir: "internal/lake", imported: "net/http", want: true},
		{dir: "internal/lake", imported: "net/url"},
		{dir: "internal/identity", imported: "net/http"},
		{dir: "internal/identity", imported: "k8s.io/client-go/kubernetes", want: true},
		{dir: "internal/ref", imported: "golang.org/x/text/unicode", want: true},
		{dir: "internal/ref", imported: "k8s.io/api/core/v1", want: true},
		{dir: "internal/ref", imported: module + "/internal/lake", want: true},
		{dir: "internal/ref", imported: module + "/internal/fault"},
		{dir: "api/v1alpha1", imported: "k8s.io/apimachinery/pkg/runtime"},
		{dir: "api/v1alpha1", imported: "sigs.k8s.io/controller-runtime/pkg/scheme", want: true},
		{dir: "api/v1alpha1", imported: module + "/internal/plan", want: true},
		{dir: "internal/operator/run", imported: module + "/internal/testenv", want: true},
		{dir: "internal/operator/run", imported: module + "/internal/testenv", test: true},
		{dir: "internal/operator/run", imported: module + "/internal/kube", test: true, want: true},
		{dir: "internal/new", imported: "fmt", want: true},
		{dir: "internal/lake", imported: module + "/internal/new", want: true},
		{dir: "internal/lake", imported: "github.com/duckdb/duckdb-go/v2", want: true},
		{dir: "internal/query/duck", imported: "github.com/duckdb/duckdb-go/v2"},
		{dir: "internal/evaluate", imported: "github.com/yalue/onnxruntime_go", want: true},
		{dir: "internal/testenv", imported: "k8s.io/kubernetes/cmd/kube-apiserver/app", want: true},
		{dir: "cmd/fathom-server", imported: "go.etcd.io/etcd/server/v3/embed", want: true},
		{dir: "cmd/fathom-server", imported: module + "/internal/kube"},
		{dir: "examples/study/generate", imported: module + "/internal/lake"},
	}
	for _, tt := range tests {
		if why := wall(tt.dir, tt.imported, tt.test); (why != "") != tt.want {
			t.Errorf("%s imports %s (test file: %t): %q, want it stopped: %t", tt.dir, tt.imported, tt.test, why, tt.want)
		}
	}
}
