// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestParse(t *testing.T) {
	tests := []struct{ name, file, want, wantErr string }{
		{"plain", "numpy\nSciPy >= 1.0 , <2 # comment\n\n# only\n", "numpy|scipy>=1.0,<2", ""},
		{"names are one", "scikit_learn==1.0\nScikit.Learn==1.0", "scikit-learn==1.0", ""},
		{"extras, marker", `mlflow[extras, sqlserver]>=2 ;  python_version < "3.12"`, `mlflow[extras,sqlserver]>=2 ; python_version < "3.12"`, ""},
		{"hash over lines", "six==1.0 \\\n  --hash=sha256:ab \\\n  --hash=sha256:aa", "six==1.0 --hash=sha256:aa --hash=sha256:ab", ""},
		{"windows lines", "a\r\nb\r\n", "a|b", ""},
		{"other file", "a\n-r /etc/passwd", "", `line 2 ("-r /etc/passwd"): options are not allowed`},
		{"index", "--index-url https://evil", "", "line 1"},
		{"option behind", "six --global-option=x", "", "only --hash"},
		{"url", "six @ https://evil/six.whl", "", "paths and URLs"},
		{"file url", "six @ file:///etc/x.whl", "", "paths and URLs"},
		{"direct without scheme", "six @ ./x.whl", "", "not of the form"},
		{"path", "./local", "", "paths and URLs"},
		{"editable", "-e .", "", "options"},
		{"two words", "num py", "", `line 1 ("num py"): it is not of the form`},
		{"open end", "six \\", "", "backslash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := parse([]byte(tt.file))
			if tt.wantErr != "" {
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("%v, want %q", err, tt.wantErr)
				}
				return
			}
			if got := strings.Join(normalised(list), "|"); err != nil || got != tt.want {
				t.Errorf("%q %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestPinnedListsNeedNoIndex(t *testing.T) {
	for file, want := range map[string]bool{
		"numpy==2.4.6\nmlflow[extras] == 3.1": true, "": true, "six===1.0": true, "six==1.0 --hash=sha256:ab": true,
		"six==1.0 ; python_version < '4'": true, "six": false, "six>=1": false, "six==1.*": false, "six==1.0,!=1.1": false,
		"six==1.0\ntqdm": false, "six~=1.0": false, "six ; python_version == '3.11'": false,
	} {
		list, err := parse([]byte(file))
		if got := pinned(list); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", file, got, err, want)
		}
	}
}

func TestExplain(t *testing.T) {
	j := job{ctx: context.Background(), lines: []requirement{{1, "numpy", "numpy==0"}, {4, "no-such", "no-such==3"}}, python: interpreter{Version: "3.11.7"}}
	tests := []struct {
		name, out string
		kind      fault.Kind
		want      string
	}{
		{"unknown", "error: No solution found\n  cause: Because no-such was not found in the package registry and you require no-such==3, we can conclude that your requirements are unsatisfiable.",
			fault.Invalid, `line 4 ("no-such==3"): Because no-such was not found`},
		{"version", "error: No solution found\n  cause: Because there is no version of numpy==0 and you require numpy==0, we can", fault.Invalid, `line 1 ("numpy==0")`},
		{"no wheel", "  cause: Because all versions of no-such have no usable wheels and you require no-such, we", fault.Invalid, "not built from source"},
		{"pip", "ERROR: No matching distribution found for No_Such==3", fault.Invalid, "line 4"},
		{"offline", "error: Request failed after 3 retries\n  cause: Failed to fetch: http://x/simple/six/", fault.Unavailable, "check the network"},
		{"full", "error: failed to copy: No space left on device (os error 28)", fault.Exhausted, "free space"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := j.explain(tt.out, os.ErrInvalid)
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s %v, want %s %q", fault.KindOf(err), err, tt.kind, tt.want)
			}
		})
	}
}

// builder needs an interpreter, an index and uv; a test that lacks one is skipped.
func builder(t *testing.T, dir string) *Builder {
	t.Helper()
	b, err := New(Options{Dir: filepath.Join(dir, "envs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Settled)
	if _, err := b.interpreter(); err != nil {
		t.Skipf("no interpreter: %v", err)
	}
	if os.Getenv("FATHOM_OFFLINE") != "" {
		t.Skip("FATHOM_OFFLINE is set: packages cannot be fetched")
	}
	return b
}

func build(t *testing.T, b *Builder, requirements string) string {
	t.Helper()
	digest, err := b.Build(t.Context(), []byte(requirements), func(m string) { t.Log(m) })
	if fault.Is(err, fault.Unavailable) {
		t.Skipf("packages cannot be fetched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Path(digest)
}

// A state directory that was removed costs no download again, and no network.
func TestSamePackagesAgainWithoutNetwork(t *testing.T) {
	dir := t.TempDir()
	first := builder(t, filepath.Join(dir, "a"))
	const pinnedList, openList = "six==1.17.0\n", "six\n"
	build(t, first, pinnedList)
	build(t, first, openList)
	uv, err := first.uv(t.Context(), first.python, func(string) {})
	if err != nil {
		t.Skipf("no uv: %v", err)
	}
	t.Setenv("PATH", filepath.Dir(uv)+":"+os.Getenv("PATH"))
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	t.Setenv("UV_HTTP_RETRIES", "0")
	second, err := New(Options{Dir: filepath.Join(dir, "b", "envs"), Cache: first.Cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Settled)
	for _, list := range []string{pinnedList, openList} {
		if _, err := second.Build(t.Context(), []byte(list), func(m string) { t.Log(m) }); err != nil {
			t.Errorf("%q: %v", list, err)
		}
	}
	_, err = second.Build(t.Context(), []byte("tqdm==4.67.1\n"), nil)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "check the network") {
		t.Errorf("what was never fetched: %v", err)
	}
}

func TestBuildOnceWorksAnywhere(t *testing.T) {
	dir := t.TempDir()
	b := builder(t, dir)
	env := build(t, b, "six==1.17.0\ntqdm==4.67.1\n")
	if again := build(t, b, "# the same\ntqdm == 4.67.1\nsix==1.17.0"); again != env {
		t.Errorf("%s, then %s", env, again)
	}
	check := func(env string) {
		t.Helper()
		out, err := exec.Command(filepath.Join(env, "bin", "python"), "-c", "import six, sys; print(six.__version__, sys.prefix)").CombinedOutput()
		if want := "1.17.0 " + env + "\n"; err != nil || string(out) != want {
			t.Errorf("%q %v, want %q", out, err, want)
		}
		if out, err := exec.Command(filepath.Join(env, "bin", "tqdm"), "--version").CombinedOutput(); err != nil {
			t.Errorf("a script: %s %v", out, err)
		}
	}
	check(env)
	moved := filepath.Join(dir, "elsewhere")
	if err := os.Rename(env, moved); err != nil {
		t.Fatal(err)
	}
	check(moved)
	if lock, _ := os.ReadFile(filepath.Join(moved, "fathom.lock")); string(lock) != "six==1.17.0\ntqdm==4.67.1\n" {
		t.Errorf("lock %q", lock)
	}
	info, err := os.Stat(filepath.Join(moved, "lib"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("lib: %v %v", info.Mode(), err)
	}
	leftovers, _ := filepath.Glob(filepath.Join(dir, "envs", ".new-*"))
	if len(leftovers) > 0 {
		t.Errorf("left: %v", leftovers)
	}
}

func TestBuildTogether(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	var installed atomic.Int32
	for range 3 { // as many processes: each builder has its own locks in memory
		b := builder(t, dir)
		for range 2 {
			wait.Go(func() {
				_, err := b.Build(context.Background(), []byte("six==1.17.0"), func(m string) {
					if strings.HasPrefix(m, "Installed") {
						installed.Add(1)
					}
				})
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if n := installed.Load(); n > 1 {
		t.Errorf("built %d times", n)
	}
}

func TestBuildRefuses(t *testing.T) {
	b := builder(t, t.TempDir())
	for file, want := range map[string]string{
		"six==1.17.0\n\nno-such-package-of-fathom==3": "line 3",
		"docopt==0.6.2": "not built from source",
	} {
		_, err := b.Build(t.Context(), []byte(file), nil)
		if fault.Is(err, fault.Unavailable) {
			t.Skipf("packages cannot be fetched: %v", err)
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestEnsure(t *testing.T) {
	dir := t.TempDir()
	file := []byte("six==1.17.0")
	changed := make(chan ref.Digest, 100)
	b := builder(t, dir)
	b.Changed = func(d ref.Digest) { changed <- d }
	state := b.Ensure(file)
	if state.Ready || state.Err != nil || state.Digest == "" {
		t.Fatalf("%+v", state)
	}
	for !state.Ready {
		if d := <-changed; d != ref.DigestOf(file) {
			t.Fatalf("told of %s", d)
		}
		if state = b.Ensure(file); fault.Is(state.Err, fault.Unavailable) {
			t.Skip(state.Err)
		} else if state.Err != nil {
			t.Fatal(state.Err)
		}
	}
	if state := b.Ensure([]byte("-e .")); !fault.Is(state.Err, fault.Invalid) {
		t.Errorf("%+v", state)
	}
}

func TestNoInterpreter(t *testing.T) {
	old := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho /x\necho 3.8.1\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := findPython(old); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "3.8.1") || !strings.Contains(err.Error(), "FATHOM_PYTHON3") {
		t.Errorf("%v", err)
	}
}
