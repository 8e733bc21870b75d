// SPDX-License-Identifier: Apache-2.0

// Package environment builds Python environments from requirements files, once for each content.
//
// An environment's digest follows from the normalised requirements, the interpreter, the platform and this builder's
// version. It is a virtual environment that works where it lies and mounted anywhere else, complete and read-only from
// the moment it has its name: it is built under another name and renamed. Packages are taken as wheels only, unless
// allowed otherwise, so that building runs no foreign code. uv does the work; where it is missing it is installed once,
// and where that fails pip does it.
package environment

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// builderVersion changes when the same requirements would give another environment.
const builderVersion = "1"

// Options configures [New]. Dir is required.
type Options struct {
	// Dir holds the environments, each in a folder named after the hex of its digest.
	Dir string
	// Tools is where uv is installed when it is not on PATH. Default: Dir/../tools.
	Tools string
	// Cache is uv's cache; on the same file system as Dir, files are shared instead of copied. Default: the environment
	// variable FATHOM_UV_CACHE, else Dir/cache.
	Cache string
	// Python is the interpreter. Default: the environment variable FATHOM_PYTHON3, else the first of python3.11 to
	// python3.14 and python3 on PATH that is at least 3.11, those below /usr first.
	Python string
	// AllowBuilds lets packages without a wheel be built, which runs their code as the user of Fathom.
	AllowBuilds bool
	// Changed is called after each change of a state that [Builder.Ensure] reports. Nil tells nobody.
	Changed func(requirements ref.Digest)
	Now     func() time.Time
}

// State is how far an environment is.
type State struct {
	Digest  ref.Digest // of the environment
	Ready   bool
	Message string // what is going on, while it is built
	Err     error  // why it cannot be built; Invalid: the requirements are wrong
}

// Info is recorded in every environment, as fathom.json.
type Info struct {
	Digest       ref.Digest `json:"digest"`
	Requirements []string   `json:"requirements"` // normalised
	Python       string     `json:"python"`       // version
	Platform     string     `json:"platform"`
	Installer    string     `json:"installer"` // uv or pip
	Packages     []string   `json:"packages"`  // exact versions: the lock
	Created      time.Time  `json:"created"`
}

// Builder builds environments. Its methods may be called at the same time, also by several processes on one Dir.
type Builder struct {
	Options
	group      singleflight.Group
	slot       chan struct{} // one build at a time: they are bound by disk and network
	pythonLock sync.Mutex
	python     interpreter // of an empty path: not found yet

	mu     sync.Mutex
	states map[ref.Digest]*attempt // by digest of the requirements file

	settling sync.WaitGroup // environments that are being written through
}

// attempt is one background build.
type attempt struct {
	State
	running bool
	ended   time.Time
}

// retryAfter is how long an error that may pass is reported before another try.
const retryAfter = 30 * time.Second

// New makes a builder. Nothing is built or looked for yet.
func New(o Options) (*Builder, error) {
	if o.Dir == "" {
		return nil, fault.New(fault.Internal, "environment.New", "dir is required")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "environment.New", err)
	}
	o.Dir = dir
	if o.Tools == "" {
		o.Tools = filepath.Join(filepath.Dir(o.Dir), "tools")
	}
	if o.Cache == "" {
		o.Cache = os.Getenv("FATHOM_UV_CACHE")
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Dir, "cache")
	}
	if o.Python == "" {
		o.Python = os.Getenv("FATHOM_PYTHON3")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(ref.Digest) {}
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "environment.New", err)
	}
	b := &Builder{Options: o, slot: make(chan struct{}, 1), states: map[ref.Digest]*attempt{}}
	return b, b.distrust()
}

// Digest names the environment of a requirements file without building it.
func (b *Builder) Digest(requirements []byte) (ref.Digest, error) {
	lines, err := parse(requirements)
	if err != nil {
		return "", err
	}
	python, err := b.interpreter()
	if err != nil {
		return "", err
	}
	key, err := json.Marshal([]any{builderVersion, normalised(lines), python.Version, platform(), b.AllowBuilds})
	if err != nil {
		return "", fault.Wrap(fault.Internal, "environment", err)
	}
	return ref.DigestOf(key), nil
}

// Path is where an environment lies, or would lie.
func (b *Builder) Path(digest ref.Digest) string { return filepath.Join(b.Dir, digest.Hex()) }

// Info reads what is recorded of a finished environment; NotFound when there is none.
func (b *Builder) Info(digest ref.Digest) (Info, error) {
	var info Info
	text, err := os.ReadFile(filepath.Join(b.Path(digest), "fathom.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return info, fault.New(fault.NotFound, "environment", "there is no environment %s", digest.Short())
	} else if err != nil {
		return info, fault.Wrap(fault.Unavailable, "environment", err)
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return info, fault.Wrap(fault.Corrupt, "environment "+digest.Short(), err)
	}
	return info, nil
}

// Ensure starts to build the environment of a requirements file in the background, unless it exists or is being built,
// and tells how far it is. An error that may pass is tried again after half a minute.
func (b *Builder) Ensure(requirements []byte) State {
	digest, err := b.Digest(requirements)
	if err != nil {
		return State{Err: err}
	}
	if _, err := b.Info(digest); err == nil {
		return State{Digest: digest, Ready: true}
	}
	file := ref.DigestOf(requirements)
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.states[file]
	again := a != nil && !a.running && (a.Err == nil || fault.Retryable(a.Err) && b.Now().Sub(a.ended) > retryAfter)
	if a == nil || again {
		a = &attempt{State: State{Digest: digest, Message: "the environment is being built"}, running: true}
		b.states[file] = a
		go b.background(file, requirements, a)
	}
	return a.State
}

func (b *Builder) background(file ref.Digest, requirements []byte, a *attempt) {
	_, err := b.Build(context.Background(), requirements, func(message string) {
		b.mu.Lock()
		a.Message = message
		b.mu.Unlock()
		b.Changed(file)
	})
	b.mu.Lock()
	a.running, a.ended, a.Err, a.Ready, a.Message = false, b.Now(), err, err == nil, ""
	b.mu.Unlock()
	b.Changed(file)
}

// Build makes the environment of a requirements file, if it does not exist, and returns its digest. progress is told, in
// words, what is going on; it may be nil. Invalid: the requirements are wrong, and the message names the line.
// Unavailable: no interpreter, or packages could not be fetched. Exhausted: the disk is full.
func (b *Builder) Build(ctx context.Context, requirements []byte, progress func(string)) (ref.Digest, error) {
	if progress == nil {
		progress = func(string) {}
	}
	digest, err := b.Digest(requirements)
	if err != nil {
		return "", err
	}
	_, err, _ = b.group.Do(string(digest), func() (any, error) {
		if _, err := b.Info(digest); err == nil {
			return nil, nil
		}
		select {
		case b.slot <- struct{}{}:
			defer func() { <-b.slot }()
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, "environment", ctx.Err())
		}
		return nil, b.locked(ctx, digest, requirements, progress)
	})
	return digest, err
}

// locked builds while no other process builds the same.
func (b *Builder) locked(ctx context.Context, digest ref.Digest, requirements []byte, progress func(string)) error {
	lock, err := os.OpenFile(filepath.Join(b.Dir, ".lock-"+digest.Hex()[:16]), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "environment", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fault.Wrap(fault.Unavailable, "environment", err)
	}
	if _, err := b.Info(digest); err == nil {
		return nil // another process was faster
	}
	return b.make(ctx, digest, requirements, progress)
}

// interpreter is a Python that was found and asked.
type interpreter struct {
	Path    string // its real place
	Version string // for example 3.11.7
}

// interpreter finds Python once; where there was none it looks again, so that one may be installed meanwhile.
func (b *Builder) interpreter() (interpreter, error) {
	b.pythonLock.Lock()
	defer b.pythonLock.Unlock()
	if b.python.Path != "" {
		return b.python, nil
	}
	var err error
	b.python, err = findPython(b.Python)
	return b.python, err
}

// findPython looks for an interpreter that is new enough.
func findPython(wanted string) (interpreter, error) {
	names := []string{wanted}
	if wanted == "" {
		names = []string{"/usr/bin/python3.11", "/usr/bin/python3", "python3.11", "python3.12", "python3.13", "python3.14", "python3"}
	}
	var tried []string
	for _, name := range names {
		out, err := exec.Command(name, "-I", "-c", //nolint:gosec // the operator chooses the interpreter
			"import os,sys; print(os.path.realpath(sys.executable)); print('%d.%d.%d' % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))").Output()
		path, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err == nil {
			return interpreter{Path: path, Version: version}, nil
		}
		if version != "" {
			tried = append(tried, name+" is "+version)
		}
	}
	told := ""
	if len(tried) > 0 {
		told = " (" + strings.Join(tried, ", ") + ")"
	}
	return interpreter{}, fault.New(fault.Unavailable, "environment", "there is no Python 3.11 or newer%s", told).
		WithHint("install one, or name it in FATHOM_PYTHON3")
}

func platform() string { return runtime.GOOS + "-" + runtime.GOARCH }

// Interpreter is the path of the Python that environments are made with; "" when there is none.
func (b *Builder) Interpreter() string {
	found, err := b.interpreter()
	if err != nil {
		return ""
	}
	return found.Path
}
