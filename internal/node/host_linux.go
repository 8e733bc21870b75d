// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hostMemory is the machine's memory in bytes.
func hostMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30
	}
	return int64(info.Totalram) * int64(info.Unit) //nolint:gosec // below 2^63
}

// hostUsage is what all of the machine has used: the time of its processors that was not idle, and the memory that is not
// available.
func hostUsage() (cpu time.Duration, memory uint64) {
	const tick, idle, guest = time.Second / 100, 4, 9
	for i, text := range valuesOf("/proc/stat", "cpu") {
		if i+1 == idle || i+1 == idle+1 || i+1 >= guest { // waiting for a disk is idle; guests are in user
			continue
		}
		cpu += time.Duration(text) * tick
	}
	total, available := valuesOf("/proc/meminfo", "MemTotal:"), valuesOf("/proc/meminfo", "MemAvailable:")
	if len(total) > 0 && len(available) > 0 {
		memory = (total[0] - available[0]) << 10
	}
	return cpu, memory
}

// valuesOf gives the numbers of the line that begins with a name.
func valuesOf(file, name string) []uint64 {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != name {
			continue
		}
		var values []uint64
		for _, text := range fields[1:] {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				values = append(values, n)
			}
		}
		return values
	}
	return nil
}
