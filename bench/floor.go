// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const floorTries = 9 // of which the middle counts

// forkExec is how long a process takes that does nothing.
func forkExec(ctx context.Context) (time.Duration, error) {
	return middle(func() error { return exec.CommandContext(ctx, "/bin/true").Run() })
}

// container runs /bin/true in new namespaces on the host's /usr, as the local node does.
type container struct {
	runc, bundle, root string
	n                  int
}

func newContainer(b *bench, dir string) (*container, error) {
	c := &container{runc: filepath.Join(b.bin, "runc"), bundle: filepath.Join(dir, "bundle"), root: filepath.Join(dir, "runc")}
	rootfs := filepath.Join(c.bundle, "rootfs")
	err := os.MkdirAll(filepath.Join(rootfs, "usr"), 0o755)
	for _, d := range []string{"proc", "dev", "sys", "tmp"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(rootfs, d), 0o755))
	}
	for _, d := range []string{"bin", "lib", "lib64"} {
		err = errors.Join(err, os.Symlink("usr/"+d, filepath.Join(rootfs, d)))
	}
	if err != nil {
		return nil, err
	}
	spec := exec.Command(c.runc, "spec") //nolint:gosec // our own binary
	spec.Dir = c.bundle
	if out, err := spec.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("runc spec: %w: %s", err, out)
	}
	return c, c.simplify()
}

// simplify makes runc's example do nothing, without a terminal.
func (c *container) simplify() error {
	file := filepath.Join(c.bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	process, mounts := spec["process"].(map[string]any), spec["mounts"].([]any)
	process["terminal"], process["args"] = false, []string{"/bin/true"}
	spec["mounts"] = append(mounts, map[string]any{"destination": "/usr", "type": "bind", "source": "/usr", "options": []string{"rbind", "ro"}})
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// run is how long a container takes that does nothing; 0 where containers are not permitted.
func (c *container) run(ctx context.Context) (time.Duration, error) {
	if os.Getuid() != 0 {
		return 0, nil
	}
	return middle(func() error {
		c.n++
		cmd := exec.CommandContext(ctx, c.runc, "--root", c.root, "run", "--bundle", c.bundle, fmt.Sprintf("bench-%d-%d", os.Getpid(), c.n)) //nolint:gosec // our own binary
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("runc run: %w: %s", err, out)
		}
		return nil
	})
}

func middle(do func() error) (time.Duration, error) {
	var took []float64
	for range floorTries {
		begin := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin).Seconds())
	}
	return time.Duration(median(took) * float64(time.Second)), nil
}
