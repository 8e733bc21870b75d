// SPDX-License-Identifier: Apache-2.0

package mistakes_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const somebodyElse = 65534 // nobody, on every Linux

// start is a start that cannot work.
type start struct {
	mistake
	flags []string
	// prepare makes what is wrong and says why it cannot be done here; the command may be changed.
	prepare func(w *world, c *exec.Cmd) string
}

// starting makes mistakes with `fathom up`.
func (w *world) starting() []entry {
	w.Helper()
	door, err := url.Parse(w.Doors)
	if err != nil {
		w.Fatal(err)
	}
	var out []entry
	for _, s := range []start{
		{mistake: mistake{name: "a-second-up", given: "Another Fathom runs on the same state directory.", want: []string{"another Fathom (process", "stop it"}}, flags: []string{"--state", w.State}},
		{mistake: mistake{name: "the-port-is-taken", want: []string{"taken by another program", "choose another"}}, flags: []string{"--state", "new", "--door-port", door.Port()}},
		{mistake: mistake{name: "no-such-port", want: []string{"--door-port", "99999", "65535"}}, flags: []string{"--state", "new", "--door-port", "99999"}},
		{mistake: mistake{name: "no-such-isolation", want: []string{"--isolation", `"docker"`, "auto, sandbox or process"}}, flags: []string{"--state", "new", "--isolation", "docker"}},
		{mistake: mistake{name: "no-such-flag-of-up", want: []string{"--port", "fathom up --help"}}, flags: []string{"--state", "new", "--port", "8443"}},
		{mistake: mistake{name: "the-state-directory-is-a-file", want: []string{"notes.txt is a file", "directory"}}, flags: []string{"--state", "notes.txt"}, prepare: notes},
		{mistake: mistake{name: "the-state-directory-is-somebody-else's", want: []string{"foreign", "permission denied", "--state"}}, flags: []string{"--state", "foreign/state"}, prepare: foreign},
		{mistake: mistake{name: "no-room-on-the-disk", want: []string{"small/state", "room"}}, flags: []string{"--state", "small/state"}, prepare: small},
		{mistake: mistake{name: "a-sandbox-that-the-system-does-not-permit", given: "Without root, or on a kernel without namespaces.", want: []string{"sandbox", "--isolation process"}},
			flags: []string{"--state", "own/state", "--isolation", "sandbox"}, prepare: unprivileged},
		{mistake: mistake{name: "only-one-of-the-binaries-was-copied", want: []string{"fathom-server", "one folder", "make dist"}}, flags: []string{"--state", "new"}, prepare: alone},
	} {
		out = append(out, w.start(s))
	}
	return out
}

func (w *world) start(s start) entry {
	w.Helper()
	arguments := append([]string{"up"}, s.flags...)
	command := exec.CommandContext(w.Context(), filepath.Join(w.Bin, "fathom"), arguments...)
	command.Dir, command.Env = w.dir, append(os.Environ(), "KUBECONFIG=")
	if s.prepare != nil {
		if why := s.prepare(w, command); why != "" {
			return entry{mistake: s.mistake, said: why, kept: true}
		}
	}
	said, code := w.execute(command, arguments)
	if code == 0 {
		w.Errorf("%s: it started:\n%s", s.name, said)
	}
	return entry{mistake: s.mistake, said: said, code: code}
}

func notes(w *world, _ *exec.Cmd) string {
	w.write("", map[string]string{"notes.txt": "visits on Monday\n"})
	return ""
}

// foreign is a folder that the caller may not write to.
func foreign(w *world, c *exec.Cmd) string {
	if err := os.Mkdir(filepath.Join(w.dir, "foreign"), 0o500); err != nil {
		w.Fatal(err)
	}
	return w.another(c)
}

// unprivileged is a folder of the caller's own.
func unprivileged(w *world, c *exec.Cmd) string {
	own := filepath.Join(w.dir, "own")
	if err := os.Mkdir(own, 0o700); err != nil {
		w.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(own, somebodyElse, somebodyElse); err != nil {
			w.Fatal(err)
		}
	}
	return w.another(c)
}

// another lets a command of root's run as somebody who may read the binaries but nothing else.
func (w *world) another(c *exec.Cmd) string {
	if os.Geteuid() != 0 {
		return ""
	}
	for dir := w.dir; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			err = os.Chmod(dir, info.Mode().Perm()|0o055) // of the test's own
		}
		if err != nil {
			w.Fatal(err)
		}
	}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebodyElse, Gid: somebodyElse}}
	try := exec.Command(c.Path, "version", "--client")
	try.SysProcAttr = c.SysProcAttr
	if err := try.Run(); err != nil {
		return "the binaries are not for everybody, so nobody else can try"
	}
	return ""
}

// small is a disk with hardly any room.
func small(w *world, _ *exec.Cmd) string {
	dir := filepath.Join(w.dir, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return "a small disk cannot be made: " + err.Error()
	}
	w.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return ""
}

// alone copies the command line without its server.
func alone(w *world, c *exec.Cmd) string {
	content, err := os.ReadFile(c.Path)
	if err != nil {
		w.Fatal(err)
	}
	dir := filepath.Join(w.dir, "downloads")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	c.Path = filepath.Join(dir, "fathom")
	if err := os.WriteFile(c.Path, content, 0o755); err != nil { //nolint:gosec // a program
		w.Fatal(err)
	}
	c.Args[0] = strings.Clone(c.Path)
	return ""
}
