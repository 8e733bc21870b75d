// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// meet waits until every rank of a gang has an address, so that no command starts before all ranks are up.
func (l *launcher) meet(ctx context.Context, hosts []string) error {
	if len(hosts) < 2 || l.loopback {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	for rank, host := range hosts {
		for {
			_, err := net.DefaultResolver.LookupHost(ctx, host)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fault.New(fault.Unavailable, "gang", "rank %d (%s) did not come up within %s: %v", rank, host, l.patience, err)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}
