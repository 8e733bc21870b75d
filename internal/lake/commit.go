// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// draft is a commit that was checked and needs only a number.
type draft struct {
	record  record
	schema  *iceberg.Schema
	withIDs bool
	parts   []File // Parquet files that have rows
}

// record is what a version's row is rebuilt from: stored as a blob before the snapshot that names it.
type record struct {
	Version
	Subjects ref.Digest `json:"subjects,omitempty"` // a blob of the pseudonyms, one a line
}

// Commit makes the next version of a dataset, or returns the one that has this fingerprint already. It returns after
// the version is on disk. Invalid: a malformed request, a file that is not Parquet, files that disagree on their schema;
// NotFound: a blob is missing; TooLarge: see the limits; Exhausted: the disk is full; Conflict: someone else changed the
// table at the same time.
//
// Order of writes, each on disk before the next: files, manifest and record as blobs; the files' names in the table's
// folder; Iceberg's metadata; the catalog's row, which decides; the version's row with its lineage. A crash before the
// catalog's row leaves nothing to be seen, a crash after it is finished by the next Open or Commit.
func (s *Store) Commit(ctx context.Context, r CommitRequest) (Version, error) {
	if v, err := s.ByFingerprint(ctx, r.Name, r.Fingerprint); err == nil || !fault.Is(err, fault.NotFound) {
		return v, err
	}
	d, err := s.draft(ctx, r)
	if err != nil {
		return Version{}, err
	}
	unlock, err := s.lock(ctx, r.Name)
	if err != nil {
		return Version{}, err
	}
	defer unlock()
	if err := s.reconcile(ctx, r.Name); err != nil {
		return Version{}, err
	}
	if v, err := s.ByFingerprint(ctx, r.Name, r.Fingerprint); err == nil || !fault.Is(err, fault.NotFound) {
		return v, err
	}
	last, err := s.lastNumber(ctx, r.Name)
	if err != nil {
		return Version{}, err
	}
	return s.commit(ctx, d, last+1)
}

// draft checks the request and stores what the version will be made from.
func (s *Store) draft(ctx context.Context, r CommitRequest) (draft, error) {
	if err := checkRequest(r); err != nil {
		return draft{}, err
	}
	if err := s.checkFiles(ctx, r.Files); err != nil {
		return draft{}, err
	}
	d, err := s.readParts(r.Files)
	if err != nil {
		return draft{}, err
	}
	manifest, err := s.PutManifest(ctx, r.Files)
	if err != nil {
		return draft{}, err
	}
	subjects, err := s.putSubjects(ctx, r.Subjects)
	if err != nil {
		return draft{}, err
	}
	d.record.Subjects = subjects
	d.record.Name, d.record.Fingerprint, d.record.Manifest = r.Name, r.Fingerprint, manifest
	d.record.Bytes = r.Files.Size()
	d.record.Summary, d.record.Run, d.record.Inputs, d.record.CreatedBy = r.Summary, r.Run, r.Inputs, r.CreatedBy
	return d, nil
}

func checkRequest(r CommitRequest) error {
	const op = "lake.Commit"
	if err := r.Name.Validate(); err != nil {
		return err
	}
	switch {
	case r.Fingerprint == "":
		return fault.New(fault.Invalid, op, "%s: the fingerprint is empty", r.Name)
	case len(r.Fingerprint) > 200:
		return fault.New(fault.TooLarge, op, "%s: the fingerprint is longer than 200 bytes", r.Name)
	case len(r.Summary) > MaxSummary:
		return fault.New(fault.TooLarge, op, "%s: the summary has %d bytes; at most %d are kept", r.Name, len(r.Summary), MaxSummary)
	case len(r.Summary) > 0 && !json.Valid(r.Summary):
		return fault.New(fault.Invalid, op, "%s: the summary is not JSON", r.Name)
	}
	for _, in := range r.Inputs {
		if err := in.validate(); err != nil {
			return err
		}
	}
	return r.Files.Validate()
}

func (s *Store) checkFiles(ctx context.Context, m FileManifest) error {
	for _, f := range m.Files {
		if _, err := s.renew(ctx, f.Digest, false); err != nil { // before it is looked for: it must stay until the version names it
			return diskFault("lake.Commit", err)
		}
		size, err := s.StatBlob(ctx, f.Digest)
		if err != nil {
			return err
		}
		if size != f.Size {
			return fault.New(fault.Invalid, "lake.Commit", "%s has %d bytes, not the %d that the manifest says", f.Path, size, f.Size)
		}
	}
	return nil
}

// isTableFile tells the table's own files from objects and whatever lies beside them.
func isTableFile(path string) bool {
	return strings.HasSuffix(path, ".parquet") && !strings.HasPrefix(path, "objects/")
}

// readParts reads the footers of the table's files, which must agree on their columns.
func (s *Store) readParts(m FileManifest) (draft, error) {
	var d draft
	first := ""
	for _, f := range m.Files {
		if !isTableFile(f.Path) {
			continue
		}
		ft, err := readFooter(s.BlobPath(f.Digest), f.Path)
		if err != nil {
			return draft{}, err
		}
		if first == "" {
			first, d.schema, d.withIDs = f.Path, ft.schema, ft.withIDs
		}
		if !ft.schema.Equals(d.schema) || ft.withIDs != d.withIDs {
			return draft{}, fault.New(fault.Invalid, "lake.Commit", "%s and %s have different columns: %s and %s",
				first, f.Path, describe(d.schema), describe(ft.schema)).WithHint("write all files of a version with one schema")
		}
		d.record.Rows += ft.rows
		if ft.rows > 0 {
			d.parts = append(d.parts, f)
		}
	}
	if first == "" {
		return draft{}, fault.New(fault.Invalid, "lake.Commit", "there is no *.parquet file: a version needs a table, if only of its objects").
			WithHint("write one to $FATHOM_OUTPUT, for example data.parquet")
	}
	d.record.Columns = columnsOf(d.schema)
	return d, nil
}

func describe(sc *iceberg.Schema) string {
	var parts []string
	for _, c := range columnsOf(sc) {
		parts = append(parts, c.Name+" "+c.Type)
	}
	return strings.Join(parts, ", ")
}

// commit writes the version. The dataset's lock is held and its rows are complete.
func (s *Store) commit(ctx context.Context, d draft, number int) (Version, error) {
	d.record.Number = number
	d.record.Created = s.now().UTC().Truncate(time.Millisecond)
	digest, err := s.putRecord(ctx, d.record)
	if err != nil {
		return Version{}, err
	}
	s.hook("record-written")
	tbl, err := s.loadOrCreate(ctx, d)
	if err != nil {
		return Version{}, diskFault("lake.Commit", err)
	}
	s.hook("table-there")
	urls, err := s.placeParts(d, number)
	if err != nil {
		return Version{}, diskFault("lake.Commit", err)
	}
	s.hook("files-placed")
	snap, location, err := s.tables.replace(ctx, tbl, replacement{
		tag: "v" + strconv.Itoa(number), schema: d.schema, withIDs: d.withIDs, files: urls,
		props: iceberg.Properties{
			propVersion: strconv.Itoa(number), propFingerprint: d.record.Fingerprint,
			propManifest: string(d.record.Manifest), propRecord: string(digest),
		},
	})
	if err != nil {
		return Version{}, diskFault("lake.Commit", err)
	}
	s.hook("snapshot-committed")
	d.record.Snapshot = snap
	if err := s.writeRow(context.WithoutCancel(ctx), d.record, location); err != nil { // decided already: finish
		return Version{}, err
	}
	s.hook("row-written")
	return d.record.Version, nil
}

func (s *Store) putRecord(ctx context.Context, r record) (ref.Digest, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "lake.Commit", err)
	}
	d, _, err := s.PutBlob(ctx, bytes.NewReader(b), "")
	return d, err
}

// placeParts names the version's files inside the table's folder and returns their URLs.
func (s *Store) placeParts(d draft, number int) ([]string, error) {
	dir := filepath.Join(s.tables.dir(d.record.Name), "data", fmt.Sprintf("%05d", number))
	if err := os.RemoveAll(dir); err != nil { // of a commit that was interrupted and is made anew
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	urls := make([]string, 0, len(d.parts))
	for i, f := range d.parts {
		dst := filepath.Join(dir, fmt.Sprintf("%05d-%s.parquet", i, f.Digest.Short()))
		if err := s.tables.place(s.BlobPath(f.Digest), dst); err != nil {
			return nil, err
		}
		urls = append(urls, "file://"+dst)
	}
	return urls, syncDir(dir)
}

func (s *Store) loadOrCreate(ctx context.Context, d draft) (*table.Table, error) {
	tbl, err := s.tables.load(ctx, d.record.Name)
	if tbl != nil || err != nil {
		return tbl, err
	}
	return s.tables.create(ctx, d.record.Name, d.schema)
}

// lock makes the dataset's writers wait for each other; the caller calls the function it returns.
func (s *Store) lock(ctx context.Context, n ref.Name) (func(), error) {
	s.mu.Lock()
	l := s.locks[n]
	if l == nil {
		l = make(chan struct{}, 1)
		s.locks[n] = l
	}
	s.mu.Unlock()
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, "lake.lock "+n.String(), ctx.Err())
	}
}

// Delete removes the dataset's table and versions; its lineage and its blobs stay. NotFound when there is nothing;
// Unavailable while a backup is taken. Numbers are not used again: a dataset that is made anew goes on after the last.
func (s *Store) Delete(ctx context.Context, name ref.Name) error {
	if err := name.Validate(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.reconcile(ctx, name); err != nil {
		return err
	}
	if _, err := s.Latest(ctx, name); err != nil {
		return err
	}
	done, err := s.removing()
	if err != nil {
		return err
	}
	defer done() // it ends with the process at the latest
	if err := s.retire(ctx, name); err != nil {
		return err
	}
	s.hook("rows-deleted")
	return diskFault("lake.Delete", s.tables.drop(ctx, name))
}

func sortedSet(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
