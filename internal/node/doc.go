// SPDX-License-Identifier: Apache-2.0

// Package node is the local node: it registers with a Kubernetes API as a real Node and runs the pods bound to it.
package node
