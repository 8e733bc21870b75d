// SPDX-License-Identifier: Apache-2.0

// Package backup writes a state directory into one file and reads it back.
//
// The file is a tar, compressed with Zstandard: first "fathom-backup.json" ([Header]), then the files, last "index.json"
// ([Index]) with the size and SHA-256 of each. A file without its index is not a backup: it was cut off. Extended attributes,
// permissions, times to the nanosecond and hard links are kept. Owners are not: what is restored belongs to who restores it.
//
// A [Writer] adds databases as SQLite copies them for itself ([Writer.SQLite]), folders of files that grow or appear while they
// are read ([Writer.Tree]), and single files ([Writer.File]). Which of them in which order make a consistent whole is the
// caller's to know: what refers to others must be added before what it refers to.
//
// The file holds every secret that the state directory holds. It is made with mode 0600.
package backup
