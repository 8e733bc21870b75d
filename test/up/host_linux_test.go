// SPDX-License-Identifier: Apache-2.0

package up

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tag is what the local node puts into the names of all that it makes on the host: the first eight digits of the hash of
// its directory.
func (f *fathom) tag() string {
	sum := sha256.Sum256([]byte(filepath.Join(f.state, "node")))
	return hex.EncodeToString(sum[:4])
}

// processes of pods, known by their control group or, for plain processes, by a variable.
func (f *fathom) processes() map[string]string {
	found := map[string]string{}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(groups, []byte("fathom-"+f.tag())) || bytes.Contains(environ, []byte("FATHOM_CONTAINER="+f.tag()+"/")) {
			command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			if len(command) > 0 { // not what has ended and waits for its parent
				found[filepath.Base(dir)] = string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
			}
		}
	}
	return found
}

// links of the pods' network: the bridge and what hangs on it.
func (f *fathom) links() []string {
	var found []string
	bridge := "fathom" + f.tag()
	all, _ := filepath.Glob("/sys/class/net/*")
	for _, dir := range all {
		master, _ := os.Readlink(filepath.Join(dir, "master"))
		if filepath.Base(dir) == bridge || filepath.Base(master) == bridge {
			found = append(found, filepath.Base(dir))
		}
	}
	return found
}

// leftovers is everything of ours that the host still has beside the state directory.
func (f *fathom) leftovers(links []string) []string {
	var found []string
	for pid, command := range f.processes() {
		found = append(found, fmt.Sprintf("process %s: %s", pid, command))
	}
	for _, name := range append(links, "fathom"+f.tag()) {
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			found = append(found, "link "+name)
		}
	}
	for _, pattern := range []string{"/dev/shm/fathom-" + f.tag(), "/sys/fs/cgroup/fathom-" + f.tag(), "/sys/fs/cgroup/*/fathom-" + f.tag()} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, f.state) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	if nft, err := exec.LookPath("nft"); err == nil && os.Geteuid() == 0 {
		tables, _ := exec.Command(nft, "list", "tables").Output()
		if strings.Contains(string(tables), f.tag()) {
			found = append(found, "table of nftables: "+string(tables))
		}
	}
	return found
}

// clean holds the host to be as it was.
func (f *fathom) clean(links []string) {
	f.Helper()
	var found []string
	f.await("a clean host", stopLimit, func() bool {
		found = f.leftovers(links)
		return len(found) == 0 || f.Context().Err() != nil
	})
	if len(found) > 0 {
		f.Errorf("left behind: %s", strings.Join(found, "; "))
	}
}

// somebody runs a verb as a user who is not root; false when that is not possible here.
func (f *fathom) somebody(arguments ...string) (out string, code int, possible bool) {
	f.Helper()
	verb := exec.CommandContext(f.Context(), filepath.Join(f.bin, "fathom"), arguments...)
	verb.Dir = "/"
	if os.Geteuid() == 0 {
		verb.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		probe := exec.Command(filepath.Join(f.bin, "fathom"), "--help")
		probe.Dir, probe.SysProcAttr = "/", verb.SysProcAttr
		if err := probe.Run(); err != nil {
			return "", 0, false
		}
	}
	out, code = f.run(verb)
	return out, code, true
}
