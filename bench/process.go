// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// memoryOf reads a process's resident memory and the part of it that no file backs, in MB.
func memoryOf(pid int) (resident, anonymous float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, &absent{"memory of processes: " + err.Error()}
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			resident = kb / 1024
		case "RssAnon":
			anonymous = kb / 1024
		}
	}
	return resident, anonymous, nil
}

const ticksPerSecond = 100 // USER_HZ, which Linux shows to programs on every architecture of ours

// cpuOf is the processor time that a process has used, and the same with that of its children that have ended: pods are
// children of Fathom.
func cpuOf(pid int) (own, family time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, &absent{"CPU of processes: " + err.Error()}
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var ticks [4]int64 // user, system, and both of children
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	const tick = time.Second / ticksPerSecond
	own = time.Duration(ticks[0]+ticks[1]) * tick
	return own, own + time.Duration(ticks[2]+ticks[3])*tick, nil
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
