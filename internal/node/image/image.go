// SPDX-License-Identifier: Apache-2.0

// Package image brings OCI images onto the local node: from Fathom's own registry, and from OCI layouts in a folder. Nothing
// else is contacted, whatever a pod names.
//
// Each image lies unpacked under the digest of its manifest, whole or not at all: every layer is checked against the digests
// of its manifest and of its configuration, nothing of it can be written outside of its folder, and how much it may hold is
// bounded. Containers see it through an overlay and cannot change it.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"fathom.dev/fathom/internal/fault"
)

// Host is the name under which images of Fathom's own registry can be named on every machine.
const Host = "registry.fathom"

// Options configures [Open]. Dir is required.
type Options struct {
	Dir     string // holds what was unpacked
	Layouts string // holds OCI layouts by name; "" for none
	// Registry is where Fathom's registry listens, host:port; "" for none. Names are others under which pods may name it.
	Registry string
	Names    []string
	// Client carries the node's credential to the registry.
	Client *http.Client
	// MaxBytes and MaxFiles bound an unpacked image. Defaults: 32 GiB, 1,000,000.
	MaxBytes int64
	MaxFiles int
	Logger   *slog.Logger
	Now      func() time.Time
}

// Store keeps unpacked images. Its methods may be called concurrently.
type Store struct {
	Options
	flight singleflight.Group
	mu     sync.Mutex // of giving an unpacked image its place
}

// Image is an unpacked one.
type Image struct {
	ID     string         // where it came from, with the digest of its manifest
	Digest digest.Digest  // of the manifest of this platform
	Root   string         // the folder that is to be seen as "/"; it must not be changed
	Config v1.ImageConfig // command, environment, user, working directory
}

// Policy says when the registry is asked.
type Policy string

// The policies of Kubernetes.
const (
	Always       Policy = "Always"
	IfNotPresent Policy = "IfNotPresent"
	Never        Policy = "Never"
)

// Request names an image for a pod.
type Request struct {
	Image     string
	Namespace string // of the pod: without credentials it sees its own workspace's images only
	Policy    Policy
	// Credentials of the pod's pull secrets by host; may be nil.
	Credentials map[string]Credential
}

// Credential is a user and a password, or token, for a registry.
type Credential struct{ User, Password string }

// NeverError: the policy forbids to pull, and the image is not here.
type NeverError struct{ Image string }

func (e *NeverError) Error() string {
	return "image " + strconv.Quote(e.Image) + " is not on this node, and its pull policy is Never"
}

// Open makes the store and removes what an interrupted pull left.
func Open(o Options) (*Store, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 32 << 30
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 1_000_000
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "names"), 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "images", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "images", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := os.RemoveAll(filepath.Join(o.Dir, e.Name())); err != nil {
				return nil, fault.Wrap(fault.Unavailable, "images", err)
			}
		}
	}
	return &Store{Options: o}, nil
}

// Get returns the image, pulled if the policy wants it or it is not here. Errors: Invalid (the name, or an image that must
// not be unpacked), NotFound, Forbidden, Unauthenticated, Unavailable, *NeverError.
func (s *Store) Get(ctx context.Context, r Request) (Image, error) {
	n, err := s.parse(r.Image)
	if err != nil {
		return Image{}, err
	}
	credential, own := s.credential(n, r.Credentials)
	if n.layout == "" && own && n.workspace() != r.Namespace {
		return Image{}, fault.New(fault.Forbidden, "image", "%s belongs to workspace %s, and the pod is in %s", r.Image, n.workspace(), r.Namespace).
			WithHint("copy it into %s, or give the pod an imagePullSecret that may read it", r.Namespace)
	}
	if r.Policy != Always && (own || n.layout != "") { // other people's images are asked for each time: the right may be gone
		if image, found := s.known(n); found {
			return image, nil
		}
	}
	if r.Policy == Never {
		return Image{}, &NeverError{r.Image}
	}
	// Pods that want the same image at the same time wait for one pull.
	key := n.String() + "\x00" + credential.User + "\x00" + credential.Password
	done := s.flight.DoChan(key, func() (any, error) { return s.pull(context.WithoutCancel(ctx), n, credential) })
	select {
	case <-ctx.Done():
		return Image{}, fault.Wrap(fault.Unavailable, "image", ctx.Err())
	case result := <-done:
		if result.Err != nil {
			return Image{}, result.Err
		}
		return result.Val.(Image), nil
	}
}

// kept is what is remembered beside an unpacked image.
type kept struct {
	Config v1.ImageConfig `json:"config"`
}

const (
	unfinished = "pulling-"
	recordName = "image.json"
	rootName   = "root"
)

func (s *Store) dir(d digest.Digest) string {
	return filepath.Join(s.Dir, string(d.Algorithm())+"-"+d.Encoded())
}

// load reads an unpacked image; false when it is not here.
func (s *Store) load(n name, d digest.Digest) (Image, bool) {
	text, err := os.ReadFile(filepath.Join(s.dir(d), recordName))
	if err != nil {
		return Image{}, false
	}
	var k kept
	if json.Unmarshal(text, &k) != nil {
		return Image{}, false
	}
	now := s.Now()
	_ = os.Chtimes(s.dir(d), now, now) // when it was last wanted
	return Image{ID: n.withDigest(d), Digest: d, Root: filepath.Join(s.dir(d), rootName), Config: k.Config}, true
}

// known finds an image without asking anybody: by its digest, or by what its name meant when it was pulled last.
func (s *Store) known(n name) (Image, bool) {
	text, err := os.ReadFile(s.nameFile(n))
	if err != nil {
		return Image{}, false
	}
	d, err := digest.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return Image{}, false
	}
	return s.load(n, d)
}

func (s *Store) nameFile(n name) string {
	return filepath.Join(s.Dir, "names", digest.FromString(n.String()).Encoded())
}

// remember keeps what a name means now.
func (s *Store) remember(n name, d digest.Digest) error {
	f, err := os.CreateTemp(s.Dir, unfinished+"name-")
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, string(d)+"\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.nameFile(n))
	}
	return err
}

// Sweep removes images that nobody has wanted for so long, except those in use by their Root.
func (s *Store) Sweep(unwanted time.Duration, inUse map[string]bool) error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "images", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(s.Dir, e.Name())
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || e.Name() == "names" || strings.HasPrefix(e.Name(), unfinished) || inUse[filepath.Join(dir, rootName)] {
			continue
		}
		if err == nil && s.Now().Sub(info.ModTime()) > unwanted {
			gone := filepath.Join(s.Dir, unfinished+e.Name()) // never half there
			if err = os.Rename(dir, gone); err == nil {
				err = os.RemoveAll(gone)
			}
		}
		errs = append(errs, err)
	}
	return fault.Wrap(fault.Unavailable, "images", errors.Join(errs...))
}
