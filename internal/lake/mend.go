// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// mend is how a damage is put right without loss.
type mend int

const (
	beyond     mend = iota // only a backup, or making it anew
	putAgain               // a blob, from another copy of the same bytes
	placeAgain             // a file of a table, from its blob
	setAside               // a stranger, into the folder "damaged"
	rebuild                // a table, from its versions' files
)

// Mend puts right what it can of the damages that this store's Verify found, and returns those. Nothing that matches its digest
// is removed or changed. elsewhere, which may be nil, tells further files that may hold a blob's bytes. Damages that are left
// are not an error; being unable to write is.
func (s *Store) Mend(ctx context.Context, found []Damage, elsewhere func(ref.Digest) []string) (mended []Damage, err error) {
	rebuilt := map[ref.Name]error{}
	for _, d := range found {
		var done bool
		switch d.mend {
		case putAgain:
			done, err = s.putAgain(ctx, d.digest, elsewhere)
		case placeAgain:
			done, err = s.placeAgain(ctx, d.File)
		case setAside:
			done, err = s.setAside(d.File)
		case rebuild:
			if _, tried := rebuilt[d.of]; !tried {
				rebuilt[d.of] = s.rebuildTable(ctx, d.of)
			}
			done = rebuilt[d.of] == nil
		}
		if err != nil {
			return mended, err
		}
		if done {
			mended = append(mended, d)
		}
	}
	return mended, nil
}

// putAgain looks for the blob's bytes among the tables' files and elsewhere.
func (s *Store) putAgain(ctx context.Context, d ref.Digest, elsewhere func(ref.Digest) []string) (bool, error) {
	places, err := filepath.Glob(filepath.Join(s.tables.root, "*", "*", "data", "*", "*-"+d.Short()+".parquet"))
	if err != nil {
		return false, fault.Wrap(fault.Internal, "lake.Mend", err)
	}
	if elsewhere != nil {
		places = append(places, elsewhere(d)...)
	}
	for _, path := range places {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		_, _, err = s.PutBlob(ctx, f, d)
		f.Close()
		if err == nil || !fault.Is(err, fault.Invalid) {
			return err == nil, err
		}
	}
	return false, nil
}

// placeAgain gives a table its file from the blob that the file's name tells.
func (s *Store) placeAgain(ctx context.Context, path string) (bool, error) {
	short := strings.TrimSuffix(filepath.Base(path), ".parquet")
	short = short[strings.LastIndexByte(short, '-')+1:]
	blobs, err := filepath.Glob(filepath.Join(s.blobDir, "sha256", short[:min(2, len(short))], short+"*"))
	if err != nil {
		return false, fault.Wrap(fault.Internal, "lake.Mend", err)
	}
	for _, blob := range blobs {
		if s.VerifyBlob(ctx, ref.Digest("sha256:"+filepath.Base(blob))) != nil {
			continue
		}
		part := path + ".mended"
		if err := os.RemoveAll(part); err != nil {
			return false, diskFault("lake.Mend", err)
		}
		if err := s.tables.place(blob, part); err != nil {
			return false, diskFault("lake.Mend", err)
		}
		if err := os.Rename(part, path); err != nil {
			return false, diskFault("lake.Mend", err)
		}
		return true, diskFault("lake.Mend", syncDir(filepath.Dir(path)))
	}
	return false, nil
}

func (s *Store) setAside(path string) (bool, error) {
	dir := filepath.Join(filepath.Dir(s.blobDir), "damaged")
	if err := makeDir(dir); err != nil {
		return false, diskFault("lake.Mend", err)
	}
	err := os.Rename(path, filepath.Join(dir, strconv.FormatInt(s.now().UnixNano(), 36)+"-"+filepath.Base(path)))
	return err == nil, diskFault("lake.Mend", err)
}

// rebuildTable makes a dataset's table anew: the same versions with the same files, under new snapshot ids. An interrupted
// rebuilding is done again from the start.
func (s *Store) rebuildTable(ctx context.Context, name ref.Name) error {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	versions, err := s.allVersions(ctx, name)
	if err != nil {
		return err
	}
	drafts := make([]draft, len(versions))
	for i, v := range versions { // all of them before anything is removed
		if drafts[i], err = s.draftOf(ctx, v); err != nil {
			return err
		}
	}
	done, err := s.removing()
	if err != nil {
		return err
	}
	defer done() // it ends with the process at the latest
	if err := s.noteLocation(ctx, name, ""); err != nil {
		return err
	}
	if err := s.tables.drop(ctx, name); err != nil {
		return diskFault("lake.Mend", err)
	}
	location := ""
	for _, d := range drafts {
		if location, err = s.snapshotAgain(ctx, d); err != nil {
			return err
		}
	}
	return s.noteLocation(ctx, name, location)
}

// draftOf is the draft from which a version was committed.
func (s *Store) draftOf(ctx context.Context, v Version) (draft, error) {
	m, err := s.GetManifest(ctx, v.Manifest)
	if err != nil {
		return draft{}, err
	}
	for _, f := range m.Files {
		if isTableFile(f.Path) {
			if err := s.VerifyBlob(ctx, f.Digest); err != nil {
				return draft{}, err
			}
		}
	}
	d, err := s.readParts(m)
	if err != nil {
		return draft{}, err
	}
	d.record = record{Version: v}
	var set sql.NullString
	err = s.history.QueryRowContext(ctx, `select s.digest from artifacts a join knew k on k.artifact_id = a.id join subject_sets s on s.id = k.set_id
		where a.kind = ? and a.workspace = ? and a.name = ? and a.version = ?`, KindDataset, v.Name.Workspace, v.Name.Name, strconv.Itoa(v.Number)).Scan(&set)
	if err != nil && err != sql.ErrNoRows {
		return draft{}, sqlFault(err)
	}
	d.record.Subjects = ref.Digest(set.String)
	return d, nil
}

func (s *Store) snapshotAgain(ctx context.Context, d draft) (location string, err error) {
	digest, err := s.putRecord(ctx, d.record)
	if err != nil {
		return "", err
	}
	tbl, err := s.loadOrCreate(ctx, d)
	if err != nil {
		return "", diskFault("lake.Mend", err)
	}
	urls, err := s.placeParts(d, d.record.Number)
	if err != nil {
		return "", diskFault("lake.Mend", err)
	}
	number := strconv.Itoa(d.record.Number)
	d.record.Snapshot, location, err = s.tables.replace(ctx, tbl, replacement{
		tag: "v" + number, schema: d.schema, withIDs: d.withIDs, files: urls,
		props: iceberg.Properties{
			propVersion: number, propFingerprint: d.record.Fingerprint,
			propManifest: string(d.record.Manifest), propRecord: string(digest),
		},
	})
	if err != nil {
		return "", diskFault("lake.Mend", err)
	}
	body, err := json.Marshal(d.record.Version)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "lake.Mend", err)
	}
	_, err = s.history.ExecContext(ctx, `update versions set snapshot = ?, record = ? where workspace = ? and dataset = ? and number = ?`,
		d.record.Snapshot, body, d.record.Name.Workspace, d.record.Name.Name, d.record.Number)
	return location, sqlFault(err)
}
