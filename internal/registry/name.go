// SPDX-License-Identifier: Apache-2.0

package registry

import (
	_ "crypto/sha256" // the algorithms that digests may name
	_ "crypto/sha512"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const maxName = 255 // distribution spec 1.1, "Pulling manifests": many clients limit names to this

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Repository is a name in a workspace: the pair is "<workspace>/<name...>" for clients.
type Repository struct{ Workspace, Name string }

// ParseRepository splits and checks "<workspace>/<name...>"; Invalid.
func ParseRepository(s string) (Repository, error) {
	workspace, name, _ := strings.Cut(s, "/")
	if len(s) > maxName || !ref.IsLabel(workspace) || !namePattern.MatchString(name) {
		return Repository{}, fault.New(fault.Invalid, "repository", "%.80q is no repository", s).
			WithHint("use WORKSPACE/NAME: lower-case letters, digits, '.', '_' and '-', at most %d characters", maxName)
	}
	return Repository{workspace, name}, nil
}

// String is the name that clients use.
func (r Repository) String() string { return r.Workspace + "/" + r.Name }

// Reference is a digest or a tag; exactly one of the fields is set.
type Reference struct {
	Digest digest.Digest
	Tag    string
}

// ParseReference tells a digest from a tag; Invalid when it is neither.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	if !tagPattern.MatchString(s) {
		return Reference{}, fault.New(fault.Invalid, "reference", "%.140q is neither a tag nor a digest", s)
	}
	return Reference{Tag: s}, nil
}

// String is the tag or the digest.
func (r Reference) String() string {
	if r.Tag != "" {
		return r.Tag
	}
	return string(r.Digest)
}

// ParseDigest accepts SHA-256 and SHA-512; Invalid.
func ParseDigest(s string) (digest.Digest, error) {
	d := digest.Digest(s)
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return "", fault.New(fault.Invalid, "digest", "%.140q is not a digest of the form sha256:<64 hex digits> or sha512:<128 hex digits>", s)
	}
	return d, nil
}
