// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package keeper

import (
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Attach is not possible here: what is kept ends with this process.
func Attach(string, string, time.Duration) (Keeper, error) {
	return nil, fault.New(fault.Unavailable, "node.keeper", "needs Linux")
}

// Serve is not possible here.
func Serve(string, time.Duration) error {
	return fault.New(fault.Unavailable, "node.keeper", "needs Linux")
}
