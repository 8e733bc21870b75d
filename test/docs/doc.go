// SPDX-License-Identifier: Apache-2.0

// Package docs runs every command that README.md and the pages in docs/ show, in their order, against a real Fathom, and
// compares what they print with what the pages show.
//
// Blocks that are fenced as sh or console are run, in one shell a page. In a console block commands begin with "$ " and
// what follows is their output: "…" in a line stands for any text, a line of "…" for any lines. A block is left out only
// after a line <!-- not run: REASON -->. Pages begin in a folder with the study and its data.
package docs
