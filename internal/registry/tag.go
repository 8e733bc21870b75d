// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Kept is a manifest as the registry keeps it.
type Kept struct {
	Digest       digest.Digest
	MediaType    string
	ArtifactType string
	Size         int64
	Annotations  map[string]string
	Content      ref.Digest // the blob of the lake
}

// Resolve finds a manifest by tag or digest; NotFound.
func (s *Store) Resolve(ctx context.Context, r Repository, by Reference) (Kept, error) {
	wanted := string(by.Digest)
	if by.Tag != "" {
		err := s.db.QueryRowContext(ctx, "select digest from tags where workspace = ? and name = ? and tag = ?", r.Workspace, r.Name, by.Tag).Scan(&wanted)
		if err != nil {
			return Kept{}, missing(err, "%s has no tag %s", r, by.Tag)
		}
	}
	row := s.db.QueryRowContext(ctx, "select "+keptColumns+" from manifests where workspace = ? and name = ? and digest = ?", r.Workspace, r.Name, wanted)
	k, err := scanKept(row.Scan)
	return k, missing(err, "%s has no manifest %s", r, by)
}

const keptColumns = "digest, media_type, artifact_type, size, annotations, content"

func scanKept(scan func(...any) error) (Kept, error) {
	var k Kept
	var annotations string
	if err := scan(&k.Digest, &k.MediaType, &k.ArtifactType, &k.Size, &annotations, &k.Content); err != nil {
		return Kept{}, err
	}
	if annotations == "" {
		return k, nil
	}
	return k, json.Unmarshal([]byte(annotations), &k.Annotations)
}

// Read returns the bytes of a manifest, verified: Corrupt when they are damaged.
func (s *Store) Read(ctx context.Context, k Kept) ([]byte, error) {
	f, size, err := s.Blobs.OpenBlob(ctx, k.Content)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > MaxManifest {
		return nil, fault.New(fault.Corrupt, "registry", "manifest %s has %d bytes", k.Digest, size)
	}
	body, err := io.ReadAll(f)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "registry", err)
	}
	if k.Digest.Algorithm().FromBytes(body) != k.Digest {
		return nil, fault.New(fault.Corrupt, "registry", "manifest %s does not match its digest", k.Digest).WithHint("push it again, or restore it from a backup")
	}
	return body, nil
}

// PutManifest keeps a manifest under its digest and, if tag is not empty, lets the tag name it. overwrite is asked, with what the
// tag names now, before a tag moves from one manifest to another; its error is returned. MissingError: parts that are not here.
func (s *Store) PutManifest(ctx context.Context, r Repository, m Manifest, body []byte, d digest.Digest, tag string, overwrite func(digest.Digest) error) error {
	if left, err := s.room(ctx, r.Workspace); err != nil && !r.Kept() {
		return err
	} else if int64(len(body)) > left && !r.Kept() {
		return fault.New(fault.TooLarge, "registry", "workspace %s may store nothing more", r.Workspace).WithHint("delete images, or raise spec.quota.storage")
	}
	if d.Algorithm().FromBytes(body) != d {
		return fault.New(fault.Invalid, "digest", "the manifest is %s, not %s", d.Algorithm().FromBytes(body), d)
	}
	annotations, err := json.Marshal(m.Annotations)
	if err != nil {
		return fault.Wrap(fault.Invalid, "manifest", err)
	}
	for { // until no tag moved between asking and writing
		was, err := s.tagged(ctx, r, tag)
		if err != nil {
			return err
		}
		if was != "" && was != d {
			if err := overwrite(was); err != nil {
				return err
			}
		}
		content, size, err := s.Blobs.PutBlob(ctx, bytes.NewReader(body), ref.DigestOf(body)) // again each time: a new blob is never swept
		if err != nil {
			return err
		}
		kept := Kept{Digest: d, MediaType: m.MediaType, ArtifactType: m.ArtifactType, Size: size, Content: content}
		err = s.inTx(ctx, func(tx *sql.Tx) error { return s.writeManifest(ctx, tx, r, m, kept, annotations, tag, was) })
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

var errMoved = &fault.Error{Kind: fault.Conflict, Op: "registry", Err: errors.New("the tag moved meanwhile")}

// tagged is what a tag names; "" for nothing.
func (s *Store) tagged(ctx context.Context, r Repository, tag string) (digest.Digest, error) {
	var d digest.Digest
	err := s.db.QueryRowContext(ctx, "select digest from tags where workspace = ? and name = ? and tag = ?", r.Workspace, r.Name, tag).Scan(&d)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return d, sqlFault(err)
}

// MissingError names a part of a manifest that the repository does not hold.
type MissingError struct {
	Digest   digest.Digest
	Manifest bool // else a blob
}

func (e *MissingError) Error() string {
	if e.Manifest {
		return "the repository holds no manifest " + string(e.Digest) + "; push it first"
	}
	return "the repository holds no blob " + string(e.Digest) + "; push it first"
}

// Unwrap gives the error its kind.
func (e *MissingError) Unwrap() error { return &fault.Error{Kind: fault.NotFound, Op: "registry"} }

func (s *Store) writeManifest(ctx context.Context, tx *sql.Tx, r Repository, m Manifest, k Kept, annotations []byte, tag string, was digest.Digest) error {
	for _, d := range m.Blobs {
		if err := present(ctx, tx, "blobs", r, d); err != nil {
			return err
		}
	}
	for _, d := range m.Manifests {
		if err := present(ctx, tx, "manifests", r, d); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `insert into manifests (workspace, name, digest, content, size, media_type, artifact_type, subject, annotations, pushed)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`, r.Workspace, r.Name, string(k.Digest), string(k.Content), k.Size,
		k.MediaType, k.ArtifactType, string(m.Subject), string(annotations), s.millis()); err != nil {
		return err
	}
	for _, d := range append(append([]digest.Digest(nil), m.Blobs...), m.Manifests...) {
		if _, err := tx.ExecContext(ctx, `insert into parts (workspace, name, manifest, digest) values (?, ?, ?, ?) on conflict do nothing`,
			r.Workspace, r.Name, string(k.Digest), string(d)); err != nil {
			return err
		}
	}
	if tag == "" {
		return nil
	}
	result, err := tx.ExecContext(ctx, `insert into tags (workspace, name, tag, digest, updated) values (?, ?, ?, ?, ?)
		on conflict do update set digest = excluded.digest, updated = excluded.updated where digest = ?`,
		r.Workspace, r.Name, tag, string(k.Digest), s.millis(), string(was))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errMoved)
	}
	return nil
}

func present(ctx context.Context, tx *sql.Tx, table string, r Repository, d digest.Digest) error {
	var one int
	err := tx.QueryRowContext(ctx, "select 1 from "+table+" where workspace = ? and name = ? and digest = ?", r.Workspace, r.Name, string(d)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return &MissingError{Digest: d, Manifest: table == "manifests"}
	}
	return err
}

// Delete takes a tag from the repository, or a manifest with all its tags; NotFound.
func (s *Store) Delete(ctx context.Context, r Repository, by Reference) error {
	query, value := "delete from manifests where workspace = ? and name = ? and digest = ?", string(by.Digest)
	if by.Tag != "" {
		query, value = "delete from tags where workspace = ? and name = ? and tag = ?", by.Tag
	}
	result, err := s.db.ExecContext(ctx, query, r.Workspace, r.Name, value)
	if err != nil {
		return sqlFault(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return missing(sql.ErrNoRows, "%s has no %s", r, by)
	}
	return nil
}
