// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package node

import "time"

// hostMemory is a careful guess where the system is not asked. Bytes.
func hostMemory() int64 { return 4 << 30 }

// hostUsage is not known here.
func hostUsage() (cpu time.Duration, memory uint64) { return 0, 0 }
