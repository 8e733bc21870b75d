// SPDX-License-Identifier: Apache-2.0

// Package up holds `fathom up` to what it promises about its state directory, from outside: the built binaries and the
// command line. A start that cannot work says why, with an exit code, and changes nothing. Ctrl-C leaves nothing behind on
// the host, kill -9 nothing after the next start; both resume where they were. Damage is found and named.
package up
