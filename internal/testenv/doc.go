// SPDX-License-Identifier: Apache-2.0

// Package testenv gives tests a real Kubernetes API.
//
// [Shared] starts the built binary (bin/fathom-server, or what FATHOM_BIN names) once per test process, on an empty
// temporary directory, and answers with client configurations for each of Fathom's identities. The server ends with
// the test process however that ends. [Launch] starts one more on a directory of the caller's, for tests that kill
// and restart it.
//
// A test that needs the binary is skipped, with a message that says so, when the binary is not there. The package
// links client-go only: linking Kubernetes' server into every test binary would cost 10 s and 200 MB each.
package testenv
