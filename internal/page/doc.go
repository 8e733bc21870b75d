// SPDX-License-Identifier: Apache-2.0

// Package page turns Markdown with SQL blocks into one self-contained HTML page: tables, numbers and SVG charts beside the
// words, the SQL behind each, and where the numbers came from.
//
// [Parse] needs no SQL engine: it gives the statements, so that a station can find the datasets that a page reads.
// [Document.Render] takes their answers. The page holds no script and asks nothing from elsewhere; what its author wrote as
// HTML is sanitised. Every mistake is Invalid and says the line of the page.
package page
