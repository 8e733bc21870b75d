// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandbox

import (
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
)

// Permitted says that sandboxes need Linux.
func Permitted(string) error {
	return fault.New(fault.Unavailable, "node.sandbox", "sandboxes need Linux").WithHint("choose process isolation")
}

// New says that sandboxes need Linux.
func New(Options) (isolation.Runtime, error) { return nil, Permitted("") }
