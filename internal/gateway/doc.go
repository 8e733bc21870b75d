// SPDX-License-Identifier: Apache-2.0

// Package gateway is the door in front of all endpoints: the Open Inference Protocol v2 of each below
// /endpoints/{workspace}/{endpoint}/v2/.
//
// It finds out who is calling and whether they may predict, chooses a replica, and hides what happens behind: a request
// waits while no replica is ready or all are busy, and moves to another replica when one dies before it has answered,
// which is safe since predicting changes nothing. So a cold start, a new version, a rolling change and a killed replica
// cost time, not errors. Requests and answers can be kept as data (see [Options.Capture]).
//
// An endpoint that nobody calls costs nothing here: no timer, no goroutine, no connection.
package gateway
