// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net"
	"net/netip"
)

// hardwareAddress follows from the IP address, so that no neighbour table is ever wrong. A bridge without an address of
// its own takes the lowest of its ports', which changes as pods come and go: running pods then send into nothing until
// their kernel asks again, up to half a minute later. The same holds for an address that is given to a new pod.
func hardwareAddress(ip netip.Addr) net.HardwareAddr {
	b := ip.As4()
	return net.HardwareAddr{0x02, 0x46, b[0], b[1], b[2], b[3]} // 02: administered locally
}
