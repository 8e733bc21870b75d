// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/claims"
	"fathom.dev/fathom/internal/node/image"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
	"fathom.dev/fathom/internal/node/network"
	"fathom.dev/fathom/internal/node/process"
	"fathom.dev/fathom/internal/node/sandbox"
)

// Node is a running local node.
type Node struct {
	options  Options
	client   kubernetes.Interface
	runtime  isolation.Runtime
	objects  *objects
	facts    facts
	services cache.Store
	enforcer *enforcer
	keeper   keeper.Keeper
	recorder record.EventRecorder
	images   *image.Store // nil: no images
	server   *kubeletServer
	tag      string
	// secretRoot holds what pods are given of Secrets and tokens.
	secretRoot string
	// noSandbox is why the automatic choice was plain processes.
	noSandbox error

	// ctx ends when the node stops; pods' background work hangs on it.
	ctx    context.Context
	cancel context.CancelFunc
	stops  []func()
	done   chan struct{}

	mu      sync.Mutex
	workers map[types.UID]*worker
	closed  bool
}

// Start sweeps up what a former run left, registers the node and begins to run pods. It returns once the node is
// registered and ready; Stop, or the end of ctx, ends it.
func Start(ctx context.Context, o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(o.RESTConfig)
	config.QPS = -1 // the API server and the node share a machine; a client-side limit only adds delay
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "node.Start", err)
	}
	sum := sha256.Sum256([]byte(o.Dir))
	n := &Node{options: o, client: client, objects: newObjects(client), facts: facts{allocatable: allocatable()},
		tag: hex.EncodeToString(sum[:4]), workers: map[types.UID]*worker{}, done: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.open(ctx); err != nil {
		n.cancel()
		return nil, errors.Join(err, n.close())
	}
	context.AfterFunc(ctx, func() { _ = n.Stop(context.WithoutCancel(ctx)) })
	return n, nil
}

// open brings everything up in order; close undoes what was reached.
func (n *Node) open(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(n.options.Dir, "pods"), 0o700); err != nil {
		return fault.Wrap(fault.Internal, "node.Start", err)
	}
	n.openKeeper()
	if err := n.openSecrets(); err != nil {
		return err
	}
	chosen, err := n.chooseRuntime()
	if err != nil {
		return err // nothing to close: a runtime that failed is no runtime
	}
	n.runtime = chosen
	if err := n.runtime.Sweep(ctx); err != nil {
		return err
	}
	if err := n.openImages(); err != nil {
		return err
	}
	if n.server, err = n.serveKubelet(); err != nil {
		return err
	}
	n.startEvents()
	if err := n.startServices(ctx); err != nil {
		return err
	}
	if err := n.startPolicies(ctx); err != nil {
		return err
	}
	err = claims.Start(n.ctx, claims.Options{Client: n.client, Dir: n.volumesDir(), NodeName: n.options.Name, Logger: n.options.Logger, Event: n.recorder.Event})
	if err != nil {
		return err
	}
	if err := n.startMetrics(ctx); err != nil {
		return err
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	return n.startPods(ctx)
}

// chooseRuntime opens the isolation that the options ask for.
func (n *Node) chooseRuntime() (isolation.Runtime, error) {
	o := n.options
	reason := sandbox.Permitted(o.RuncPath)
	if o.Isolation == "sandbox" && reason != nil {
		return nil, reason
	}
	if o.Isolation == "process" || reason != nil {
		if reason != nil && o.Isolation == "auto" {
			o.Logger.Warn("pods run as plain processes: sandboxes are not permitted", "error", reason)
			n.noSandbox = reason
		}
		return process.New(process.Options{Dir: o.Dir, BinDir: o.BinDir, Keeper: n.keeper, Logger: o.Logger})
	}
	return sandbox.New(sandbox.Options{Dir: o.Dir, RuncPath: o.RuncPath, BinDir: o.BinDir, PythonPrefix: pythonPrefix(o.Python),
		Forwards: o.HostForwards, Directory: directory{n}, Keeper: n.keeper, Logger: o.Logger})
}

// pythonPrefix asks the interpreter where it is installed; "" when there is none.
func pythonPrefix(python string) string {
	if python == "" {
		python = "python3"
	}
	out, err := exec.Command(python, "-c", "import sys; print(sys.base_prefix)").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// Isolation tells the level that is on and what is therefore not enforced.
func (n *Node) Isolation() (level string, unenforced []string) {
	return string(n.runtime.Level()), n.runtime.Unenforced()
}

// NoSandbox tells why pods run as plain processes although nobody asked for that; nil otherwise.
func (n *Node) NoSandbox() error { return n.noSandbox }

// HostAddress is where pods reach the host's forwards: the bridge's address, or the loopback for plain processes.
func (n *Node) HostAddress() netip.Addr { return n.runtime.HostAddress() }

// ForwardAddress is the host:port at which pods reach a forward: a name below network.ForwardDomain, which the
// service's certificate should carry, or for plain processes the target itself. "" when there is no such forward.
func (n *Node) ForwardAddress(name string) string {
	for _, f := range n.options.HostForwards {
		if f.Name != name {
			continue
		}
		if n.runtime.Level() == isolation.LevelProcess {
			return f.Target
		}
		return net.JoinHostPort(f.Name+"."+network.ForwardDomain, strconv.Itoa(f.Port))
	}
	return ""
}

func (n *Node) kubernetesAddress() (host string, port int, ok bool) {
	address := n.ForwardAddress(network.KubernetesForward)
	if address == "" {
		return "", 0, false
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.Atoi(text)
	if n.runtime.Level() == isolation.LevelSandbox {
		host = "kubernetes.default.svc" // a name that the API server's certificate carries
	}
	return host, port, err == nil
}

func (n *Node) hostAddress() netip.Addr { return n.runtime.HostAddress() }
func (n *Node) now() time.Time          { return n.options.Now() }

func (n *Node) podDir(uid string) string { return filepath.Join(n.options.Dir, "pods", uid) }

func (n *Node) secretDir(uid string) string { return filepath.Join(n.secretRoot, uid) }

// openSecrets removes what a former run left and makes the place anew: in memory where the system has such a place and
// nobody else has taken the name there, which every user of the machine could.
func (n *Node) openSecrets() error {
	own := filepath.Join(n.options.Dir, "secrets")
	places := []string{own}
	if runtime.GOOS == "linux" {
		places = []string{"/dev/shm/fathom-" + n.tag, own}
	}
	for _, place := range places {
		if n.usesAgain(place) {
			n.secretRoot = place
			return nil
		}
		_ = os.RemoveAll(place)
	}
	var err error
	for _, place := range places {
		if err = os.Mkdir(place, 0o700); err == nil {
			n.secretRoot = place
			return nil
		}
	}
	return fault.Wrap(fault.Forbidden, "node.Start", err)
}

// Stop ends all pods, reports them as failed by the node's shutdown, and leaves the host as it was found. Calling it
// again waits for the first call.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	workers := make([]*worker, 0, len(n.workers))
	for _, w := range n.workers {
		workers = append(workers, w)
	}
	n.mu.Unlock()
	if !first {
		select {
		case <-n.done:
			return nil
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, "node.Stop", ctx.Err())
		}
	}
	defer close(n.done)
	alive := n.options.KeepPods && n.keeper.Outlives()
	for _, w := range workers {
		if alive {
			w.send(w.leaveAlive)
		} else {
			w.send(func() { w.leave(n.options.StopGrace) })
		}
	}
	bound, cancel := context.WithTimeout(ctx, n.options.StopGrace+10*time.Second)
	defer cancel()
	for _, w := range workers {
		select {
		case <-w.ended:
			w.publisher.Flush(bound)
		case <-bound.Done():
		}
	}
	n.cancel()
	if alive {
		return n.leave()
	}
	return n.close()
}

// leave ends this process's part of the node. The pods go on.
func (n *Node) leave() error {
	for i := len(n.stops) - 1; i >= 0; i-- {
		n.stops[i]()
	}
	n.runtime.Leave()
	return n.server.close()
}

// openKeeper finds the keeper of a former run, or starts one. Without one pods end with this process.
func (n *Node) openKeeper() {
	n.keeper = keeper.NewLocal()
	if n.options.KeepPath == "" {
		return
	}
	found, err := keeper.Attach(n.options.KeepPath, n.options.Dir, KeepAlive)
	if err != nil {
		n.options.Logger.Warn("pods will end when Fathom does", "error", err)
		return
	}
	n.keeper = found
}

// usesAgain tells whether pods that live on have what is in a place, which must be ours alone.
func (n *Node) usesAgain(place string) bool {
	all, err := n.keeper.List()
	info, statErr := os.Lstat(place)
	return err == nil && statErr == nil && len(all.Processes) > 0 && info.IsDir() && info.Mode().Perm() == 0o700 && ownedByUs(info)
}

func ownedByUs(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

func (n *Node) close() error {
	for i := len(n.stops) - 1; i >= 0; i-- {
		n.stops[i]()
	}
	var err error
	if n.server != nil {
		err = n.server.close()
	}
	if n.runtime != nil {
		err = errors.Join(err, n.runtime.Close())
	}
	if n.secretRoot != "" {
		_ = os.RemoveAll(n.secretRoot)
	}
	return err
}

func (n *Node) event(pod *v1.Pod, kind, reason, message string) {
	n.recorder.Event(pod, kind, reason, message)
}
