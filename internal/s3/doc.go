// SPDX-License-Identifier: Apache-2.0

// Package s3 is the S3 door: the objects of each workspace, for boto3, DuckDB, Spark and everything else that speaks S3.
//
// The bucket of workspace W is called W and is a plain folder, so that a person may also copy files into it. Signatures,
// chunked bodies, checksums and XML are the work of versitygw; this package decides what is allowed and keeps the bytes.
//
// Every request passes four walls, in this order:
//
//  1. operations.go: a table of the operations there are. What is not in it (buckets, policies, ACLs, versions, tags …)
//     is refused before anything else happens, as are paths with tricks in them and headers that would be ignored.
//  2. keys.go: the signature. Keys are temporary and sealed: a pod gets them for its token (sts.go), a person through
//     [Door.IssueKeys]. Nobody has a permanent key, and a pod's keys die with its token.
//  3. allow.go: each call of the storage asks for exactly the bucket and key that it will touch: a copy asks for both
//     sides, a batch for each key. Reading under "inbox/" needs the right to identified data as well.
//  4. store.go: the files, below one os.Root, without following links. A write is on disk before it is acknowledged.
package s3
