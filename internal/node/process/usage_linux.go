// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
)

// Usage adds up the program and what it has started.
func (c *container) Usage() (isolation.Usage, error) { return Tree(c.process.Pid) }

// tick is the unit of times in the process table.
const tick = time.Second / 100

// Tree is what a process and its descendants have used, children that have ended included, and the memory that they hold.
// Memory that they share counts once for each.
func Tree(pid int) (isolation.Usage, error) {
	var sum isolation.Usage
	one, err := usageOf(pid)
	if err != nil {
		return sum, fault.Wrap(fault.NotFound, "node.process: usage", err)
	}
	sum = one
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range lists {
		text, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(text)) {
			if number, err := strconv.Atoi(child); err == nil {
				if inner, err := Tree(number); err == nil {
					sum.CPU, sum.Memory = sum.CPU+inner.CPU, sum.Memory+inner.Memory
				}
			}
		}
	}
	return sum, nil
}

func usageOf(pid int) (isolation.Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return isolation.Usage{}, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before may hold anything
	const utime, cstime, resident = 11, 14, 21
	if len(fields) <= resident {
		return isolation.Usage{}, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	pages, _ := strconv.ParseUint(fields[resident], 10, 64)
	return isolation.Usage{CPU: time.Duration(ticks) * tick, Memory: pages * uint64(os.Getpagesize())}, nil //nolint:gosec // a size
}
