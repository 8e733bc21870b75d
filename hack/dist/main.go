// SPDX-License-Identifier: Apache-2.0

// Command dist makes the one file to download: the command line with all other programs behind it.
//
//	dist <fathom> <out> <program>...
package main

import (
	"errors"
	"fmt"
	"os"

	"fathom.dev/fathom/internal/dist"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: dist <fathom> <out> <program>...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func write(program, path string, files []string) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755) //nolint:gosec // a program for everybody
	if err != nil {
		return err
	}
	return errors.Join(dist.Write(out, program, files), out.Close(), os.Chmod(path, 0o755)) //nolint:gosec // the same
}
