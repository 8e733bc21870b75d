// SPDX-License-Identifier: Apache-2.0

// Package gang_test proves the contract of a run's ranks on a real control plane, a local node and the staging door.
package gang_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"fathom.dev/fathom/api/crds"
	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/environment"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/operator"
	"fathom.dev/fathom/internal/operator/run"
	"fathom.dev/fathom/internal/operator/workspace"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/staging"
	"fathom.dev/fathom/internal/testenv"
)

// platform is as much of Fathom as runs need.
type platform struct {
	*testing.T
	env     *testenv.Env
	client  client.Client
	lake    *lake.Store
	ledger  *staging.Ledger
	node    *node.Node
	options node.Options
	ca      *tls.Certificate
	caPEM   []byte
	door    string
	changed chan event.GenericEvent
	envs    *environment.Builder
	dir     string
	stop    func() // ends stations and door at once
}

const workspaceName = "gangs"

func start(t *testing.T, level string) *platform {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	p := &platform{T: t, env: testenv.Shared(t), changed: make(chan event.GenericEvent, 1000)}
	p.env.InstallCRDs(crdManifests(t)...)
	dir, err := os.MkdirTemp("", "gang") // short: paths of sockets are bounded
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.lake, err = lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")})
	must(t, err)
	t.Cleanup(func() { p.lake.Close() })
	p.dir = dir
	p.envs, err = environment.New(environment.Options{Dir: filepath.Join(dir, "envs")})
	must(t, err)
	p.authority()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.startNode(dir, level, listener.Addr().(*net.TCPAddr).Port)
	p.startOperator(listener)
	t.Cleanup(func() { p.stop() })
	return p
}

// restartOperator is what a restart of Fathom is for runs, the node aside.
func (p *platform) restartOperator() {
	p.Helper()
	p.stop()
	listener, err := net.Listen("tcp", strings.NewReplacer("https://", "", "door.fathom.internal", "127.0.0.1").Replace(p.door))
	must(p.T, err)
	p.startOperator(listener)
}

// environment does what the desk does: it reads the requirements file and asks the builder.
func (p *platform) environment(ctx context.Context, requirements ref.Digest) (run.Environment, error) {
	f, _, err := p.lake.OpenBlob(ctx, requirements)
	if err != nil {
		return run.Environment{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return run.Environment{}, fault.Wrap(fault.Unavailable, "requirements", err)
	}
	state := p.envs.Ensure(text)
	return run.Environment{Digest: state.Digest, Ready: state.Ready, Message: state.Message}, state.Err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// crdManifests are the kinds that these tests need.
func crdManifests(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, kind := range []string{"workspaces", "runs"} {
		text, err := crds.Files.ReadFile("fathom.dev_" + kind + ".yaml")
		must(t, err)
		all = append(all, text)
	}
	return all
}

func (p *platform) authority() {
	cert, err := tls.LoadX509KeyPair(filepath.Join(p.env.Dir, "pki", "ca.crt"), filepath.Join(p.env.Dir, "pki", "ca.key"))
	must(p.T, err)
	p.ca = &cert
	p.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw})
}

func (p *platform) certificate(name string, hosts ...string) *tls.Certificate {
	p.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(p.T, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca.Leaf, key.Public(), p.ca.PrivateKey)
	must(p.T, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (p *platform) startNode(dir, level string, doorPort int) {
	p.Helper()
	bin := filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "fathom-launch"), "fathom.dev/fathom/cmd/fathom-launch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		p.Fatalf("%v: %s", err, out)
	}
	must(p.T, os.Chmod(dir, 0o755))
	cert := p.certificate("system:node:"+testenv.NodeName, testenv.NodeName)
	p.options = node.Options{
		Name: testenv.NodeName, Dir: filepath.Join(dir, "node"), RESTConfig: p.env.Node(), Isolation: level, BinDir: bin,
		EnvDir: filepath.Join(dir, "envs"), Callers: []string{"fathom:kube-apiserver"}, StopGrace: time.Second,
		HostForwards: []node.Forward{{Name: "door", Port: doorPort, Target: fmt.Sprintf("127.0.0.1:%d", doorPort)}},
		ServingCert:  func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
		Logger:       slog.New(slog.DiscardHandler),
	}
	if level == "sandbox" {
		p.options.RuncPath = filepath.Join(filepath.Dir(testenv.Binary(p.T)), "runc")
	}
	p.restartNode()
	p.Cleanup(func() { _ = p.node.Stop(context.Background()) })
	p.door = fmt.Sprintf("https://127.0.0.1:%d", doorPort)
	if level == "sandbox" {
		p.door = fmt.Sprintf("https://door.fathom.internal:%d", doorPort)
	}
}

func (p *platform) restartNode() {
	p.Helper()
	if p.node != nil {
		must(p.T, p.node.Stop(context.Background()))
	}
	var err error
	if p.node, err = node.Start(context.Background(), p.options); err != nil {
		p.Skipf("no node: %v", err)
	}
}

// startOperator runs the stations of workspaces and runs, and the staging door.
func (p *platform) startOperator(listener net.Listener) {
	p.Helper()
	scheme, err := operator.Scheme()
	must(p.T, err)
	p.ledger, err = staging.OpenLedger(filepath.Join(p.dir, "staging"))
	must(p.T, err)
	p.client, err = client.New(p.env.Owner(), client.Options{Scheme: scheme})
	must(p.T, err)
	config := p.env.Operator()
	config.QPS = -1
	operatorClient, err := client.New(config, client.Options{Scheme: scheme})
	must(p.T, err)
	must(p.T, operator.InstallRoles(p.Context(), operatorClient))
	manager := p.manager(config, scheme)
	kube := kubernetes.NewForConfigOrDie(config)
	must(p.T, workspace.New(workspace.Options{Client: manager.GetClient(), Now: time.Now, CA: p.caPEM,
		EnsureBucket: func(context.Context, string) error { return nil }, Isolation: func() string { return "test" },
		Storage: func(context.Context, string) (int64, error) { return 0, nil },
	}).SetupWithManager(manager))
	must(p.T, run.New(run.Options{
		Client: manager.GetClient(), Lake: p.lake, Now: time.Now, Changed: p.changed, Grace: grace,
		Door:        func() string { return p.door },
		Environment: p.environment,
		Report:      p.ledger.Report, Forget: p.ledger.Forget,
		Logs: func(ctx context.Context, namespace, pod, container string) (io.ReadCloser, error) {
			return kube.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(ctx)
		},
	}).SetupWithManager(manager))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- manager.Start(ctx) }()
	door, ledger := p.serveDoor(manager, listener), p.ledger
	p.stop = func() { cancel(); <-done; door.Close(); ledger.Close() }
}

func (p *platform) serveDoor(manager ctrl.Manager, listener net.Listener) *http.Server {
	p.Helper()
	reviews := kubernetes.NewForConfigOrDie(p.env.Doors())
	authenticator, err := identity.NewAuthenticator(identity.AuthenticatorOptions{Review: review(reviews)})
	must(p.T, err)
	authorizer, err := identity.NewAuthorizer(identity.AuthorizerOptions{Access: access(reviews)})
	must(p.T, err)
	handler, err := staging.New(staging.Options{
		Authenticator: authenticator, Authorizer: authorizer, Ledger: p.ledger, Blobs: p.lake,
		Plan: func(ctx context.Context, name ref.Name, attempt int) (staging.Plan, error) {
			var r v1alpha1.Run
			if err := manager.GetClient().Get(ctx, client.ObjectKey{Namespace: name.Workspace, Name: name.Name}, &r); err != nil {
				return staging.Plan{}, fault.Wrap(fault.Unavailable, "run", err)
			}
			stage, err := staging.Resolve(ctx, p.lake, &r)
			return staging.Plan{Stage: stage, Gang: run.Gang(&r, int32(attempt))}, err
		},
		Pod: func(ctx context.Context, workspace, name, uid string) (staging.Pod, error) {
			runName, attempt, rank, err := run.Member(ctx, manager.GetClient(), manager.GetAPIReader(), workspace, name, uid)
			return staging.Pod{Run: runName, Attempt: attempt, Rank: rank}, err
		},
		Changed: func(name ref.Name) {
			p.changed <- event.GenericEvent{Object: &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: name.Workspace, Name: name.Name}}}
		},
	})
	must(p.T, err)
	cert := p.certificate("door", "door.fathom.internal")
	s := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}}, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = s.ServeTLS(listener, "", "") }()
	return s
}

func review(c kubernetes.Interface) identity.ReviewFunc {
	return func(ctx context.Context, token string, audiences []string) (identity.User, error) {
		answer, err := c.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
		if err != nil {
			return identity.User{}, fault.Wrap(fault.Unavailable, "token review", err)
		}
		if !answer.Status.Authenticated {
			return identity.User{}, fault.New(fault.Unauthenticated, "token review", "%s", answer.Status.Error)
		}
		u := answer.Status.User
		extra := map[string][]string{}
		for k, v := range u.Extra {
			extra[k] = v
		}
		return identity.User{Name: u.Username, Groups: u.Groups, UID: u.UID, Extra: extra}, nil
	}
}

func access(c kubernetes.Interface) identity.AccessFunc {
	return func(ctx context.Context, u identity.User, a identity.Action) (bool, string, error) {
		answer, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: u.Name, Groups: u.Groups, UID: u.UID,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: a.Namespace, Verb: a.Verb, Group: identity.Group,
					Resource: a.Resource, Subresource: a.Subresource, Name: a.Name}}}, metav1.CreateOptions{})
		if err != nil {
			return false, "", err
		}
		return answer.Status.Allowed, answer.Status.Reason, nil
	}
}

func (p *platform) code(dir string) string {
	p.Helper()
	var b bytes.Buffer
	must(p.T, bundle.Pack(&b, dir))
	return p.blob(b.String())
}

func (p *platform) blob(text string) string {
	p.Helper()
	digest, _, err := p.lake.PutBlob(context.Background(), bytes.NewReader([]byte(text)), "")
	must(p.T, err)
	return string(digest)
}

func (p *platform) read(digest string) string {
	p.Helper()
	f, _, err := p.lake.OpenBlob(context.Background(), ref.Digest(digest))
	must(p.T, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	must(p.T, err)
	return string(text)
}

// manager is a controller manager without metrics.
func (p *platform) manager(identity *rest.Config, scheme *runtime.Scheme) ctrl.Manager {
	p.Helper()
	m, err := ctrl.NewManager(identity, ctrl.Options{Scheme: scheme, Logger: p.logger(), Metrics: server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true), MaxConcurrentReconciles: 4}})
	must(p.T, err)
	return m
}

// logger shows what the stations complain about.
func (p *platform) logger() logr.Logger {
	root := p.T
	var mu sync.Mutex
	over := false
	root.Cleanup(func() { mu.Lock(); over = true; mu.Unlock() })
	return funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		if !over && strings.Contains(args, `"error"=`) {
			root.Log(prefix, args)
		}
	}, funcr.Options{})
}
