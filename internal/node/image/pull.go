// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"fathom.dev/fathom/internal/fault"
)

// Media types of Docker, which mean the same as the specification's.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	maxDocument    = 8 << 20 // bytes of a manifest, an index or a configuration
)

// source is where manifests and blobs are read.
type source interface {
	content.Fetcher
	content.Resolver
}

// open finds the source of an image.
func (s *Store) open(ctx context.Context, n name, c Credential) (source, error) {
	if n.layout != "" {
		return openLayout(filepath.Join(s.Layouts, filepath.FromSlash(n.layout)))
	}
	repository, err := remote.NewRepository(s.Registry + "/" + n.repository)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "image "+n.where(), err)
	}
	client := &auth.Client{Client: s.Client}
	if c != (Credential{}) {
		client.Client = withoutCertificate(s.Client)
		client.Credential = auth.StaticCredential(s.Registry, auth.Credential{Username: c.User, Password: c.Password})
	}
	repository.Client = client
	repository.PlainHTTP = s.Client.Transport == nil // a test's server; ours is never without TLS
	return repository, nil
}

// withoutCertificate is a client that does not show who the node is: a pod's own credential counts, or nothing.
func withoutCertificate(c *http.Client) *http.Client {
	transport, ok := c.Transport.(*http.Transport)
	if !ok || transport.TLSClientConfig == nil {
		return c
	}
	own := transport.Clone()
	own.TLSClientConfig.Certificates, own.TLSClientConfig.GetClientCertificate = nil, nil
	return &http.Client{Transport: own, Timeout: c.Timeout}
}

// pull resolves the name and unpacks the image unless it is here already.
func (s *Store) pull(ctx context.Context, n name, c Credential) (Image, error) {
	from, err := s.open(ctx, n, c)
	if err != nil {
		return Image{}, err
	}
	found, err := from.Resolve(ctx, n.reference)
	if err != nil {
		return Image{}, s.explained(n, err)
	}
	manifest, d, err := s.manifest(ctx, from, n, found, 0)
	if err != nil {
		return Image{}, err
	}
	image, here := s.load(n, d)
	if !here {
		if err := s.unpack(ctx, from, n, manifest, d); err != nil {
			return Image{}, err
		}
		if image, here = s.load(n, d); !here {
			return Image{}, fault.New(fault.Internal, "image", "%s was unpacked and is not there", n)
		}
	}
	return image, fault.Wrap(fault.Unavailable, "image", s.remember(n, d))
}

// manifest reads the manifest for this platform, through indexes.
func (s *Store) manifest(ctx context.Context, from source, n name, d v1.Descriptor, depth int) (v1.Manifest, digest.Digest, error) {
	body, err := s.document(ctx, from, n, d)
	if err != nil {
		return v1.Manifest{}, "", err
	}
	var both struct {
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &both); err != nil {
		return v1.Manifest{}, "", s.malformed(n, "its manifest is no JSON: %v", err)
	}
	switch d.MediaType {
	case v1.MediaTypeImageManifest, dockerManifest:
		if len(both.Manifests) > 0 {
			return v1.Manifest{}, "", s.malformed(n, "its manifest is also an index")
		}
		return both.Manifest, d.Digest, nil
	case v1.MediaTypeImageIndex, dockerList:
		if len(both.Layers) > 0 || depth > 3 {
			return v1.Manifest{}, "", s.malformed(n, "its index is also a manifest, or nested too deep")
		}
	default:
		return v1.Manifest{}, "", s.malformed(n, "it is a %q, not an image", d.MediaType)
	}
	for _, entry := range both.Manifests {
		if p := entry.Platform; p == nil || p.OS == "linux" && p.Architecture == runtime.GOARCH {
			return s.manifest(ctx, from, n, entry, depth+1)
		}
	}
	return v1.Manifest{}, "", s.malformed(n, "it has nothing for linux/%s", runtime.GOARCH)
}

func (s *Store) malformed(n name, format string, args ...any) error {
	return fault.New(fault.Invalid, "image "+n.String(), format, args...)
}

// document reads a small blob whole, verified.
func (s *Store) document(ctx context.Context, from source, n name, d v1.Descriptor) ([]byte, error) {
	if d.Size > maxDocument {
		return nil, s.malformed(n, "%s has %d bytes; at most %d are read", d.MediaType, d.Size, maxDocument)
	}
	body, err := content.FetchAll(ctx, from, d)
	return body, s.explained(n, err)
}

// explained gives errors of a source a kind, and says what to do.
func (s *Store) explained(n name, err error) error {
	if err == nil {
		return nil
	}
	op := "image " + n.String()
	var told *errcode.ErrorResponse
	status := 0
	if errors.As(err, &told) {
		status = told.StatusCode
	}
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, errdef.ErrNotFound), errors.Is(err, fs.ErrNotExist), status == http.StatusNotFound:
		if n.layout != "" {
			return fault.New(fault.NotFound, op, "the layout in %s has no such image", s.Layouts)
		}
		return fault.New(fault.NotFound, op, "there is no such image").WithHint("see what there is with `crane ls %s/%s`, or push it", s.Registry, n.repository)
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return fault.New(fault.Forbidden, op, "the registry refuses: %v", err).WithHint("check the pod's imagePullSecrets")
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrInvalidDescriptorSize), errors.Is(err, content.ErrTrailingData):
		return fault.New(fault.Corrupt, op, "the registry gave other bytes than were asked for: %v", err)
	}
	return fault.New(fault.Unavailable, op, "%v", err)
}

// layer reads a layer, verified at its end.
type layer struct {
	io.Closer
	*content.VerifyReader
}

func (s *Store) layer(ctx context.Context, from source, n name, d v1.Descriptor) (*layer, error) {
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return nil, s.explained(n, err)
	}
	return &layer{r, content.NewVerifyReader(r, d)}, nil
}
