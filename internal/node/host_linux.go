// SPDX-License-Identifier: Apache-2.0

package node

import "golang.org/x/sys/unix"

// hostMemory is the machine's memory in bytes.
func hostMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30
	}
	return int64(info.Totalram) * int64(info.Unit) //nolint:gosec // below 2^63
}
