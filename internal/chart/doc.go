// SPDX-License-Identifier: Apache-2.0

// Package chart draws figures as SVG for web pages: bars, lines, scatter, histogram, ROC and precision-recall curves,
// calibration, intervals and importances.
//
// A figure takes its ink from the text around it (currentColor) and its colours from the variables in [Style], so it
// follows the page into dark mode and onto paper. It is drawn 360 or 480 units wide and scales to the width that it is given;
// letters stay readable on a phone. Every mark tells its numbers in a <title>, the figure has a name and a description
// for people who do not see it, and series differ by shape or dash besides colour. The same data gives the same bytes.
//
// Values that are not finite are left out.
package chart

// SVG is one <svg> element, safe to stand in a page: all text in it is escaped.
type SVG string

// Labels are a figure's texts.
type Labels struct {
	// Title names the figure for people who do not see it; it is not drawn, the page's caption says it.
	Title string
	// Description says in a sentence what can be seen. Default: the number of marks and their range.
	Description string
	// X and Y name the axes with their units; empty draws none.
	X, Y string
}
