// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Options says where a lake is.
type Options struct {
	Dir         string           // holds blobs/ and warehouse/; made if absent; required
	CatalogPath string           // the Iceberg SQL catalog, a SQLite file; "" means Dir/../db/catalog.db
	HistoryPath string           // versions, runs and lineage, a SQLite file; "" means Dir/../db/lineage.db
	Now         func() time.Time // nil means time.Now
}

// Store is an open lake.
type Store struct {
	dir, blobDir, tmpDir string
	now                  func() time.Time
	atPoint              func(string) // tests stop a commit here; nil otherwise
}

// Open opens or makes the lake and finishes or forgets what an interrupted commit left.
func Open(o Options) (*Store, error) {
	const op = "lake.Open"
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, op, "Options.Dir is empty")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	s := &Store{dir: dir, blobDir: filepath.Join(dir, "blobs"), tmpDir: filepath.Join(dir, "blobs", "tmp"), now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if err := os.RemoveAll(s.tmpDir); err != nil {
		return nil, diskFault(op, err)
	}
	if err := makeDir(s.tmpDir); err != nil {
		return nil, diskFault(op, err)
	}
	return s, nil
}

// Close releases the lake's files.
func (s *Store) Close() error { return nil }

func (s *Store) hook(point string) {
	if s.atPoint != nil {
		s.atPoint(point)
	}
}

// Damage is something Verify found wrong.
type Damage struct {
	Kind   fault.Kind `json:"kind"`   // NotFound, Corrupt or Conflict (two stores disagree)
	Object string     `json:"object"` // for example "neurology/voice@3" or a blob's digest
	Detail string     `json:"detail"`
	Hint   string     `json:"hint,omitempty"`
}

var errSoon = fault.New(fault.Unavailable, "lake", "not there yet")

// Commit makes the next version of a dataset, or returns the one that has this fingerprint already. It returns after
// the version is on disk. Invalid: a malformed request, a file that is not Parquet, files that disagree on their schema;
// NotFound: a blob is missing; TooLarge: see the limits; Exhausted: the disk is full.
func (s *Store) Commit(ctx context.Context, r CommitRequest) (Version, error) {
	return Version{}, errSoon
}

// Version returns one version; NotFound.
func (s *Store) Version(ctx context.Context, name ref.Name, number int) (Version, error) {
	return Version{}, errSoon
}

// Latest returns the newest version; NotFound when the dataset has none.
func (s *Store) Latest(ctx context.Context, name ref.Name) (Version, error) { return Version{}, errSoon }

// ByFingerprint returns the version with the fingerprint; NotFound.
func (s *Store) ByFingerprint(ctx context.Context, name ref.Name, fingerprint string) (Version, error) {
	return Version{}, errSoon
}

// Versions lists versions, newest first, and the token of the next page ("" at the end).
func (s *Store) Versions(ctx context.Context, name ref.Name, p Page) ([]Version, string, error) {
	return nil, "", errSoon
}

// Datasets lists the names of a workspace that have versions, sorted; of all workspaces when it is "".
func (s *Store) Datasets(ctx context.Context, workspace string) ([]ref.Name, error) {
	return nil, errSoon
}

// Files lists the version's files, sorted by path; open them with OpenBlob or BlobPath.
func (s *Store) Files(ctx context.Context, v Version) ([]File, error) { return nil, errSoon }

// Schema is the version's table in Iceberg's JSON form, with field ids.
func (s *Store) Schema(ctx context.Context, v Version) (string, error) { return "", errSoon }

// Delete removes the dataset's table and versions; its lineage and its blobs stay. NotFound when there is nothing.
func (s *Store) Delete(ctx context.Context, name ref.Name) error { return errSoon }

// RecordRun remembers a finished run; a UID that is known already is left as it is. On return it is on disk.
func (s *Store) RecordRun(ctx context.Context, r RunRecord) error { return errSoon }

// Runs lists runs, the latest to finish first, and the token of the next page ("" at the end).
func (s *Store) Runs(ctx context.Context, f RunFilter, p Page) ([]RunRecord, string, error) {
	return nil, "", errSoon
}

// Run returns the run of that name, the latest when the name was used again; NotFound.
func (s *Store) Run(ctx context.Context, workspace, name string) (RunRecord, error) {
	return RunRecord{}, errSoon
}

// RecordEdges remembers lineage; edges known already are left as they are. Commit and RecordRun record their own.
func (s *Store) RecordEdges(ctx context.Context, edges []Edge) error { return errSoon }

// Why walks from an artifact to everything it was made from; NotFound when the lineage does not know it.
func (s *Store) Why(ctx context.Context, a Artifact) (Tree, error) { return Tree{}, errSoon }

// RecordSubjects remembers the pseudonyms of everyone an artifact was made with. Telling it again replaces the set.
func (s *Store) RecordSubjects(ctx context.Context, a Artifact, subjects []string) error {
	return errSoon
}

// Subjects is the artifact's set of pseudonyms, sorted; NotFound when none was recorded.
func (s *Store) Subjects(ctx context.Context, a Artifact) ([]string, error) { return nil, errSoon }

// KnewSubject lists the artifacts of a workspace that were made with this pseudonym, sorted by kind, name, version.
func (s *Store) KnewSubject(ctx context.Context, workspace, subject string) ([]Artifact, error) {
	return nil, errSoon
}

// Verify reads everything and lists what is damaged, for `fathom doctor`. The error is about not being able to look.
func (s *Store) Verify(ctx context.Context) ([]Damage, error) { return nil, errSoon }
