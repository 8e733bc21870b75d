// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs the containers of a pod with runc, in namespaces of their own, on the host's programs.
//
// The root file system of image "host" is assembled from read-only views of /usr, /bin, /lib*, /sbin, the prefix of
// the Python interpreter and a made-up /etc; nothing else of the host is visible. Programs run as an unprivileged user
// without capabilities. Needs Linux and root.
package sandbox

import (
	"log/slog"

	"fathom.dev/fathom/internal/node/keeper"
	"fathom.dev/fathom/internal/node/network"
)

// Options of New.
type Options struct {
	// Dir is the node's state directory.
	Dir string
	// RuncPath is the runc program.
	RuncPath string
	// BinDir is shown at isolation.BinPath.
	BinDir string
	// PythonPrefix is the installation prefix of the host's Python, shown at the same path when it lies outside /usr;
	// empty for none.
	PythonPrefix string
	Forwards     []network.Forward
	Directory    network.Directory
	// Keeper keeps what is to outlive this process; default: nothing does.
	Keeper keeper.Keeper
	Logger *slog.Logger
}
