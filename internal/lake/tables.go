// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// CatalogName is the name under which the Iceberg catalog's rows are kept; readers of the file must use it too.
const CatalogName = "fathom"

// Snapshot properties that tie a snapshot to its version.
const (
	propVersion     = "fathom.version"
	propFingerprint = "fathom.fingerprint"
	propManifest    = "fathom.manifest"
	propRecord      = "fathom.record" // digest of the blob from which the version's row can be rebuilt
)

// tables is the Iceberg side of the lake: namespace = workspace, table = dataset with '_' for '-'.
type tables struct {
	cat  *sqlcat.Catalog
	db   *sql.DB
	root string // folder of the warehouse
	hook func(string)
	// removing is asked before a file is removed that a backup may need.
	removing func() (done func() error, err error)
}

// snapshot is a version as Iceberg knows it.
type snapshot struct {
	id                            int64
	number                        int
	fingerprint, manifest, record string
}

func openTables(db *sql.DB, root string, hook func(string), removing func() (func() error, error)) (*tables, error) {
	return useTables(db, root, "true", hook, removing)
}

// lookAtTables opens the catalog without making its tables.
func lookAtTables(db *sql.DB, root string, hook func(string), removing func() (func() error, error)) (*tables, error) {
	return useTables(db, root, "false", hook, removing)
}

func useTables(db *sql.DB, root, init string, hook func(string), removing func() (func() error, error)) (*tables, error) {
	useDurableFS()
	cat, err := sqlcat.NewCatalog(CatalogName, db, sqlcat.SQLite, iceberg.Properties{
		"init_catalog_tables": init, "warehouse": "file://" + root,
	})
	if err != nil {
		return nil, err
	}
	return &tables{cat: cat, db: db, root: root, hook: hook, removing: removing}, nil
}

// tableName reads "workspace/table": labels have no '_', so the dataset's name is certain.
func tableName(key string) ref.Name {
	ws, name, _ := strings.Cut(key, "/")
	return ref.Name{Workspace: ws, Name: strings.ReplaceAll(name, "_", "-")}
}

func identifier(n ref.Name) table.Identifier { return table.Identifier{n.Workspace, ref.Table(n.Name)} }

func (t *tables) dir(n ref.Name) string { return filepath.Join(t.root, n.Workspace, n.Name) }

// load returns nil when there is no table.
func (t *tables) load(ctx context.Context, n ref.Name) (*table.Table, error) {
	tbl, err := t.cat.LoadTable(ctx, identifier(n))
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return nil, nil
	}
	return tbl, err
}

func (t *tables) create(ctx context.Context, n ref.Name, sc *iceberg.Schema) (*table.Table, error) {
	ns := table.Identifier{n.Workspace}
	if err := t.cat.CreateNamespace(ctx, ns, nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return nil, err
	}
	if err := os.RemoveAll(t.dir(n)); err != nil { // of a table whose deletion was interrupted
		return nil, err
	}
	v3, err := needsV3(sc)
	if err != nil {
		return nil, err
	}
	props := iceberg.Properties{
		"fathom.dataset": n.String(), table.PropertyFormatVersion: "2", table.MetadataPreviousVersionsMaxKey: "10",
	}
	if v3 {
		props[table.PropertyFormatVersion] = "3"
	}
	tbl, err := t.cat.CreateTable(ctx, identifier(n), sc, catalog.WithLocation("file://"+t.dir(n)), catalog.WithProperties(props))
	if errors.Is(err, catalog.ErrTableAlreadyExists) {
		return t.cat.LoadTable(ctx, identifier(n))
	}
	return tbl, err
}

// snapshots lists the table's versions, oldest first.
func snapshots(meta table.Metadata) []snapshot {
	var out []snapshot
	for _, s := range meta.Snapshots() {
		if v, ok := asVersion(s); ok {
			out = append(out, v)
		}
	}
	return out
}

func asVersion(s table.Snapshot) (snapshot, bool) {
	if s.Summary == nil {
		return snapshot{}, false
	}
	p := s.Summary.Properties
	number, err := strconv.Atoi(p[propVersion])
	if err != nil {
		return snapshot{}, false
	}
	return snapshot{id: s.SnapshotID, number: number, fingerprint: p[propFingerprint], manifest: p[propManifest], record: p[propRecord]}, true
}

// replacement is the next content of a table.
type replacement struct {
	tag     string // for readers of the table: "v3"
	schema  *iceberg.Schema
	withIDs bool     // the files carry the schema's ids
	files   []string // file URLs of Parquet files that have rows
	props   iceberg.Properties
}

// replace commits one snapshot that holds exactly r.files under r.schema. Schema, name mapping, snapshot and tag change
// in one catalog commit, so that no reader sees new columns over old files.
//
// It returns the snapshot's id and the table's new metadata file.
func (t *tables) replace(ctx context.Context, tbl *table.Table, r replacement) (int64, string, error) {
	staged, updates, err := t.evolve(tbl, r)
	if err != nil {
		return 0, "", err
	}
	tx := staged.NewTransaction()
	old, err := t.filesOf(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return 0, "", err
	}
	if len(old) > 0 {
		err = tx.ReplaceDataFiles(ctx, old, r.files, r.props)
	} else {
		err = tx.AddFiles(ctx, r.files, r.props, true)
	}
	if err != nil {
		return 0, "", unfit(err)
	}
	after, err := tx.StagedTable()
	if err != nil {
		return 0, "", err
	}
	id := after.CurrentSnapshot().SnapshotID
	commit, err := tx.TableCommit()
	if err != nil {
		return 0, "", err
	}
	updates = append(updates, commit.Updates...)
	updates = append(updates, table.NewSetSnapshotRefUpdate(r.tag, id, table.TagRef, 0, 0, 0))
	t.hook("snapshot-staged")
	meta, location, err := t.cat.CommitTable(ctx, commit.Identifier, commit.Requirements, updates)
	if errors.Is(err, table.ErrCommitFailed) {
		return 0, "", fault.Wrap(fault.Conflict, "lake.Commit", err)
	}
	if err != nil {
		return 0, "", err
	}
	if done, err := t.removing(); err == nil {
		removeForgotten(tbl.Metadata(), meta)
		done() // it ends with the process at the latest
	}
	return id, location, nil
}

// removeForgotten removes metadata files that the table's log no longer names: each holds all snapshots, so together they
// would grow with the square of the versions. What cannot be removed is only waste.
func removeForgotten(before, after table.Metadata) {
	named := map[string]bool{}
	for e := range after.PreviousFiles() {
		named[e.MetadataFile] = true
	}
	for e := range before.PreviousFiles() {
		if !named[e.MetadataFile] {
			os.Remove(localPath(e.MetadataFile))
		}
	}
}

// unfit tells files that a table cannot hold from a failing disk.
func unfit(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return err
	}
	return fault.New(fault.Invalid, "lake.Commit", "a table cannot hold these files: %w", err)
}

// evolve returns the table as it would be with the new schema, and the updates that make it so.
func (t *tables) evolve(tbl *table.Table, r replacement) (*table.Table, []table.Update, error) {
	meta := tbl.Metadata()
	ids := fieldIDs{mapping: meta.NameMapping(), last: meta.LastColumnID()}
	if ids.mapping == nil { // created a moment ago: the ids of its schema are the first
		ids.mapping = meta.CurrentSchema().NameMapping()
	}
	schema := r.schema
	if !r.withIDs {
		schema = ids.assign(r.schema)
	}
	mapping, err := json.Marshal(ids.mapping)
	if err != nil {
		return nil, nil, err
	}
	updates := []table.Update{}
	v3, err := needsV3(schema)
	if err != nil {
		return nil, nil, err
	}
	if v3 && meta.Version() < 3 {
		updates = append(updates, table.NewUpgradeFormatVersionUpdate(3))
	}
	if !schema.Equals(meta.CurrentSchema()) {
		updates = append(updates, table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(-1))
	}
	if string(mapping) != meta.Properties()[table.DefaultNameMappingKey] {
		updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{table.DefaultNameMappingKey: string(mapping)}))
	}
	if len(updates) == 0 {
		return tbl, updates, nil
	}
	evolved, err := table.UpdateTableMetadata(meta, updates, tbl.MetadataLocation())
	if err != nil {
		return nil, nil, err
	}
	fsys := func(context.Context) (icebergio.IO, error) { return durableFS{}, nil }
	return table.New(tbl.Identifier(), evolved, tbl.MetadataLocation(), fsys, t.cat), updates, nil
}

// filesOf lists the data files of a snapshot; none for nil.
func (t *tables) filesOf(ctx context.Context, tbl *table.Table, snap *table.Snapshot) ([]string, error) {
	if snap == nil {
		return nil, nil
	}
	fio, err := tbl.FS(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := snap.Manifests(fio)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range manifests {
		for e, err := range m.Entries(fio, true) {
			if err != nil {
				return nil, err
			}
			out = append(out, e.DataFile().FilePath())
		}
	}
	return out, nil
}

// place puts a blob among the table's files: a second name for the same bytes, or a copy on another file system.
func (t *tables) place(blob, dst string) error {
	if err := os.Link(blob, dst); err == nil || errors.Is(err, os.ErrExist) {
		return nil
	}
	return copyFile(blob, dst)
}

func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := (durableFS{}).Create(dst)
	if err != nil {
		return err
	}
	if _, err := out.ReadFrom(in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// drop forgets the table and removes its files; a table that is gone already is fine.
func (t *tables) drop(ctx context.Context, n ref.Name) error {
	if err := t.cat.DropTable(ctx, identifier(n)); err != nil && !errors.Is(err, catalog.ErrNoSuchTable) {
		return err
	}
	if err := os.RemoveAll(t.dir(n)); err != nil {
		return fmt.Errorf("remove the files of %s: %w", n, err)
	}
	return nil
}

// location is the table's current metadata file, "" when there is no table.
func (t *tables) location(ctx context.Context, n ref.Name) (string, error) {
	var location string
	err := t.db.QueryRowContext(ctx, `select coalesce(metadata_location, '') from iceberg_tables
		where catalog_name = ? and table_namespace = ? and table_name = ?`, CatalogName, n.Workspace, ref.Table(n.Name)).Scan(&location)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return location, err
}

// locations maps every table to its current metadata file, without opening any.
func (t *tables) locations(ctx context.Context) (map[string]string, error) {
	rows, err := t.db.QueryContext(ctx,
		`select table_namespace, table_name, coalesce(metadata_location, '') from iceberg_tables where catalog_name = ?`, CatalogName)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var ns, name, location string
		if err := rows.Scan(&ns, &name, &location); err != nil {
			return nil, err
		}
		out[ns+"/"+name] = location
	}
	return out, rows.Err()
}
