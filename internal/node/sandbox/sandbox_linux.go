// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
	"fathom.dev/fathom/internal/node/network"
	"fathom.dev/fathom/internal/node/policy"
)

// Runtime runs pods in sandboxes.
type Runtime struct {
	options Options
	net     *network.Network
	etc     string
	state   string // runc's --root
	cgroups cgroups
	keeper  keeper.Keeper
	kept    keeper.Listing // what a former run has left with the keeper
}

// Permitted tells why sandboxes cannot be made here; nil when they can.
func Permitted(runcPath string) error {
	if os.Geteuid() != 0 {
		return fault.New(fault.Forbidden, "node.sandbox", "sandboxes need root").WithHint("start as root to keep pods apart, or with --isolation process, which does not")
	}
	if _, err := exec.LookPath(runcPath); err != nil {
		return fault.Wrap(fault.NotFound, "node.sandbox: runc", err)
	}
	for name, bit := range map[string]int{"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN} {
		if !capable(bit) { // root of a container, for example
			return fault.New(fault.Forbidden, "node.sandbox", "sandboxes need the capability %s", name)
		}
	}
	return network.Permitted()
}

func capable(bit int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return false
	}
	return sets[bit/32].Effective&(1<<(bit%32)) != 0
}

// New prepares the host: the network of the pods, their shared /etc, a place in the cgroups.
func New(o Options) (*Runtime, error) {
	for _, path := range []*string{&o.Dir, &o.BinDir, &o.RuncPath} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "node.sandbox", err)
		}
		if *path != "" {
			*path = abs
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runtime{options: o, etc: filepath.Join(o.Dir, "etc"), state: filepath.Join(o.Dir, "runc")}
	if o.BinDir != "" {
		if err := forEverybody(o.BinDir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(r.state, 0o700); err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox", err)
	}
	// Programs whose parent runc has ended become children of this process, which can then wait for them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox: subreaper", err)
	}
	r.cgroups = findCgroups(o.Dir)
	if r.keeper = o.Keeper; r.keeper == nil {
		r.keeper = keeper.NewLocal()
	}
	if err := r.openNetwork(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(r.etc); err == nil && len(r.Kept()) > 0 {
		return r, nil // pods that live on look at it
	}
	return r, fault.Wrap(fault.Internal, "node.sandbox: /etc of containers", makeEtc(r.etc))
}

// Level is isolation.LevelSandbox.
func (r *Runtime) Level() isolation.Level { return isolation.LevelSandbox }

// HostAddress is the host's address among the pods.
func (r *Runtime) HostAddress() netip.Addr { return r.net.Gateway() }

// SetServices replaces the set of Services that need an address of their own.
func (r *Runtime) SetServices(list []network.Service) error { return r.net.SetServices(list) }

// PolicyError tells why NetworkPolicies are not enforced; nil when they are.
func (r *Runtime) PolicyError() error { return r.net.PolicyError() }

// SetRules puts rules for connections between pods in force; see network.Network.
func (r *Runtime) SetRules(rules policy.Rules) error { return r.net.SetRules(rules) }

// CutConnections ends the connections between pods that the rules do not allow.
func (r *Runtime) CutConnections() error { return r.net.CutConnections() }

// Unenforced lists what this host does not let the runtime enforce.
func (r *Runtime) Unenforced() []string {
	list := []string{"limits of ephemeral storage and sizes of volumes", "seccomp profiles"}
	if err := r.net.PolicyError(); err != nil {
		list = append(list, fmt.Sprintf("NetworkPolicy between pods (%v)", err))
	}
	if err := r.net.FilterError(); err != nil {
		list = append(list, "access of pods to services that the host offers on all its addresses")
	}
	if r.cgroups.err != nil {
		list = append(list, "limits of CPU, memory and processes")
	}
	return list
}

// Sweep kills the containers of a former run that are not kept and removes what they held.
func (r *Runtime) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(r.state)
	if err != nil {
		return fault.Wrap(fault.Internal, "node.sandbox: sweep", err)
	}
	for _, e := range entries {
		if r.keeps(e.Name()) {
			continue
		}
		if err := r.runc(ctx, "delete", "--force", e.Name()).Run(); err != nil {
			r.options.Logger.Warn("leftover container could not be deleted", "container", e.Name(), "error", err)
			_ = os.RemoveAll(filepath.Join(r.state, e.Name()))
		}
	}
	unmountBelow(r.options.Dir)
	r.cgroups.removePods(r.Kept())
	return nil
}

// Close removes the network and the cgroups.
func (r *Runtime) Close() error {
	r.cgroups.remove()
	return errors.Join(r.net.Close(), r.keeper.Close())
}

func (r *Runtime) runc(ctx context.Context, args ...string) *exec.Cmd {
	global := []string{"--root", r.state}
	if r.cgroups.err != nil {
		global = append(global, "--rootless", "true")
	}
	return exec.CommandContext(ctx, r.options.RuncPath, append(global, args...)...)
}

// pod is an opened sandbox.
type pod struct {
	runtime *Runtime
	config  isolation.PodConfig
	ns      *network.Namespaces
	address netip.Addr
	etc     string
}

// Open makes the namespaces of a pod, connects them and writes its names.
func (r *Runtime) Open(_ context.Context, config isolation.PodConfig) (isolation.Pod, error) {
	ns, err := network.NewNamespaces(config.Hostname)
	if err != nil {
		return nil, err
	}
	address, err := r.net.Attach(config.ID, ns.Net)
	if err != nil {
		ns.Close()
		return nil, err
	}
	p := r.pod(config, ns, address)
	err = r.keeper.Hold(heldPod+config.ID, address.String(), ns.Net, ns.IPC, ns.UTS)
	if err := errors.Join(err, p.writeNames()); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Internal, "node.sandbox", err), p.Close(context.Background()))
	}
	return p, nil
}

func (p *pod) writeNames() error {
	if err := os.MkdirAll(p.etc, 0o755); err != nil { //nolint:gosec // read by every container
		return err
	}
	files := map[string]string{
		"hosts":       p.hosts(),
		"hostname":    p.config.Hostname + "\n",
		"resolv.conf": resolvConf(p.runtime.net.Gateway(), p.config.Namespace, p.config.Names),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(p.etc, name), []byte(content), 0o644); err != nil { //nolint:gosec // read by every container
			return err
		}
	}
	return nil
}

func (p *pod) hosts() string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	own := p.config.Hostname
	if s := p.config.Subdomain; s != "" {
		name := own + "." + s + "." + p.config.Namespace + ".svc"
		own = fmt.Sprintf("%s.%s %s %s", name, network.ClusterDomain, name, own)
	}
	fmt.Fprintf(&b, "%s\t%s\n", p.address, own)
	names := make([]string, 0, len(p.runtime.net.Hosts()))
	for name := range p.runtime.net.Hosts() {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s\t%s\n", p.runtime.net.Hosts()[name], name)
	}
	for _, h := range p.config.Hosts {
		fmt.Fprintf(&b, "%s\t%s\n", h.Address, strings.Join(h.Names, " "))
	}
	return b.String()
}

// resolvConf begins with the cluster's server, search list and options, unless the pod wants its own only. Of an option
// that is there twice the resolver takes the last.
func resolvConf(server netip.Addr, namespace string, own isolation.Names) string {
	servers, options := own.Servers, own.Options
	searches := own.Searches
	if !own.Only {
		servers = append([]string{server.String()}, servers...)
		searches = append([]string{namespace + ".svc." + network.ClusterDomain, "svc." + network.ClusterDomain, network.ClusterDomain}, searches...)
		options = append([]string{"ndots:5"}, options...)
	}
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(searches, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.String()
}

// Address of the pod.
func (p *pod) Address() netip.Addr { return p.address }

// Dial connects from the host.
func (p *pod) Dial(ctx context.Context, port int) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(p.address.String(), strconv.Itoa(port)))
}

// Close disconnects the pod; the namespaces end with their last process.
func (p *pod) Close(context.Context) error {
	p.runtime.net.Detach(p.config.ID, p.address)
	p.ns.Close()
	p.runtime.keeper.Release(heldPod + p.config.ID)
	go p.runtime.cgroups.removePod(p.config.ID)
	return nil
}
