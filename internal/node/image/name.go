// SPDX-License-Identifier: Apache-2.0

package image

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// name is where an image is: in a layout, or in Fathom's registry.
type name struct {
	layout     string // folder of the layout; "" for the registry
	host       string // as the pod says it
	repository string // in the registry: <workspace>/<name...>
	reference  string // a tag or a digest
}

func (n name) workspace() string {
	workspace, _, _ := strings.Cut(n.repository, "/")
	return workspace
}

func (n name) where() string {
	if n.layout != "" {
		return "oci:" + n.layout
	}
	return Host + "/" + n.repository
}

// String is the same for the same image, however the registry is called.
func (n name) String() string {
	if _, err := digest.Parse(n.reference); err == nil {
		return n.where() + "@" + n.reference
	}
	return n.where() + ":" + n.reference
}

func (n name) withDigest(d digest.Digest) string { return n.where() + "@" + string(d) }

// parse reads what a pod calls an image: oci:LAYOUT[:TAG] or HOST/WORKSPACE/NAME[:TAG][@DIGEST]; without either the tag is latest.
func (s *Store) parse(text string) (name, error) {
	if layout, ok := strings.CutPrefix(text, "oci:"); ok {
		return s.parseLayout(text, layout)
	}
	parsed, err := registry.ParseReference(text)
	if err != nil || !slices.Contains(append([]string{Host, s.Registry}, s.Names...), parsed.Registry) || s.Registry == "" {
		return name{}, s.foreign(text)
	}
	if !strings.Contains(parsed.Repository, "/") {
		return name{}, fault.New(fault.Invalid, "image", "%q names no workspace", text).WithHint("use %s/WORKSPACE/NAME:TAG", Host)
	}
	if parsed.Reference == "" {
		parsed.Reference = "latest"
	}
	return name{host: parsed.Registry, repository: parsed.Repository, reference: parsed.Reference}, nil
}

func (s *Store) foreign(text string) error {
	e := fault.New(fault.Invalid, "image", "%.200q is not an image that this node can have", text)
	if s.Registry == "" {
		return e.WithHint("use oci:NAME, the OCI layout of that name in %s, or host", s.Layouts)
	}
	return e.WithHint("copy it into Fathom's registry, for example with `crane copy %.100s %s/WORKSPACE/NAME:TAG`, and use %s/WORKSPACE/NAME:TAG", text, s.Registry, Host)
}

func (s *Store) parseLayout(text, rest string) (name, error) {
	n := name{reference: "latest"}
	var tagged bool
	if n.layout, n.reference, tagged = strings.Cut(rest, "@"); !tagged {
		if n.layout, n.reference, tagged = strings.Cut(rest, ":"); !tagged {
			n.reference = "latest"
		}
	}
	if _, err := ref.RelPath(n.layout); err != nil || n.reference == "" || strings.ContainsAny(n.reference, "/\\") {
		return name{}, fault.New(fault.Invalid, "image", "%.200q is no layout", text).WithHint("use oci:NAME:TAG or oci:NAME@DIGEST; NAME is a folder in %s", s.Layouts)
	}
	if s.Layouts == "" {
		return name{}, fault.New(fault.Invalid, "image", "%.200q: this node has no folder of layouts", text)
	}
	return n, nil
}

// credential is the pod's own for the registry, or the node's: then own is true.
func (s *Store) credential(n name, given map[string]Credential) (c Credential, own bool) {
	for _, host := range append([]string{n.host, Host, s.Registry}, s.Names...) {
		if c, found := given[host]; found {
			return c, false
		}
	}
	return Credential{}, true
}
