// SPDX-License-Identifier: Apache-2.0

// Package node is the local node: it registers with a Kubernetes API as a real Node and runs the pods bound to it.
//
// Registration, lease and heartbeat are Virtual Kubelet's. Each pod has a worker (worker.go): a goroutine that owns the
// pod's state, receives events (a new version of the object, a container that started or ended, a probe's result) and
// after each does what is then to do (lifecycle.go), shows the result to others and publishes the status (status.go,
// pure; publish.go, the latest only and apart from the worker). What is slow runs beside the worker: filling volumes
// and starting containers (start.go).
//
// How a container runs is below: package isolation is the contract, packages sandbox and process fulfil it. What pods
// are given is in packages volume and logs and in environment.go and facts.go; how they are reached and named in
// package network and directory.go; how the API server reads logs and executes commands in package kubelet and
// serve.go.
//
// The node honours what admit.go lets pass and refuses the rest with a reason: host namespaces and paths, privileges,
// root, persistent volumes. Images come from Fathom's own registry
// and from OCI layouts (package image). What the host does not let it enforce is
// said in the Node object.
package node
