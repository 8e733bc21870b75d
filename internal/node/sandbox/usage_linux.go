// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/process"
)

// Usage reads the container's control group, or where there is none the process table.
func (c *container) Usage() (isolation.Usage, error) {
	groups := c.pod.runtime.cgroups
	if groups.err != nil {
		return process.Tree(c.process.Pid)
	}
	return groups.usage(filepath.Join(c.pod.config.ID, c.spec.ID))
}

func (c cgroups) usage(group string) (isolation.Usage, error) {
	if c.unified {
		dir := filepath.Join(c.parents("")[0], group)
		cpu, memory := counter(filepath.Join(dir, "cpu.stat"), "usage_usec"), number(filepath.Join(dir, "memory.current"))
		inactive := counter(filepath.Join(dir, "memory.stat"), "inactive_file")
		return usage(time.Duration(cpu)*time.Microsecond, memory, inactive)
	}
	var cpu, memory, inactive int
	for _, parent := range c.parents("cpuacct") {
		cpu = number(filepath.Join(parent, group, "cpuacct.usage"))
	}
	for _, parent := range c.parents("memory") {
		memory = number(filepath.Join(parent, group, "memory.usage_in_bytes"))
		inactive = counter(filepath.Join(parent, group, "memory.stat"), "total_inactive_file")
	}
	return usage(time.Duration(cpu), memory, inactive)
}

// usage takes off the memory what the kernel gives back first.
func usage(cpu time.Duration, memory, inactive int) (isolation.Usage, error) {
	if memory == 0 && cpu == 0 {
		return isolation.Usage{}, fault.New(fault.NotFound, "node.sandbox: usage", "the control group is gone")
	}
	return isolation.Usage{CPU: cpu, Memory: uint64(max(0, memory-inactive))}, nil //nolint:gosec // never negative
}

// number reads a file that holds one; 0 when there is none.
func number(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
