// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

// Options configures a control plane. Only Dir is required.
type Options struct {
	// Dir is the state directory. It is created with mode 0700 when absent.
	Dir string
	// Port is the TCP port on 127.0.0.1. 0 takes the port of the last start when it is still free and a free
	// one otherwise.
	Port int
	// ExtraIPs and ExtraNames are put into the API server's certificate beside the loopback addresses, for
	// clients that reach it through a forwarder (pods on a bridge).
	ExtraIPs   []net.IP
	ExtraNames []string
	// ServiceCIDR is the range of Service addresses; default 10.96.0.0/16.
	ServiceCIDR string
	// NodeName is the name of the local node's identity; default the host's name in lower case.
	NodeName string
	// OwnerGroups are groups that the owner's certificate carries beside fathom:owners; default none.
	OwnerGroups []string
	// CertificateTTL is the life of every leaf certificate; default 24 h. They are renewed at half of it.
	CertificateTTL time.Duration
	// ComponentLog receives the log lines of the Kubernetes components and etcd; default the rotated file
	// logs/kubernetes.log in Dir.
	ComponentLog io.Writer
	// Logger receives the few lines that people may want to read; default none.
	Logger *slog.Logger
	// Now is the clock of certificates; default time.Now.
	Now func() time.Time
}

// ControlPlane is a running control plane. Its methods may be called from several goroutines.
type ControlPlane struct {
	opts      Options
	state     *state
	authority *pki.Authority
	issued    *issuedCertificates
	endpoint  string
	client    kubernetes.Interface
	parts     []part // in the order of starting
	failed    chan error
	renewer   part
}

// part is a running component: cancel asks it to end, done is closed when it has.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs the control plane and returns when the API answers, the built-in roles exist and the controllers are
// starting. ctx bounds the start only; [ControlPlane.Stop] ends the run.
//
// Errors by kind: Conflict: another process uses Dir; Unavailable: Port is taken, or a component did not become
// ready before ctx ended; Forbidden: Dir cannot be written; Corrupt: etcd's files or a key in pki/ are damaged or
// missing (nothing has been changed); Invalid: the options contradict each other.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	st, err := openState(opts.Dir)
	if err != nil {
		return nil, err
	}
	cp := &ControlPlane{opts: opts, state: st, failed: make(chan error, 4)}
	if err := cp.start(ctx); err != nil {
		_ = cp.Stop(context.WithoutCancel(ctx))
		return nil, err
	}
	return cp, nil
}

func (cp *ControlPlane) start(ctx context.Context) error {
	listener, err := cp.state.listen(cp.opts.Port)
	if err != nil {
		return err
	}
	cp.endpoint = "https://" + net.JoinHostPort(loopback, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	if err := cp.prepareIdentities(); err != nil {
		_ = listener.Close()
		return err
	}
	routeLogs(cp.opts.ComponentLog)
	if err := cp.startEtcd(ctx); err != nil {
		_ = listener.Close()
		return err
	}
	if err := cp.startAPIServer(ctx, listener); err != nil {
		return err
	}
	if err := cp.bootstrap(ctx); err != nil {
		return err
	}
	if err := cp.startControllers(); err != nil {
		return err
	}
	if err := cp.startScheduler(); err != nil {
		return err
	}
	cp.startRenewer()
	return nil
}

func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, fault.New(fault.Invalid, "kube.Start", "Options.Dir is empty")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fault.Wrap(fault.Invalid, "kube.Start", err)
	}
	o.Dir = dir
	if o.Port < 0 || o.Port > 65535 {
		return o, fault.New(fault.Invalid, "kube.Start", "port %d is not between 0 and 65535", o.Port)
	}
	if o.ServiceCIDR == "" {
		o.ServiceCIDR = "10.96.0.0/16"
	}
	if _, _, err := net.ParseCIDR(o.ServiceCIDR); err != nil {
		return o, fault.Wrap(fault.Invalid, "kube.Start", err)
	}
	if o.NodeName == "" {
		o.NodeName = hostName()
	}
	if o.CertificateTTL == 0 {
		o.CertificateTTL = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ComponentLog == nil {
		o.ComponentLog = rotatedFile(filepath.Join(o.Dir, "logs", "kubernetes.log"))
	}
	return o, nil
}

// Endpoint is the API server's base URL, for example https://127.0.0.1:40123.
func (cp *ControlPlane) Endpoint() string { return cp.endpoint }

// NodeName is the name for which the local node's identity was issued.
func (cp *ControlPlane) NodeName() string { return cp.opts.NodeName }

// Failed delivers an error when a component ended by itself. The caller should stop everything.
func (cp *ControlPlane) Failed() <-chan error { return cp.failed }

// Healthy asks the API server whether it and etcd can serve. The error is of kind Unavailable.
func (cp *ControlPlane) Healthy(ctx context.Context) error {
	_, err := cp.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return fault.Wrap(fault.Unavailable, "kube.Healthy", err)
}

// Stop ends the components, clients before servers, and releases the state directory. What does not end by itself
// within a few seconds is left behind; etcd is always closed in order unless ctx ends first. Stop may be called once.
func (cp *ControlPlane) Stop(ctx context.Context) error {
	var errs []error
	if cp.renewer.cancel != nil {
		errs = append(errs, cp.renewer.stop(ctx, 2*time.Second))
	}
	for i := len(cp.parts) - 1; i >= 0; i-- {
		errs = append(errs, cp.parts[i].stop(ctx, 8*time.Second))
	}
	errs = append(errs, cp.state.close())
	return fault.Wrap(fault.Internal, "kube.Stop", errors.Join(errs...))
}

// run starts a component in the background. Its end before it was cancelled is reported on Failed.
func (cp *ControlPlane) run(name string, f func(context.Context) error) part {
	ctx, cancel := context.WithCancel(context.Background())
	p := part{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := f(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended without being asked to")
		}
		select {
		case cp.failed <- fault.Wrap(fault.Unavailable, "kube: "+name, err):
		default:
		}
	}()
	return p
}

func (p part) stop(ctx context.Context, patience time.Duration) error {
	p.cancel()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fault.New(fault.Unavailable, "kube: "+p.name, "did not end within %s", patience)
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, "kube: "+p.name, ctx.Err())
	}
}
