// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Damage is something Verify found wrong.
type Damage struct {
	Kind   fault.Kind `json:"kind"`   // NotFound, Corrupt or Conflict (two stores disagree)
	Object string     `json:"object"` // for example "neurology/voice@3", "neurology/runs/train-1" or a blob's digest
	File   string     `json:"file,omitempty"`
	UsedBy []string   `json:"usedBy,omitempty"` // objects that need a damaged blob
	Detail string     `json:"detail"`
	Hint   string     `json:"hint,omitempty"`

	mend   mend
	of     ref.Name   // the dataset, for mends of tables
	digest ref.Digest // the blob, for mends of blobs
}

// Verify reads every byte of the lake and lists what is damaged, for `fathom doctor`; nothing is changed. The error is
// about not being able to look. Commits may go on meanwhile: a dataset's commits wait while it is looked at, and those of
// another process are looked at again until they are done.
func (s *Store) Verify(ctx context.Context) ([]Damage, error) {
	c := check{s: s, whole: map[ref.Digest]bool{}, told: map[ref.Digest]int{}}
	c.found = append(c.found, s.unreadable...)
	looks := []func(context.Context) error{c.blobs}
	if !s.noHistory && s.tables != nil {
		looks = append(looks, c.databases, c.datasets)
	}
	if !s.noHistory {
		looks = append(looks, c.runs)
	}
	for _, look := range looks {
		if err := look(ctx); err != nil {
			return c.found, err
		}
	}
	return c.found, nil
}

type check struct {
	s     *Store
	whole map[ref.Digest]bool // blobs seen: do they match their digest?
	told  map[ref.Digest]int  // index in found of a damaged blob
	found []Damage
}

const (
	hintRestore = "restore it from a backup, or replay what made it"
	hintMend    = "run `fathom doctor --repair`: it looks for another copy; else restore it from a backup, or replay what made it"
	hintPlace   = "run `fathom doctor --repair`: it takes the same bytes from the blobs"
	hintRebuild = "run `fathom doctor --repair`: it makes the table again from the versions' files"
	hintReopen  = "start Fathom again: it finishes interrupted commits"
)

func (c *check) add(kind fault.Kind, object, hint, format string, args ...any) {
	c.found = append(c.found, Damage{Kind: kind, Object: object, Hint: hint, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) rebuildable(kind fault.Kind, of ref.Name, object, format string, args ...any) {
	c.found = append(c.found, Damage{Kind: kind, Object: object, Hint: hintRebuild, mend: rebuild, of: of, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) databases(ctx context.Context) error {
	for _, d := range []struct {
		name string
		db   *sql.DB
	}{{"catalog", c.s.catalog}, {"history", c.s.history}} {
		var verdict string
		if err := d.db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err != nil {
			return sqlFault(err)
		}
		if verdict != "ok" {
			c.add(fault.Corrupt, d.name, hintRestore, "SQLite says: %s", verdict)
		}
	}
	return nil
}

// blobs hashes every stored blob.
func (c *check) blobs(ctx context.Context) error {
	root := filepath.Join(c.s.blobDir, "sha256")
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) && path == root {
			return nil // nothing was ever put
		}
		if err != nil || e.IsDir() {
			return diskFault("lake.Verify", err)
		}
		d, err := ref.ParseDigest("sha256:" + e.Name())
		if err != nil || c.s.BlobPath(d) != path {
			c.found = append(c.found, Damage{Kind: fault.Conflict, Object: filepath.Base(path), File: path, mend: setAside,
				Hint: "move it elsewhere, or run `fathom doctor --repair`, which does", Detail: "this file is not a blob"})
			return nil
		}
		return c.blob(ctx, d)
	})
}

func (c *check) blob(ctx context.Context, d ref.Digest) error {
	err := c.s.VerifyBlob(ctx, d)
	c.whole[d] = err == nil
	if fault.Is(err, fault.Corrupt) {
		c.told[d] = len(c.found)
		c.found = append(c.found, Damage{Kind: fault.Corrupt, Object: string(d), File: c.s.BlobPath(d), Hint: hintMend,
			mend: putAgain, digest: d, Detail: "the blob does not match its digest"})
		return nil
	}
	if fault.Is(err, fault.NotFound) {
		delete(c.whole, d) // whoever else needs it tells so too
	}
	return err
}

// need reports a blob that something refers to and that is not there; a corrupt one was told already.
func (c *check) need(ctx context.Context, object, what string, d ref.Digest) error {
	if _, seen := c.whole[d]; seen || d == "" {
		if i, damaged := c.told[d]; damaged {
			c.found[i].UsedBy = append(c.found[i].UsedBy, strings.TrimSpace(object+" "+what))
		}
		return nil
	}
	err := c.blob(ctx, d) // it may have come since
	if fault.Is(err, fault.NotFound) {
		c.found = append(c.found, Damage{Kind: fault.NotFound, Object: object, File: c.s.BlobPath(d), Hint: hintMend,
			mend: putAgain, digest: d, Detail: fmt.Sprintf("%s is missing: blob %s", what, d)})
		return nil
	}
	return err
}

func (c *check) datasets(ctx context.Context) error {
	names := map[ref.Name]bool{}
	known, err := c.s.Datasets(ctx, "")
	if err != nil {
		return err
	}
	for _, n := range known {
		names[n] = true
	}
	there, err := c.s.tables.locations(ctx)
	if err != nil {
		return sqlFault(err)
	}
	for key := range there {
		names[tableName(key)] = true
	}
	for n := range names {
		if err := c.settled(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// settled looks at a dataset, and when another process may be in the middle of its commit, until it looks the same again.
func (c *check) settled(ctx context.Context, n ref.Name) error {
	before, last := len(c.found), ""
	for range 20 {
		c.found = c.found[:before]
		if err := c.dataset(ctx, n); err != nil {
			return err
		}
		now := fmt.Sprint(c.found[before:])
		if !c.s.looking || len(c.found) == before || now == last {
			return nil
		}
		last = now
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, "lake.Verify", ctx.Err())
		}
	}
	return nil
}

func (c *check) dataset(ctx context.Context, n ref.Name) error {
	unlock, err := c.s.lock(ctx, n)
	if err != nil {
		return err
	}
	defer unlock()
	versions, err := c.s.allVersions(ctx, n)
	if err != nil {
		return err
	}
	location, err := c.s.tables.location(ctx, n)
	if err != nil {
		return sqlFault(err)
	}
	if old, err := c.s.tables.movedFrom(n, location); err != nil {
		c.add(fault.KindOf(err), n.String(), hintRestore, "%v", err)
		return nil
	} else if old != "" {
		c.add(fault.Conflict, n.String(), "start Fathom once, or run `fathom doctor --repair`: the paths are rewritten", "the lake was moved here from %s", old)
		return nil
	}
	tbl, err := c.s.tables.load(ctx, n)
	if err != nil {
		c.rebuildable(fault.Corrupt, n, n.String(), "the table's metadata cannot be read: %v", err)
	}
	byNumber := map[int]snapshot{}
	if tbl != nil {
		c.snapshots(ctx, n, tbl, versions, byNumber)
	}
	for i, v := range versions {
		if err := c.version(ctx, v, byNumber[v.Number], tbl != nil || err == nil); err != nil {
			return err
		}
		if i > 0 && versions[i-1].Number+1 != v.Number {
			c.add(fault.NotFound, n.String(), hintRestore, "there is a gap between version %d and %d", versions[i-1].Number, v.Number)
		}
	}
	return nil
}

// snapshots compares the table's snapshots with the rows, and reads what each snapshot needs.
func (c *check) snapshots(ctx context.Context, n ref.Name, tbl *table.Table, rows []Version, byNumber map[int]snapshot) {
	have := map[int]bool{}
	for _, v := range rows {
		have[v.Number] = true
	}
	for _, snap := range snapshots(tbl.Metadata()) {
		object := fmt.Sprintf("%s@%d", n, snap.number)
		if _, twice := byNumber[snap.number]; twice {
			c.add(fault.Conflict, object, hintRestore, "two snapshots have this number")
		}
		byNumber[snap.number] = snap
		if !have[snap.number] {
			c.add(fault.Conflict, object, hintReopen, "snapshot %d has no version", snap.id)
		}
		files, err := c.s.tables.filesOf(ctx, tbl, tbl.SnapshotByID(snap.id))
		if err != nil {
			c.rebuildable(fault.Corrupt, n, object, "the snapshot's metadata cannot be read: %v", err)
		}
		for _, f := range files {
			c.tableFile(object, localPath(f))
		}
	}
}

// tableFile checks that a file of a table is there and is, or equals, the blob that its name tells.
func (c *check) tableFile(object, path string) {
	got, err := os.Stat(path)
	if err != nil {
		c.found = append(c.found, Damage{Kind: fault.NotFound, Object: object, File: path, Hint: hintPlace, mend: placeAgain,
			Detail: "a file of the table is missing"})
		return
	}
	short := strings.TrimSuffix(filepath.Base(path), ".parquet")
	short = short[strings.LastIndexByte(short, '-')+1:]
	matches, _ := filepath.Glob(filepath.Join(c.s.blobDir, "sha256", short[:min(2, len(short))], short+"*")) // the pattern is well formed
	for _, m := range matches {
		if blob, err := os.Stat(m); err == nil && os.SameFile(got, blob) {
			return // hashed as a blob
		}
	}
	f, err := os.Open(path)
	if err != nil {
		c.add(fault.Corrupt, object, hintRestore, "a file of the table cannot be read: %v", err)
		return
	}
	defer f.Close()
	if d, _, err := ref.DigestFrom(f); err != nil || d.Short() != short {
		c.found = append(c.found, Damage{Kind: fault.Corrupt, Object: object, File: path, Hint: hintPlace, mend: placeAgain,
			Detail: "a file of the table does not match its digest"})
	}
}

// version checks a row against its snapshot and the blobs that it names.
func (c *check) version(ctx context.Context, v Version, snap snapshot, readable bool) error {
	object := fmt.Sprintf("%s@%d", v.Name, v.Number)
	switch {
	case !readable:
	case snap.number == 0:
		c.rebuildable(fault.NotFound, v.Name, object, "the version has no snapshot in its table")
	case snap.id != v.Snapshot || snap.fingerprint != v.Fingerprint || snap.manifest != string(v.Manifest):
		c.add(fault.Conflict, object, hintRestore, "the version's row and its snapshot differ")
	}
	if err := c.need(ctx, object, "the record", ref.Digest(snap.record)); err != nil {
		return err
	}
	if err := c.need(ctx, object, "the manifest", v.Manifest); err != nil || !c.whole[v.Manifest] {
		return err
	}
	return c.manifest(ctx, object, v.Manifest)
}

func (c *check) manifest(ctx context.Context, object string, d ref.Digest) error {
	m, err := c.s.GetManifest(ctx, d)
	if err != nil {
		c.add(fault.Corrupt, object, hintRestore, "the manifest cannot be read: %v", err)
		return nil
	}
	for _, f := range m.Files {
		if err := c.need(ctx, object, f.Path, f.Digest); err != nil {
			return err
		}
	}
	return nil
}

// runs checks that logs and outputs of finished runs are there.
func (c *check) runs(ctx context.Context) error {
	page := Page{Limit: 1000}
	for {
		runs, next, err := c.s.Runs(ctx, RunFilter{}, page)
		if err != nil {
			return err
		}
		for _, r := range runs {
			object := r.Workspace + "/runs/" + r.Name
			if err := c.need(ctx, object, "the log", r.Log); err != nil {
				return err
			}
			if err := c.need(ctx, object, "the output", r.Output); err != nil {
				return err
			}
			if r.Output == "" || !c.whole[r.Output] {
				continue
			}
			if err := c.manifest(ctx, object, r.Output); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}
