// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package process

import (
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
)

// Usage is not known here.
func (c *container) Usage() (isolation.Usage, error) {
	return isolation.Usage{}, fault.New(fault.Unavailable, "node.process: usage", "is known on Linux only")
}
