// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Iceberg's metadata names files by absolute path, so that every reader of the format finds them. A lake that was moved,
// copied or restored elsewhere therefore gets its metadata rewritten once, at the next Open: the same snapshots, ids and
// times under the new path, as Iceberg's procedure rewrite_table_path does. Each file is replaced whole; the catalog's row
// comes last. A rewriting that was interrupted is done again.

// movedFrom tells where the warehouse was when a table's metadata was written: "" when it is where it was.
func (t *tables) movedFrom(name ref.Name, location string) (string, error) {
	path := localPath(location)
	if location == "" || strings.HasPrefix(path, t.root+"/") {
		return "", nil
	}
	here := filepath.Join(t.dir(name), "metadata")
	tail := filepath.Join("/", name.Workspace, name.Name, "metadata", filepath.Base(path))
	old := strings.TrimSuffix(path, tail)
	if old == path || within(old, t.root) || within(t.root, old) {
		return "", fault.New(fault.Conflict, "lake.Open", "%s names a table outside the lake: %s", name, path).
			WithHint("restore the lake from a backup")
	}
	if sameFolder(filepath.Dir(path), here) { // reached by another name of the same folder
		return "", nil
	}
	if _, err := os.Stat(filepath.Join(here, filepath.Base(path))); err != nil {
		return "", fault.New(fault.Corrupt, "lake.Open", "%s was moved here from %s without its metadata: %w", name, old, err).
			WithHint("copy the whole state directory, or restore a backup")
	}
	return old, nil
}

func within(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

func sameFolder(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// moveHere rewrites the metadata of a table whose warehouse was at old, and returns its new metadata file.
func (s *Store) moveHere(ctx context.Context, name ref.Name, old, location string) (string, error) {
	m := mover{old: old, new: s.tables.root, lengths: map[string]int64{}}
	if err := m.rewrite(filepath.Join(s.tables.dir(name), "metadata")); err != nil {
		return "", fault.New(fault.KindOf(err), "lake.Open", "%s was moved here from %s, but its metadata cannot be rewritten: %w", name, old, err)
	}
	s.hook("metadata-moved")
	now, _ := m.path(location)
	err := inTx(ctx, s.catalog, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update iceberg_tables set metadata_location = ?, previous_metadata_location = null
			where catalog_name = ? and table_namespace = ? and table_name = ?`, now, CatalogName, name.Workspace, ref.Table(name.Name))
		return err
	})
	if err != nil {
		return "", err
	}
	s.hook("catalog-moved")
	known, err := s.knownLocation(ctx, name)
	if err == nil && known == location { // its rows are complete, so they still are
		err = s.noteLocation(ctx, name, now)
	}
	return now, err
}

// mover replaces one folder's path by another's in the files of one table.
type mover struct {
	old, new string
	lengths  map[string]int64 // of rewritten manifests, by new location
}

// path is the location after the move, and whether it changed.
func (m mover) path(location string) (string, bool) {
	path := localPath(location)
	if !strings.HasPrefix(location, "file://") || !strings.HasPrefix(path, m.old+"/") {
		return location, false
	}
	return "file://" + m.new + strings.TrimPrefix(path, m.old), true
}

// rewrite goes from what is named to what names it: manifests, lists of manifests with their lengths, then metadata.
func (m mover) rewrite(dir string) error {
	for _, kind := range []struct {
		pattern string
		change  func([]byte) ([]byte, error)
	}{{"*-m*.avro", m.container}, {"snap-*.avro", m.container}, {"*.metadata.json", m.document}} {
		files, err := filepath.Glob(filepath.Join(dir, kind.pattern)) // the pattern is well formed
		if err != nil {
			return err
		}
		for _, file := range files {
			if strings.HasPrefix(filepath.Base(file), "snap-") != strings.HasPrefix(kind.pattern, "snap-") {
				continue
			}
			if err := m.file(file, kind.change); err != nil {
				return err
			}
		}
	}
	return syncDir(dir)
}

func (m mover) file(path string, change func([]byte) ([]byte, error)) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil {
		return fault.New(fault.Corrupt, "lake.Open", "%s: %w", path, err)
	}
	m.lengths["file://"+path] = int64(len(after))
	if bytes.Equal(before, after) {
		return nil
	}
	part := path + ".moved"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	_, err = f.Write(after)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// document rewrites a table's metadata; one that names nothing of the old path stays as it is, byte by byte.
func (m mover) document(content []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	value, changed := m.value(value)
	if !changed {
		return content, nil
	}
	return json.Marshal(value)
}

// container rewrites an Avro file under its own schema and header.
func (m mover) container(content []byte) ([]byte, error) {
	reader, err := ocf.NewReader(bytes.NewReader(content), ocf.WithMaxDecompressedBlockBytes(maxManifest), ocf.WithMaxBlockBytes(maxManifest))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	header := reader.Metadata()
	text := string(header["avro.schema"])
	schema, err := avro.Parse(text)
	if err != nil {
		return nil, err
	}
	facts := map[string][]byte{}
	for key, value := range header {
		if !strings.HasPrefix(key, "avro.") {
			facts[key] = value
		}
	}
	var out bytes.Buffer
	writer, err := ocf.NewWriter(&out, schema, ocf.WithSchema(text), ocf.WithMetadata(facts), ocf.WithCodec(ocf.DeflateCodec(-1)))
	if err != nil {
		return nil, err
	}
	for changed := false; ; {
		var record any
		err := reader.Decode(&record)
		if errors.Is(err, io.EOF) && !changed {
			return content, nil
		} else if errors.Is(err, io.EOF) {
			err = writer.Close()
			return out.Bytes(), err
		} else if err != nil {
			return nil, err
		}
		record, moved := m.value(record)
		if err := writer.Encode(m.measured(record)); err != nil {
			return nil, err
		}
		changed = changed || moved
	}
}

// measured gives an entry of a list of manifests the length that its manifest has now.
func (m mover) measured(record any) any {
	if entry, ok := record.(map[string]any); ok {
		path, _ := entry["manifest_path"].(string)
		if n, known := m.lengths[path]; known {
			entry["manifest_length"] = n
		}
	}
	return record
}

// value replaces every location in a decoded JSON or Avro value, in place.
func (m mover) value(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case string:
		return m.path(v)
	case map[string]any:
		for key, inner := range v {
			after, moved := m.value(inner)
			v[key], changed = after, changed || moved
		}
	case []any:
		for i, inner := range v {
			after, moved := m.value(inner)
			v[i], changed = after, changed || moved
		}
	}
	return v, changed
}
