// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"net/url"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// MaxArtifactPath is the longest path of an artifact, in bytes.
const MaxArtifactPath = 2000

// maxListing is the most entries of a folder that one listing returns.
const maxListing = 10000

// Artifact is a named blob, or a folder of them.
type Artifact struct {
	Path   string // from the root of the workspace's artifacts, "/"-separated
	Folder bool
	Digest ref.Digest // empty for a folder
	Size   int64      // bytes
}

// ArtifactPath checks a path of artifacts as clients send it: relative, clean, without "..", backslash or NUL, also
// after decoding it again, and not a URI. Artifacts are rows in a table, so no path reaches a file system; the check is for the clients
// that will store the artifact under this name.
func ArtifactPath(path string) (string, error) {
	if len(path) > MaxArtifactPath {
		return "", invalid("The artifact path is longer than %d bytes", MaxArtifactPath)
	}
	decoded := path
	for range 4 {
		if _, err := ref.RelPath(decoded); err != nil || strings.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", invalid("Invalid artifact path: %q", clip(path))
		}
		again, err := url.PathUnescape(decoded)
		if err != nil || again == decoded {
			break
		}
		decoded = again
	}
	if scheme, _, found := strings.Cut(decoded, ":"); found && !strings.Contains(scheme, "/") {
		return "", invalid("Invalid artifact path: %q", clip(path))
	}
	return path, nil
}

// checkLocation accepts only a place below "mlflow-artifacts:/", or nothing.
func checkLocation(field, location string) error {
	if location == "" {
		return nil
	}
	path, found := strings.CutPrefix(location, artifactScheme+"/")
	if found {
		_, err := ArtifactPath(strings.TrimSuffix(path, "/"))
		found = err == nil && !strings.ContainsAny(path, "?#%")
	}
	if !found {
		return invalid("Invalid value %q for parameter '%s' supplied: artifacts are kept by this server; leave it empty, or name a place "+
			"below mlflow-artifacts:/", clip(location), field)
	}
	return nil
}

// PutArtifact gives a blob a name, replacing what had the name. The blob is in the lake already, and durable.
func (w *Workspace) PutArtifact(ctx context.Context, path string, digest ref.Digest, size int64) error {
	if _, err := ArtifactPath(path); err != nil {
		return err
	}
	return w.write(ctx, "tracking.PutArtifact", func(t *tx) error {
		_, err := t.exec("INSERT OR REPLACE INTO artifacts (workspace, path, digest, size, modified) VALUES (?, ?, ?, ?, ?)",
			w.id, path, string(digest), size, w.now())
		return err
	})
}

// PutArtifacts gives many blobs names below a folder, all or none: how a run's output, which is in the lake already,
// becomes its artifacts.
func (w *Workspace) PutArtifacts(ctx context.Context, folder string, files []Artifact) error {
	for _, file := range files {
		if _, err := ArtifactPath(folder + "/" + file.Path); err != nil {
			return err
		}
	}
	return w.write(ctx, "tracking.PutArtifacts", func(t *tx) error {
		for _, file := range files {
			_, err := t.exec("INSERT OR REPLACE INTO artifacts (workspace, path, digest, size, modified) VALUES (?, ?, ?, ?, ?)",
				w.id, folder+"/"+file.Path, string(file.Digest), file.Size, w.now())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Artifact finds a blob by name.
func (w *Workspace) Artifact(ctx context.Context, path string) (Artifact, error) {
	a := Artifact{Path: path}
	if _, err := ArtifactPath(path); err != nil {
		return a, err
	}
	err := w.read(ctx).row("SELECT digest, size FROM artifacts WHERE workspace = ? AND path = ?", w.id, path).Scan(&a.Digest, &a.Size)
	if err == sql.ErrNoRows {
		return a, notFound("No such artifact: '%s'", clip(path))
	}
	return a, storeError("tracking.Artifact", err)
}

// Artifacts lists what is directly in a folder ("": the root), sorted by name. A folder that does not exist is empty;
// naming an artifact lists that artifact. It costs one look-up an entry, however much lies below.
func (w *Workspace) Artifacts(ctx context.Context, folder string) ([]Artifact, error) {
	prefix := ""
	if folder != "" {
		if _, err := ArtifactPath(folder); err != nil {
			return nil, err
		}
		one, err := w.Artifact(ctx, folder)
		if err == nil {
			return []Artifact{one}, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		prefix = folder + "/"
	}
	r := w.read(ctx)
	var list []Artifact
	from := prefix
	for len(list) < maxListing {
		var a Artifact
		err := r.row("SELECT path, digest, size FROM artifacts WHERE workspace = ? AND path >= ? AND path > '' ORDER BY path LIMIT 1", w.id, from).
			Scan(&a.Path, &a.Digest, &a.Size)
		if err == sql.ErrNoRows || err == nil && !strings.HasPrefix(a.Path, prefix) {
			return list, nil
		}
		if err != nil {
			return nil, storeError("tracking.Artifacts", err)
		}
		name, _, deeper := strings.Cut(a.Path[len(prefix):], "/")
		if deeper {
			a = Artifact{Path: prefix + name, Folder: true}
			from = a.Path + "0" // '0' follows '/'
		} else {
			from = a.Path + "\x00"
		}
		list = append(list, a)
	}
	return nil, fault.New(fault.TooLarge, "", "The folder '%s' has more than %d entries", clip(folder), maxListing)
}

// DeleteArtifacts removes the name, or all names in the folder of that name; not the blobs. Deleting what does not
// exist is NotFound.
func (w *Workspace) DeleteArtifacts(ctx context.Context, path string) error {
	if _, err := ArtifactPath(path); err != nil {
		return err
	}
	return w.write(ctx, "tracking.DeleteArtifacts", func(t *tx) error {
		n, err := t.exec("DELETE FROM artifacts WHERE workspace = ? AND (path = ? OR path >= ? AND path < ?)",
			w.id, path, path+"/", path+"0")
		if err == nil && n == 0 {
			return notFound("No such artifact: '%s'", clip(path))
		}
		return err
	})
}

// Digests calls yield with each digest that an artifact of any workspace names, once each, until it returns false. The
// lake keeps these blobs.
func (s *Store) Digests(ctx context.Context, yield func(ref.Digest) bool) error {
	rows, err := s.pool.with(ctx).rows("SELECT DISTINCT digest FROM artifacts")
	if err != nil {
		return storeError("tracking.Digests", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d ref.Digest
		if err := rows.Scan(&d); err != nil {
			return storeError("tracking.Digests", err)
		}
		if !yield(d) {
			return nil
		}
	}
	return storeError("tracking.Digests", rows.Err())
}

// ArtifactRoot is the path of artifacts that a location "mlflow-artifacts:/…" means.
func ArtifactRoot(location string) (string, error) {
	path, found := strings.CutPrefix(location, artifactScheme+"/")
	if !found {
		return "", invalid("%q is not a location of artifacts here", clip(location))
	}
	return ArtifactPath(path)
}
