// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/crds"
	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/environment"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/operator"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/registry"
	"fathom.dev/fathom/internal/s3"
	"fathom.dev/fathom/internal/source"
	"fathom.dev/fathom/internal/staging"
	"fathom.dev/fathom/internal/tracking"
	"fathom.dev/fathom/internal/upload"
)

// settings are the flags of `up`.
type settings struct {
	kube      kube.Options
	state     string
	doorPort  int
	s3Port    int
	isolation string
	witness   string // file of audit checkpoints outside the state directory
	binDir    string
	logger    *slog.Logger
	progress  func(format string, args ...any)
}

// platform is everything that `up` runs. Parts are started in order and stopped in reverse.
type platform struct {
	settings
	control  *kube.ControlPlane
	lake     *lake.Store
	tracking *tracking.Store
	registry *registry.Store
	tokens   *identity.Tokens
	shown    sync.Map // environments that the registry shows
	audit    *audit.Log
	repeats  *audit.Repeats
	uploads  *upload.Ledger
	ledger   *staging.Ledger
	sources  *source.Index
	captured *capture.Store
	targets  *targets
	changes  *changes
	envs     *environment.Builder
	node     *node.Node
	s3       *s3.Door
	steps    steps

	authenticator identity.Authenticator
	authorizer    identity.Authorizer
	doors         *doors
	news          *news
	// objects reads and writes as the operator, through its cache; live reads past it.
	objects client.Client
	live    client.Reader
	options operator.Options
	stops   []func(context.Context) error
}

// startPlatform brings everything up. When a part fails, what was started is stopped again.
func startPlatform(ctx context.Context, s settings) (*platform, error) {
	p := &platform{settings: s, news: newNews(), steps: steps{binary: filepath.Join(s.binDir, "fathom-step")}}
	for _, part := range []func(context.Context) error{
		p.startControl, p.openStores, p.startNode, p.buildS3, p.startOperator, p.startDoors, p.startSweeping,
	} {
		if err := part(ctx); err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
			defer cancel()
			return nil, errors.Join(err, p.stop(stopping))
		}
	}
	return p, nil
}

const stopPatience = 30 * time.Second

// stop ends all parts in reverse order.
func (p *platform) stop(ctx context.Context) error {
	var errs []error
	for _, stop := range slices.Backward(p.stops) {
		errs = append(errs, stop(ctx))
	}
	p.stops = nil
	return errors.Join(errs...)
}

func (p *platform) onStop(f func(context.Context) error) { p.stops = append(p.stops, f) }

func (p *platform) path(parts ...string) string {
	return filepath.Join(append([]string{p.state}, parts...)...)
}

func (p *platform) startControl(ctx context.Context) error {
	p.kube.Dir, p.kube.Logger = p.state, p.logger
	p.kube.ExtraNames = []string{"kubernetes.default.svc"}
	begin := time.Now()
	control, err := kube.Start(ctx, p.kube)
	if err != nil {
		return err
	}
	p.control = control
	undo := setAside(p.path("logs", "stderr.log"))
	p.onStop(func(context.Context) error { undo(); return nil })
	p.onStop(control.Stop)
	entries, err := crds.Files.ReadDir(".")
	if err != nil {
		return fault.Wrap(fault.Internal, "kinds", err)
	}
	var definitions [][]byte
	for _, e := range entries {
		content, err := crds.Files.ReadFile(e.Name())
		if err != nil {
			return fault.Wrap(fault.Internal, "kinds", err)
		}
		definitions = append(definitions, content)
	}
	if err := control.InstallCRDs(ctx, definitions...); err != nil {
		return err
	}
	p.progress("Kubernetes API ready in %.1fs at %s", time.Since(begin).Seconds(), control.Endpoint())
	return nil
}

// openStores opens what keeps data. All are closed again by stop.
func (p *platform) openStores(context.Context) error {
	for _, dir := range []string{"lake/objects", "db", "envs"} {
		if err := os.MkdirAll(p.path(dir), 0o700); err != nil {
			return fault.Wrap(fault.Forbidden, "state", err)
		}
	}
	var err error
	if p.lake, err = lake.Open(lake.Options{Dir: p.path("lake")}); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { return p.lake.Close() })
	if p.tracking, err = tracking.Open(tracking.Options{Path: p.path("db", "tracking.db")}); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { return p.tracking.Close() })
	if err := p.openRegistry(); err != nil {
		return err
	}
	witness, err := newWitness(p.witness, p.logger)
	if err != nil {
		return err
	}
	p.onStop(witness.close)
	if p.audit, err = audit.Open(audit.Options{Dir: p.path("audit"), Witness: witness.tell}); err != nil {
		return err
	}
	p.repeats = audit.NewRepeats(p.audit, nil)
	p.onStop(func(context.Context) error { return errors.Join(p.repeats.Close(), p.audit.Close()) })
	if p.uploads, err = upload.Open(p.path("uploads")); err != nil {
		return err
	}
	if p.ledger, err = staging.OpenLedger(p.path("staging")); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { return p.ledger.Close() })
	lost := func(endpoint ref.Name, rows int, err error) {
		p.logger.Error("captured traffic was lost", "endpoint", endpoint.String(), "rows", rows, "error", err)
	}
	if p.captured, err = capture.Open(capture.Options{Dir: p.path("capture"), Lost: lost}); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { return p.captured.Close() })
	p.sources = source.New(p.path("lake", "objects"))
	if p.envs, err = environment.New(environment.Options{Dir: p.path("envs"), Tools: p.path("tools")}); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { p.envs.Settled(); return nil })
	return nil
}

// startNode listens for the doors and starts the node, whose pods reach them through its forwards.
func (p *platform) startNode(ctx context.Context) error {
	var err error
	if p.doors, err = listenDoors(p.doorPort, p.s3Port, p.path("pki", "door-ports")); err != nil {
		return err
	}
	p.onStop(p.doors.stop)
	apiHost, err := hostPort(p.control.Endpoint())
	if err != nil {
		return err
	}
	images, err := p.imageSources()
	if err != nil {
		return err
	}
	p.node, err = node.Start(context.WithoutCancel(ctx), node.Options{ // it lives until it is stopped
		Name: p.control.NodeName(), Dir: p.path("node"), RESTConfig: p.control.RESTConfig(kube.Node),
		RuncPath: filepath.Join(p.binDir, "runc"), KeepPath: filepath.Join(p.binDir, "fathom-keep"), Isolation: p.isolation, EnvDir: p.path("envs"), BinDir: p.binDir,
		Python: p.envs.Interpreter(), Images: images,
		HostForwards: []node.Forward{
			{Name: "kubernetes", Port: 6443, Target: apiHost},
			{Name: "doors", Port: 7443, Target: p.doors.main.Addr().String()},
			{Name: "s3", Port: 7444, Target: p.doors.s3.Addr().String()},
		},
		ClientCA: p.control.CAPool(), Callers: []string{kube.KubeletAPI},
		ServingCert: p.control.ServingCertificate([]string{p.control.NodeName(), "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}),
		Logger:      p.logger,
	})
	if err != nil {
		return err
	}
	p.onStop(p.node.Stop)
	p.progress("node %s ready, isolation %s", p.control.NodeName(), p.isolationText())
	if why := p.node.NoSandbox(); why != nil {
		p.progress("pods run as plain processes because %v", why)
	}
	return nil
}

// isolationText is what Workspaces tell about their pods.
func (p *platform) isolationText() string {
	level, unenforced := p.node.Isolation()
	if len(unenforced) == 0 {
		return level
	}
	return level + "; not enforced: " + strings.Join(unenforced, "; ")
}

// isolationLevel is what is remembered of finished runs.
func (p *platform) isolationLevel() string {
	level, _ := p.node.Isolation()
	return level
}

// api is a client of the Kubernetes API under one of Fathom's identities.
func (p *platform) api(id kube.Identity) (*kubernetes.Clientset, error) {
	config := p.control.RESTConfig(id)
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}
