// SPDX-License-Identifier: Apache-2.0

// Package structure holds the tests of how the code is built: which room may import which, which binary links what,
// how long and how involved files may become, what every file and dependency must say.
//
// A rule is a pure function from a file, or a list of imports, to what is wrong with it. Each is tested twice: that it
// finds the fault in a bad example, and that the repository has none.
package structure
