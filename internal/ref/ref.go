// SPDX-License-Identifier: Apache-2.0

// Package ref parses names, digests and locations once, into types that cannot be malformed.
package ref

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

var (
	labelPattern  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// Name is an object in a workspace, written "workspace/name".
type Name struct{ Workspace, Name string }

// String is "workspace/name".
func (n Name) String() string { return n.Workspace + "/" + n.Name }

// ParseName reads "workspace/name", or "name" with the given default workspace. Both parts are DNS-1123 labels.
func ParseName(s, defaultWorkspace string) (Name, error) {
	ws, name, found := strings.Cut(s, "/")
	if !found {
		ws, name = defaultWorkspace, s
	}
	n := Name{Workspace: ws, Name: name}
	if err := n.Validate(); err != nil {
		return Name{}, err
	}
	return n, nil
}

// Validate reports a part that is not a DNS-1123 label as Invalid.
func (n Name) Validate() error {
	for _, part := range []string{n.Workspace, n.Name} {
		if !labelPattern.MatchString(part) {
			return fault.New(fault.Invalid, "name", "%q is not a name: use lower-case letters, digits and '-', at most 63", part)
		}
	}
	return nil
}

// IsLabel reports whether s is a DNS-1123 label: what workspaces and datasets are called.
func IsLabel(s string) bool { return labelPattern.MatchString(s) }

// Table is the SQL name of a dataset: '-' becomes '_'.
func Table(dataset string) string { return strings.ReplaceAll(dataset, "-", "_") }

// Digest is a content address, "sha256:" and 64 hex digits.
type Digest string

// ParseDigest accepts only "sha256:<64 lower-case hex digits>".
func ParseDigest(s string) (Digest, error) {
	if !digestPattern.MatchString(s) {
		return "", fault.New(fault.Invalid, "digest", "%q is not a digest of the form sha256:<64 hex digits>", s)
	}
	return Digest(s), nil
}

// Hex is the digest without its algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Short is the first 12 hex digits, for people.
func (d Digest) Short() string {
	h := d.Hex()
	if len(h) > 12 {
		h = h[:12]
	}
	return h
}

// DigestOf hashes bytes.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// DigestFrom hashes all of r and returns the digest and the number of bytes.
func DigestFrom(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", n, err
	}
	return Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), n, nil
}

// RelPath checks a slash-separated path that must stay inside its root: relative, clean, no "..", no backslash, no
// NUL, no empty part. It returns the path unchanged or Invalid.
func RelPath(p string) (string, error) {
	bad := p == "" || p == "." || path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "../") || p == ".." ||
		strings.ContainsAny(p, "\\\x00")
	if bad {
		return "", fault.New(fault.Invalid, "path", "%s is not a relative path inside its folder", quote(p))
	}
	return p, nil
}

func quote(p string) string {
	if len(p) > 80 {
		p = p[:80] + "…"
	}
	return fmt.Sprintf("%q", p)
}
