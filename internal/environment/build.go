// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// uvVersion is what is installed when there is no uv.
const uvVersion = "uv>=0.5,<1"

// make builds under another name and renames.
func (b *Builder) make(ctx context.Context, digest ref.Digest, file []byte, progress func(string)) error {
	lines, err := parse(file)
	if err != nil {
		return err
	}
	python, err := b.interpreter()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(b.Dir, ".new-")
	if err != nil {
		return disk(err)
	}
	defer os.RemoveAll(work)
	list := filepath.Join(work, "requirements.txt")
	if err := os.WriteFile(list, []byte(strings.Join(normalised(lines), "\n")+"\n"), 0o600); err != nil {
		return disk(err)
	}
	env := filepath.Join(work, "env")
	j := job{b: b, ctx: ctx, python: python, env: env, list: list, lines: lines, progress: progress}
	info := Info{Digest: digest, Requirements: normalised(lines), Python: python.Version, Platform: platform(), Created: b.Now().UTC()}
	if uv, uvErr := b.uv(ctx, python, progress); uvErr == nil {
		info.Installer = "uv"
		info.Packages, err = j.withUV(uv)
	} else {
		info.Installer = "pip"
		info.Packages, err = j.withPip()
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(info, "", " ")
	if err != nil {
		return fault.Wrap(fault.Internal, "environment", err)
	}
	lock := strings.Join(info.Packages, "\n") + "\n"
	if err := errors.Join(os.WriteFile(filepath.Join(env, "fathom.lock"), []byte(lock), 0o644),
		os.WriteFile(filepath.Join(env, "fathom.json"), text, 0o644), seal(env)); err != nil {
		return disk(err)
	}
	if err := os.Rename(env, b.Path(digest)); err != nil {
		return disk(err)
	}
	b.settling.Go(func() { b.settle(digest.Hex()) })
	return nil
}

// job is one build.
type job struct {
	b         *Builder
	ctx       context.Context
	python    interpreter
	env, list string
	lines     []requirement
	progress  func(string)
}

func (j job) withUV(uv string) ([]string, error) {
	vars := append(settings(), "UV_CACHE_DIR="+j.b.Cache, "UV_PYTHON_DOWNLOADS=never", "UV_NO_CONFIG=1", "UV_NO_PROGRESS=1")
	if out, err := j.run(vars, uv, "venv", "--relocatable", "--no-project", "--python", j.python.Path, j.env); err != nil {
		return nil, j.explain(out, err)
	}
	python := filepath.Join(j.env, "bin", "python")
	if len(j.lines) > 0 {
		if err := j.installWithUV(vars, uv, python); err != nil {
			return nil, err
		}
	}
	if err := j.compile(python); err != nil {
		return nil, err
	}
	return j.freeze(vars, uv, "pip", "freeze", "--python", python)
}

// compile writes the bytecode that read-only pods cannot write, except that of packages' own tests, which is half of it. A file
// that does not compile, such as a template, is left to whoever imports it.
func (j job) compile(python string) error {
	if len(j.lines) == 0 {
		return nil
	}
	j.progress("compiles to bytecode")
	var ended *exec.ExitError
	out, err := j.run(settings(), python, "-I", "-m", "compileall", "-q", "-q", "-j", "0", "-x", `site-packages/.*/tests?/`, filepath.Join(j.env, "lib"))
	if errors.As(err, &ended) && ended.ExitCode() == 1 {
		return nil
	}
	return fault.Wrap(fault.Unavailable, "environment: compile "+lastLines(out), err)
}

// installWithUV asks the index for nothing when every requirement names one version and the cache holds all that they
// need: the same list gives the same packages again, also without a network. A list that leaves versions open gets the
// newest, and those of the cache only while the index cannot be reached.
func (j job) installWithUV(vars []string, uv, python string) error {
	args := []string{"pip", "install", "--python", python, "--requirements", j.list}
	if !j.b.AllowBuilds {
		args = append(args, "--no-build")
	}
	cached := append(slices.Clone(args), "--offline")
	if pinned(j.lines) {
		quiet := j
		quiet.progress = func(string) {}
		if _, err := quiet.run(vars, uv, cached...); err == nil {
			return nil
		}
	}
	out, err := j.run(vars, uv, args...)
	if err == nil {
		return nil
	}
	problem := j.explain(out, err)
	if !fault.Is(problem, fault.Unavailable) || j.ctx.Err() != nil || pinned(j.lines) {
		return problem
	}
	j.progress("the index cannot be reached; takes what was fetched before")
	if _, err := j.run(vars, uv, cached...); err != nil {
		return problem
	}
	return nil
}

func (j job) withPip() ([]string, error) {
	if out, err := j.run(settings(), j.python.Path, "-I", "-m", "venv", "--copies", j.env); err != nil {
		return nil, j.explain(out, err)
	}
	python := filepath.Join(j.env, "bin", "python")
	args := []string{"-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-r", j.list}
	if !j.b.AllowBuilds {
		args = append(args, "--only-binary", ":all:")
	}
	if len(j.lines) > 0 {
		if out, err := j.run(settings(), python, args...); err != nil {
			return nil, j.explain(out, err)
		}
	}
	packages, err := j.freeze(settings(), python, "-I", "-m", "pip", "freeze", "--disable-pip-version-check")
	if err != nil {
		return nil, err
	}
	return packages, disk(relocate(filepath.Join(j.env, "bin"), python))
}

func (j job) freeze(vars []string, name string, args ...string) ([]string, error) {
	cmd := exec.CommandContext(j.ctx, name, args...) //nolint:gosec // uv or the environment's own interpreter
	cmd.Env = vars
	out, err := cmd.Output()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "environment: list packages", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}

// run tells each line of the output as progress and returns all of it.
func (j job) run(vars []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(j.ctx, name, args...) //nolint:gosec // uv or the environment's own interpreter
	cmd.Env = vars
	cmd.Dir = filepath.Dir(j.env)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	var all bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(io.TeeReader(reader, &all))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); telling(line) {
				j.progress(line)
			}
		}
		_, _ = io.Copy(io.Discard, reader)
	}()
	err := cmd.Run()
	writer.Close()
	<-done
	return all.String(), err
}

// telling leaves out what says nothing about how far the work is.
func telling(line string) bool {
	for _, dull := range []string{"+ ", "Using ", "Creating virtual environment", "Activate with"} {
		if strings.HasPrefix(line, dull) {
			return false
		}
	}
	return line != ""
}

// uv finds uv, or installs it once.
func (b *Builder) uv(ctx context.Context, python interpreter, progress func(string)) (string, error) {
	if path, err := exec.LookPath("uv"); err == nil {
		return path, nil
	}
	dir := filepath.Join(b.Tools, "uv")
	path := filepath.Join(dir, "bin", "uv")
	if err := os.MkdirAll(b.Tools, 0o755); err != nil {
		return "", disk(err)
	}
	lock, err := os.OpenFile(filepath.Join(b.Tools, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", disk(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", disk(err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return path, nil
	}
	progress("installs uv")
	j := job{ctx: ctx, env: dir, progress: func(string) {}}
	for _, args := range [][]string{
		{python.Path, "-I", "-m", "venv", dir},
		{filepath.Join(dir, "bin", "python"), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", uvVersion},
	} {
		if out, err := j.run(settings(), args[0], args[1:]...); err != nil {
			_ = os.RemoveAll(dir)
			return "", fault.New(fault.Unavailable, "environment: install uv", "%s", lastLines(out))
		}
	}
	return path, nil
}

// settings is what installers get of our environment: how to reach the index, nothing else. What is set for pip only
// holds for uv too.
func settings() []string {
	keep := func(name string) bool {
		for _, prefix := range []string{"UV_", "PIP_", "SSL_CERT_", "REQUESTS_CA_"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		switch strings.ToUpper(name) {
		case "PATH", "HOME", "TMPDIR", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY":
			return true
		}
		return false
	}
	vars := []string{"PYTHONDONTWRITEBYTECODE="}
	given := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if keep(name) {
			vars, given[name] = append(vars, pair), value
		}
	}
	for pip, uv := range map[string]string{"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX",
		"PIP_FIND_LINKS": "UV_FIND_LINKS", "PIP_CERT": "SSL_CERT_FILE"} {
		if given[pip] != "" && given[uv] == "" {
			vars = append(vars, uv+"="+given[pip])
		}
	}
	return vars
}

// seal makes the files readable for everyone and writable for nobody. Folders stay writable for their owner, who must be
// able to remove the environment.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if info.Mode()&0o111 != 0 {
			mode = 0o555
		}
		if info.Mode().Perm() == mode {
			return nil
		}
		return os.Chmod(path, mode)
	})
}

// relocate lets scripts find the interpreter beside them, as uv's relocatable environments do.
func relocate(bin, python string) error {
	entries, err := os.ReadDir(bin)
	if err != nil {
		return err
	}
	const portable = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"
	for _, e := range entries {
		name := filepath.Join(bin, e.Name())
		if !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		first, rest, _ := bytes.Cut(text, []byte("\n"))
		if !bytes.HasPrefix(first, []byte("#!"+filepath.Dir(python)+"/")) {
			continue
		}
		if err := os.WriteFile(name, append([]byte(portable), rest...), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// disk gives an error of the file system its kind; nil stays nil.
func disk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &fault.Error{Kind: fault.Exhausted, Op: "environment", Hint: "free disk space and try again", Err: err}
	}
	return fault.Wrap(fault.Unavailable, "environment", err)
}
