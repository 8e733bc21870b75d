// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// share is the share of a run's progress text, "0.42 query 3 of 12"; 0 when it tells none.
func share(progress string) float64 {
	word, _, _ := strings.Cut(progress, " ")
	f, err := strconv.ParseFloat(word, 64)
	if err != nil || !(f >= 0 && f <= 1) { // also not NaN
		return 0
	}
	return f
}

// left estimates how long something will take that has run for elapsed: by the share that is done if that says enough, else
// by how long it took before. Zero is unknown.
func left(done float64, elapsed, before time.Duration) time.Duration {
	switch {
	case done >= 1:
		return 0
	case done >= 0.05 && elapsed > 0:
		return time.Duration(float64(elapsed) * (1 - done) / done)
	case before > elapsed:
		return before - elapsed
	}
	return 0
}

// span tells a duration roughly, as people do.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()+0.5))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%dh", int(d.Hours()+0.5))
}

// remaining is "about 12s left", or "".
func remaining(d time.Duration) string {
	if d < time.Second {
		return ""
	}
	return "about " + span(d) + " left"
}

// size tells bytes with a unit.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
