// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
)

// MaxManifest is the largest manifest, in bytes (distribution spec 1.1, "Pushing manifests").
const MaxManifest = 4 << 20

// maxParts bounds how many blobs or manifests one manifest may name.
const maxParts = 10_000

// Media types of Docker, which its clients still push.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	nonDistributed = "application/vnd.oci.image.layer.nondistributable.v1.tar"
)

// Manifest is what a registry must understand of a manifest.
type Manifest struct {
	MediaType    string
	ArtifactType string // for the referrers API: artifactType, else the config's media type
	Annotations  map[string]string
	Subject      digest.Digest   // what it refers to; "" for nothing
	Blobs        []digest.Digest // config and layers that must be here
	Manifests    []digest.Digest // entries of an index
}

// wire has the fields of image manifests and of indexes, to notice one that claims to be both.
type wire struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        *[]v1.Descriptor  `json:"layers"`
	Manifests     *[]v1.Descriptor  `json:"manifests"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
	Blobs         json.RawMessage   `json:"blobs"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// ParseManifest reads a manifest that a client pushes under a media type. Invalid: not JSON, of another kind than it was
// sent as, ambiguous (fields of an image and of an index, or keys twice: image-spec, CVE-2021-41190), a malformed descriptor.
func ParseManifest(body []byte, contentType string) (Manifest, error) {
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.TrimSpace(contentType)
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return Manifest{}, invalid("it is not JSON of a manifest: %v", err)
	}
	if err := keysOnce(body); err != nil {
		return Manifest{}, err
	}
	if w.MediaType != "" && w.MediaType != contentType {
		return Manifest{}, invalid("it says mediaType %q and was sent as %q", w.MediaType, contentType)
	}
	if w.SchemaVersion != 2 || w.FSLayers != nil || w.Blobs != nil {
		return Manifest{}, invalid("only schemaVersion 2 is kept")
	}
	m := Manifest{MediaType: contentType, ArtifactType: w.ArtifactType, Annotations: w.Annotations}
	var err error
	switch contentType {
	case v1.MediaTypeImageManifest, dockerManifest:
		err = m.image(w)
	case v1.MediaTypeImageIndex, dockerList:
		err = m.index(w)
	default:
		err = invalid("media type %q is not one of a manifest", contentType)
	}
	if err != nil || w.Subject == nil {
		return m, err
	}
	m.Subject, err = ParseDigest(string(w.Subject.Digest))
	return m, err
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "manifest", format, args...)
}

// keysOnce refuses an object whose top-level keys differ only in case or come twice: readers would see different manifests.
func keysOnce(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return invalid("it is not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return invalid("it is not JSON: %v", err)
		}
		key := strings.ToLower(t.(string)) // a key of an object is always a string
		if seen[key] {
			return invalid("the key %.40q comes twice", key)
		}
		seen[key] = true
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return invalid("it is not JSON: %v", err)
		}
	}
	return nil
}

func (m *Manifest) image(w wire) error {
	if w.Manifests != nil {
		return invalid("it has the fields of an image and of an index")
	}
	if w.Config == nil || w.Layers == nil {
		return invalid("an image manifest needs config and layers")
	}
	if m.ArtifactType == "" {
		m.ArtifactType = w.Config.MediaType
	}
	for _, d := range append([]v1.Descriptor{*w.Config}, *w.Layers...) {
		if strings.HasPrefix(d.MediaType, nonDistributed) || d.MediaType == dockerForeign {
			continue // lies elsewhere, by its definition
		}
		if err := add(&m.Blobs, d); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) index(w wire) error {
	if w.Config != nil || w.Layers != nil {
		return invalid("it has the fields of an index and of an image")
	}
	if w.Manifests == nil {
		return invalid("an index needs manifests")
	}
	for _, d := range *w.Manifests {
		if err := add(&m.Manifests, d); err != nil {
			return err
		}
	}
	return nil
}

func add(to *[]digest.Digest, d v1.Descriptor) error {
	parsed, err := ParseDigest(string(d.Digest))
	if err != nil {
		return err
	}
	if d.Size < 0 || d.MediaType == "" {
		return invalid("the descriptor of %s needs a media type and a size", parsed)
	}
	if len(*to) >= maxParts {
		return invalid("it names more than %d parts", maxParts)
	}
	*to = append(*to, parsed)
	return nil
}
