// SPDX-License-Identifier: Apache-2.0

// Package process runs the containers of a pod as plain processes of the current user.
//
// For systems without namespaces, or without the right to make them. Each container has directories of its own; where
// a pod mentions the path of a mount in its command, arguments, environment or working directory, the real directory
// takes its place. Each pod has its own loopback address where the system allows it (Linux), so that pods which listen
// on their own address do not collide; there are no names of Services. Nothing is enforced: a program can read what
// the user can read.
package process
