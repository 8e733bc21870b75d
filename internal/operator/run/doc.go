// SPDX-License-Identifier: Apache-2.0

// Package run keeps Run objects moving: it waits for the environment and for a place in the queue, starts one Indexed Job
// an attempt, tells how far it is, restarts a gang that lost a rank from its last checkpoint, and records what came out.
//
// observe.go gathers what is true, plan.go decides (pure), controller.go applies the decision with one status write,
// objects.go says what a Job looks like, pods.go why a gang ended.
package run
