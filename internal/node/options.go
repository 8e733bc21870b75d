// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/image"
	"fathom.dev/fathom/internal/node/network"
)

// Forward makes a TCP service of the host's loopback reachable for pods.
type Forward = network.Forward

// Options of Start.
type Options struct {
	// Name of the Node object; required.
	Name string
	// Dir holds the node's state; required. Its path distinguishes several nodes on one machine.
	Dir string
	// RESTConfig carries the identity system:node:<Name>; required.
	RESTConfig *rest.Config
	// RuncPath is the runc program; needed for sandboxes.
	RuncPath string
	// KeepPath is the program fathom-keep, which keeps pods alive while Fathom starts again; without it they end with Fathom.
	KeepPath string
	// KeepPods lets pods go on when the node is stopped, for KeepAlive, so that the next start finds them.
	KeepPods bool
	// Isolation is "sandbox", "process" or "auto" (default): sandbox where it is permitted, otherwise process.
	Isolation string
	// EnvDir holds environments by the hex digits of their digest.
	EnvDir string
	// BinDir holds Fathom's programs, shown at /fathom/bin.
	BinDir string
	// Python is the interpreter of pods without environment; default: the python3 that PATH finds.
	Python string
	// HostForwards are made reachable for pods at HostAddress. The one named "kubernetes" is the Kubernetes API.
	HostForwards []Forward
	// ClientCA verifies the certificates of callers of the node's own API; default: the CA of RESTConfig.
	ClientCA *x509.CertPool
	// Callers are the names in certificates of those who may call the node's own API: that of the API server, whose
	// audit nobody should pass by. Empty: a SubjectAccessReview decides, as for a kubelet.
	Callers []string
	// ServingCert is that of the node's own API; default: a self-signed one.
	ServingCert func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Images says where images other than HostImage come from; its Dir is the node's. The zero value: from nowhere.
	Images image.Options
	// PodRemoved is called, if set, before the logs of a pod whose object was removed are deleted.
	PodRemoved func(pod *v1.Pod, logs []Log)
	// StopGrace bounds how long Stop lets pods end by themselves; default 5 s.
	StopGrace time.Duration
	Logger    *slog.Logger
	Now       func() time.Time
}

// Log is the log file of one attempt of a container, in the format of package logs.
type Log struct {
	Container string
	Attempt   int
	Path      string
}

func (o *Options) complete() error {
	switch {
	case o.Name == "" || o.Dir == "" || o.RESTConfig == nil:
		return fault.New(fault.Invalid, "node.Start", "Name, Dir and RESTConfig are required")
	case o.Isolation == "":
		o.Isolation = "auto"
	case o.Isolation != "auto" && o.Isolation != "sandbox" && o.Isolation != "process":
		return fault.New(fault.Invalid, "node.Start", "isolation %q is not auto, sandbox or process", o.Isolation)
	}
	for _, path := range []*string{&o.Dir, &o.EnvDir, &o.BinDir, &o.RuncPath, &o.KeepPath} {
		if *path != "" {
			abs, err := filepath.Abs(*path)
			if err != nil {
				return fault.Wrap(fault.Invalid, "node.Start", err)
			}
			*path = abs
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StopGrace == 0 {
		o.StopGrace = 5 * time.Second
	}
	return nil
}
