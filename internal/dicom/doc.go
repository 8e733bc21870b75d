// SPDX-License-Identifier: Apache-2.0

// Package dicom reads DICOM objects, makes table rows of their headers, and removes the identity of the people in them
// by the Basic Application Level Confidentiality Profile of DICOM PS3.15 Annex E (table E.1-1, edition 2025a).
//
// Nothing passes by default. attributes.csv lists every attribute that is known here with what becomes of it: the
// profile's action where table E.1-1 has one; kept when it cannot identify (a number, a code, a term of equipment or
// algorithm); removed when it is other text or a date, which is stricter than the profile. Any other attribute stops its
// object with a [Refusal] that names it. Private attributes are always removed.
//
// Reading and writing use github.com/suyashkumar/dicom. What that library cannot carry without loss stops the object
// too: values of OF, OD, OL, OV, SV and UV.
package dicom
