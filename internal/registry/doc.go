// SPDX-License-Identifier: Apache-2.0

// Package registry keeps what an OCI registry knows: which repository holds which blobs, manifests and tags, and the uploads
// that are on their way. The bytes themselves lie in the lake's store of blobs, once, whoever refers to them.
//
// What a call has acknowledged is on disk. A blob or manifest that was deleted from a repository stays deleted there until
// somebody pushes it again, and one repository never gives out what only another holds.
package registry
