// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A system whose kernel settings are read-only, as in many containers, is known before anything is opened.
func TestReadOnlySettingsAreKnownBeforehand(t *testing.T) {
	needRoot(t)
	const inside = "FATHOM_TEST_READONLY"
	if os.Getenv(inside) != "" {
		fmt.Println("verdict:", Permitted())
		return
	}
	if err := Permitted(); err != nil {
		t.Skip("no sandboxes here:", err)
	}
	script := `mount --make-rprivate / && mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$0" -test.run TestReadOnlySettings`
	c := exec.Command("unshare", "-m", "sh", "-c", script, os.Args[0])
	c.Env = append(os.Environ(), inside+"=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Skip("cannot make /proc/sys read-only:", err, string(out))
	}
	if !strings.Contains(string(out), "read-only file system") {
		t.Errorf("%s; want it to say that settings are read-only", out)
	}
}
