// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"fathom.dev/fathom/internal/node/isolation"
)

// systemDirs are the host's programs and libraries; on most systems all but /usr are links into it.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// etcFiles are the harmless part of /etc: what the loader, TLS and time zones need.
var etcFiles = []string{
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "protocols", "services", "mime.types",
	"ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust/extracted", "ca-certificates", "crypto-policies",
	"alternatives", "fonts", "os-release", "gai.conf",
}

// makeEtc writes the /etc that all containers share.
func makeEtc(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, name := range etcFiles {
		if err := copyTree(filepath.Join("/etc", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	files := map[string]string{
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
		"passwd":        passwd(isolation.User{UID: 65532, GID: 65532}),
		"group":         "root:x:0:\nnobody:x:65534:\nfathom:x:65532:\n",
		"hosts":         "", "resolv.conf": "", "hostname": "",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // read by every container
			return err
		}
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // read by every container
}

func passwd(u isolation.User) string {
	return fmt.Sprintf("root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\nfathom:x:%d:%d:fathom:/tmp:/bin/sh\n", u.UID, u.GID)
}

// copyTree copies a file or directory; links that leave the tree become copies of what they point at, so that the copy
// needs nothing else of the host. What does not exist or is not readable by everybody is left out.
func copyTree(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(from, to)
	}
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // read by every container
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyEntry(e, from, to); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(e fs.DirEntry, from, to string) error {
	source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
	if e.Type()&fs.ModeSymlink != 0 {
		link, err := os.Readlink(source)
		if err == nil && (strings.HasPrefix(link, "/usr/") || !strings.Contains(link, "/")) {
			return os.Symlink(link, target)
		}
	}
	return copyTree(source, target)
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // read by every container
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // read by every container
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// InterpreterPrefix reads the prefix of the interpreter that a virtual environment was made with from its pyvenv.cfg;
// "" when the directory is no virtual environment.
func InterpreterPrefix(env string) string {
	f, err := os.Open(filepath.Join(env, "pyvenv.cfg"))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if strings.TrimSpace(key) == "home" {
			home := strings.TrimSpace(value)
			if real, err := filepath.EvalSymlinks(home); err == nil {
				home = real
			}
			return filepath.Dir(home)
		}
	}
	return ""
}

// rootfs makes the directory that becomes "/" and says what is mounted in it.
func (r *Runtime) rootfs(dir string, c isolation.Container) ([]specs.Mount, error) {
	mounts := []specs.Mount{}
	for _, path := range systemDirs {
		link, err := os.Readlink(path)
		switch info, statErr := os.Stat(path); {
		case err == nil:
			if err := os.Symlink(link, filepath.Join(dir, path)); err != nil {
				return nil, err
			}
		case statErr == nil && info.IsDir():
			mounts = append(mounts, bind(path, path, true))
		}
	}
	seen := map[string]bool{}
	for _, prefix := range []string{r.options.PythonPrefix, InterpreterPrefix(c.Environment)} {
		if prefix != "" && !seen[prefix] && !inSystemDirs(prefix) && !tooWide(prefix) {
			seen[prefix] = true
			mounts = append(mounts, bind(prefix, prefix, true))
		}
	}
	mounts = append(mounts, bind(r.etc, "/etc", true))
	return mounts, makeTargets(dir, mounts)
}

// tooWide tells whether a prefix would show more than an installation: the root, a home directory.
func tooWide(prefix string) bool {
	home, _ := os.UserHomeDir()
	return prefix == "/" || prefix == home || filepath.Dir(prefix) == "/" || filepath.Dir(prefix) == "/home"
}

func inSystemDirs(path string) bool {
	for _, dir := range systemDirs {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// makeTargets creates the places in the root that are mounted on. Places inside another mount are that mount's affair.
func makeTargets(root string, mounts []specs.Mount) error {
	for _, dir := range []string{"/proc", "/dev", "/sys", "/tmp", "/run", "/var/tmp", "/etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil { //nolint:gosec // the container's root
			return err
		}
	}
	for _, m := range mounts {
		if err := os.MkdirAll(filepath.Join(root, m.Destination), 0o755); err != nil { //nolint:gosec // the container's root
			return err
		}
	}
	return nil
}

func bind(source, target string, readOnly bool) specs.Mount {
	options := []string{"rbind", "nosuid", "nodev", "rprivate"}
	if readOnly {
		options = append(options, "rro")
	} else {
		options = append(options, "rw")
	}
	return specs.Mount{Source: source, Destination: target, Type: "bind", Options: options}
}
