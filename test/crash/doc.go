// SPDX-License-Identifier: Apache-2.0

// Package crash holds every store to what it acknowledges. A small process writes to one store and tells each write before it
// begins and after it was acknowledged; strace kills it at the K-th call of fsync, rename, write and the like, with K over all
// that there are, or lets that call fail. Then the store is opened again: what was acknowledged is there and whole, what was not
// is whole or absent, and the same writes made again lead to the same end.
package crash
