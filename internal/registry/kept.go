// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Repositories that Fathom itself keeps, in every workspace. People pull from them, and may attach referrers (signatures, bills
// of material) to what is there, but tag and delete nothing else.
const (
	Bundles      = "bundles"      // code, by the digest of its tar
	Environments = "environments" // requirements with the lock, by the digest of the environment
	Models       = "models/"      // and the model's name: v1, v2 …, production
)

// Artifact types of what Fathom keeps.
const (
	TypeBundle      = "application/vnd.fathom.code.v1"
	TypeEnvironment = "application/vnd.fathom.environment.v1"
	TypeModel       = "application/vnd.fathom.model.v1"
)

// Kept tells whether Fathom itself keeps the repository.
func (r Repository) Kept() bool {
	return r.Name == Bundles || r.Name == Environments || strings.HasPrefix(r.Name, Models)
}

// Part is a blob of the lake in an artifact.
type Part struct {
	Name      string // of the file that clients write
	MediaType string
	Digest    ref.Digest
	Size      int64 // bytes
}

// Artifact is something that the lake has, to be seen as an OCI artifact. Nothing is copied.
type Artifact struct {
	Repository  Repository
	Type        string
	Tag         string
	Parts       []Part
	Annotations map[string]string // the same each time: they are part of the manifest's digest
}

// Keep makes the artifact's manifest and lets its tag name it. It may be repeated.
func (s *Store) Keep(ctx context.Context, a Artifact) error {
	empty := v1.DescriptorEmptyJSON
	content, size, err := s.Blobs.PutBlob(ctx, strings.NewReader(string(empty.Data)), ref.Digest(empty.Digest))
	if err == nil {
		err = s.link(ctx, a.Repository, empty.Digest, content, size)
	}
	if err != nil {
		return err
	}
	empty.Data = nil
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: a.Type,
		Config: empty, Annotations: a.Annotations, Layers: []v1.Descriptor{}}
	for _, p := range a.Parts {
		if err := s.link(ctx, a.Repository, digest.Digest(p.Digest), p.Digest, p.Size); err != nil {
			return err
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: p.MediaType, Digest: digest.Digest(p.Digest), Size: p.Size,
			Annotations: map[string]string{v1.AnnotationTitle: p.Name}})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(fault.Internal, "registry", err)
	}
	parsed, err := ParseManifest(body, m.MediaType)
	if err != nil {
		return err
	}
	return s.PutManifest(ctx, a.Repository, parsed, body, digest.FromBytes(body), a.Tag, func(digest.Digest) error { return nil })
}

// Move lets a tag name what another one names; NotFound.
func (s *Store) Move(ctx context.Context, r Repository, tag, as string) error {
	k, err := s.Resolve(ctx, r, Reference{Tag: as})
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `insert into tags (workspace, name, tag, digest, updated) values (?, ?, ?, ?, ?)
		on conflict do update set digest = excluded.digest, updated = excluded.updated where digest <> excluded.digest`,
		r.Workspace, r.Name, tag, string(k.Digest), s.millis())
	return sqlFault(err)
}

// refers tells whether a kept manifest refers to a subject.
func (s *Store) refers(ctx context.Context, r Repository, d digest.Digest) (bool, error) {
	var subject string
	err := s.db.QueryRowContext(ctx, "select subject from manifests where workspace = ? and name = ? and digest = ?", r.Workspace, r.Name, string(d)).Scan(&subject)
	return subject != "", missing(err, "%s has no manifest %s", r, d)
}

// MayPut is Forbidden for what people may not push to a repository that Fathom keeps: anything but referrers, by digest or under
// the tag that names their subject for clients without the referrers API ("sha256-…").
func (r Repository) MayPut(m Manifest, by Reference) error {
	if !r.Kept() || m.Subject != "" && by.Tag == "" || strings.HasPrefix(by.Tag, "sha256-") {
		return nil
	}
	return fault.New(fault.Forbidden, "registry", "Fathom itself keeps %s", r).
		WithHint("push to another repository; here only what refers to a subject, such as a signature, is taken")
}

// MayDelete is Forbidden for what people may not delete from a repository that Fathom keeps.
func (s *Store) MayDelete(ctx context.Context, r Repository, by Reference) error {
	if !r.Kept() || strings.HasPrefix(by.Tag, "sha256-") {
		return nil
	}
	if by.Tag == "" {
		if own, err := s.refers(ctx, r, by.Digest); own || err != nil {
			return err
		}
	}
	return fault.New(fault.Forbidden, "registry", "Fathom itself keeps %s", r).WithHint("delete the object that it belongs to instead")
}
