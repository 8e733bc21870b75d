// SPDX-License-Identifier: Apache-2.0

// Package insight renders what is known about one version of a model as a self-contained HTML page for people who have to
// judge it: who is in the data and who was left out, how good it is and how sure that is, for whom it is worse, what could
// make the numbers untrue, and where everything came from.
//
// [Render] is pure: the same [Model] gives the same bytes. The words are meant for a clinician; each figure has a sentence
// that says how to read it. Nothing here decides anything: promotion does.
package insight
