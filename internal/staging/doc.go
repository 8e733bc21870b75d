// SPDX-License-Identifier: Apache-2.0

// Package staging is the door through which a run's pods get their inputs and hand back what they made.
//
// A pod may talk only about its own run: its token is bound to a pod, and the pod must belong to the run in the URL
// and to the run's newest attempt. It may read what the run's plan names (code, inputs, earlier checkpoints), nothing
// else. What it uploads is invisible until every rank has completed: then one manifest names the whole output. A retried request
// gives the same answer, an attempt that was replaced is refused, and the bookkeeping survives kill -9.
//
//	GET    /runs/{workspace}/{run}/stage                what this rank needs (gang.Stage)
//	GET    /runs/{workspace}/{run}/blobs/{digest}       a file of the stage
//	PUT    /runs/{workspace}/{run}/output/{path...}     ?digest=sha256:…
//	GET    /runs/{workspace}/{run}/checkpoints          the files that survive attempts
//	PUT    /runs/{workspace}/{run}/checkpoints/{path...}
//	DELETE /runs/{workspace}/{run}/checkpoints/{path...}
//	POST   /runs/{workspace}/{run}/progress             gang.Progress
//	POST   /runs/{workspace}/{run}/complete             gang.Completion → gang.Receipt
//	POST   /runs/{workspace}/{run}/failure              gang.Termination
package staging
