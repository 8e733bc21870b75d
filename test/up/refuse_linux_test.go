// SPDX-License-Identifier: Apache-2.0

package up

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot start says why, in the exit code too, and what runs goes on.
func TestStartsThatCannotWork(t *testing.T) {
	f := empty(t)
	f.up()
	other := filepath.Join(t.TempDir(), "other")
	before := f.do("sql", "--help")
	for _, c := range []struct {
		name  string
		code  int
		why   []string
		flags []string
	}{
		{"the directory is in use", 3, []string{f.state, "another Fathom (process ", "stop it"}, []string{"--state", f.state}},
		{"the same, with the same ports", 3, []string{f.state}, []string{"--state", f.state, "--door-port", f.port("doors at"), "--api-port", f.port("API ready")}},
		{"the API's port is taken", 4, []string{f.port("API ready"), "taken by another program", "choose another"}, []string{"--state", other, "--api-port", f.port("API ready")}},
		{"the doors' port is taken", 4, []string{f.port("doors at"), "taken by another program", "choose another"}, []string{"--state", other, "--door-port", f.port("doors at")}},
		{"the S3 door's port is taken", 4, []string{f.port("objects at"), "taken"}, []string{"--state", other, "--s3-port", f.port("objects at")}},
		{"no such port", 2, []string{"--door-port", "99999"}, []string{"--state", other, "--door-port", "99999"}},
		{"no such isolation", 2, []string{"--isolation", "vm", "sandbox"}, []string{"--state", other, "--isolation", "vm"}},
		{"no such flag", 2, []string{"--no-such-flag", "fathom up --help"}, []string{"--state", other, "--no-such-flag"}},
	} {
		t.Run(c.name, func(t *testing.T) { f.in(t).refuses(c.code, c.why, append([]string{"up"}, c.flags...)...) })
	}
	if f.do("sql", "--help") != before || !strings.Contains(f.do("status", "-n", "default"), "Nothing is declared yet") {
		t.Error("the running Fathom does not go on")
	}
	if said := f.do("doctor"); !strings.Contains(said, "every blob matches its digest") || strings.Contains(said, "DAMAGE") {
		t.Errorf("doctor beside a running Fathom: %s", said)
	}
	f.interrupt()
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	f := empty(t)
	dir := filepath.Dir(f.state)
	for _, mode := range []fs.FileMode{0o755, 0o500} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() != 0 && mode == 0o755 {
			continue // it is our own
		}
		out, code, possible := f.somebody("up", "--state", f.state)
		if !possible {
			t.Skip("the binaries are not for everybody, so nobody else can try")
		}
		f.refused(out, code, 6, []string{f.state, "permission denied"})
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v %v", entries, err)
	}
}

// Damaged objects of Kubernetes are named; nothing is written, so that a copy of the directory can still be repaired.
func TestDamagedObjects(t *testing.T) {
	f := empty(t)
	f.up()
	f.interrupt()
	database := filepath.Join(f.state, "etcd", "member", "snap", "db")
	logs, _ := filepath.Glob(filepath.Join(f.state, "etcd", "member", "wal", "*.wal"))
	if len(logs) == 0 {
		t.Fatal("there is no write-ahead log")
	}
	for _, c := range []struct {
		name, path string
		damage     func(content []byte) []byte
	}{
		{"the database's head is overwritten", database, func(b []byte) []byte { return append(make([]byte, 8192), b[8192:]...) }},
		{"the database is cut off", database, func(b []byte) []byte { return b[:4096] }},
		{"the database is empty", database, func([]byte) []byte { return nil }},
		{"a bit of the log has flipped", logs[0], func(b []byte) []byte { b[200] ^= 1; return b }},
		{"the log is gone", logs[0], nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			whole, err := os.ReadFile(c.path)
			if err != nil {
				t.Fatal(err)
			}
			if c.damage == nil {
				err = os.Remove(c.path)
			} else {
				err = os.WriteFile(c.path, c.damage(append([]byte(nil), whole...)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := fingerprint(t, f.state)
			f.refuses(5, []string{f.state, "nothing was changed", "backup"}, "up", "--state", f.state)
			for path, digest := range fingerprint(t, f.state) {
				if before[path] != digest {
					t.Errorf("%s was changed", path)
				}
				delete(before, path)
			}
			for path := range before {
				t.Errorf("%s was removed", path)
			}
			if err := os.WriteFile(c.path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	f.up()
	f.interrupt()
}

// fingerprint is the digest of every file but the lock, the logs, and the certificates of a day that each start renews.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, folder := d.Name(), filepath.Base(filepath.Dir(path))
		lasting := strings.HasPrefix(name, "ca.") || strings.HasPrefix(name, "service-accounts.") || name == "encryption.yaml"
		if name == "lock" || name == "kubeconfig" || folder == "logs" || folder == "pki" && !lasting {
			return nil
		}
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		files[path] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
