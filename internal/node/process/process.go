// SPDX-License-Identifier: Apache-2.0

//go:build unix

package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
)

// Marker is the variable by which a process of a container is recognised, whatever became of its parents.
const Marker = "FATHOM_CONTAINER"

// Options of New.
type Options struct {
	// Dir is the node's state directory.
	Dir string
	// BinDir is what isolation.BinPath stands for.
	BinDir string
	// Keeper keeps what is to outlive this process; default: nothing does.
	Keeper keeper.Keeper
	Logger *slog.Logger
}

// Runtime runs pods as plain processes.
type Runtime struct {
	options Options
	tag     string
	keeper  keeper.Keeper
	kept    keeper.Listing // what a former run has left with the keeper

	// block is the second byte of the pods' addresses, held what keeps other Fathoms out of it.
	block byte
	held  io.Closer

	mu   sync.Mutex
	used map[netip.Addr]bool
	next uint16
}

// New makes a runtime.
func New(o Options) (*Runtime, error) {
	for _, path := range []*string{&o.Dir, &o.BinDir} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "node.process", err)
		}
		if *path != "" {
			*path = abs
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	sum := sha256.Sum256([]byte(o.Dir))
	if err := adopt(); err != nil {
		o.Logger.Warn("processes that outlive their parents are not followed", "error", err)
	}
	r := &Runtime{options: o, tag: hex.EncodeToString(sum[:4]), used: map[netip.Addr]bool{}, keeper: o.Keeper}
	if r.keeper == nil {
		r.keeper = keeper.NewLocal()
	}
	var err error
	if r.kept, err = r.keeper.List(); err != nil {
		return nil, err
	}
	return r, r.claim()
}

// Level is isolation.LevelProcess.
func (r *Runtime) Level() isolation.Level { return isolation.LevelProcess }

// HostAddress is the loopback.
func (r *Runtime) HostAddress() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// Unenforced lists what plain processes are not kept from.
func (r *Runtime) Unenforced() []string {
	return []string{
		"file isolation: a pod can read and write what the user of Fathom can, also other workspaces' data and held-out subjects",
		"network isolation: a pod can connect anywhere",
		"limits of CPU, memory, processes and storage",
		"names of Services and pods", "securityContext", "read-only mounts",
	}
}

// Sweep kills the processes of a former run that are not kept.
func (r *Runtime) Sweep(context.Context) error {
	kept := make([]string, 0, len(r.kept.Held))
	for _, pod := range r.Kept() {
		kept = append(kept, r.tag+"/"+pod+"/")
	}
	killMarked(r.tag+"/", 0, kept...)
	return nil
}

// Close lets go of the pods' addresses.
func (r *Runtime) Close() error {
	if err := r.keeper.Close(); err != nil || r.held == nil {
		return err
	}
	return fault.Wrap(fault.Internal, "node.process", r.held.Close())
}

// Open gives a pod its address.
func (r *Runtime) Open(_ context.Context, config isolation.PodConfig) (isolation.Pod, error) {
	address, err := r.take()
	if err != nil {
		return nil, err
	}
	p := &pod{runtime: r, config: config, address: address}
	return p, r.keeper.Hold(heldPod+config.ID, address.String())
}

// take hands out an address of 127.x.0.0/16; elsewhere than on Linux only 127.0.0.1 works.
func (r *Runtime) take() (netip.Addr, error) {
	if runtime.GOOS != "linux" {
		return r.HostAddress(), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for range 1 << 16 {
		r.next++
		a := netip.AddrFrom4([4]byte{127, r.block, byte(r.next >> 8), byte(r.next)})
		if !r.used[a] && byte(r.next) != 0 && byte(r.next) != 255 {
			r.used[a] = true
			return a, nil
		}
	}
	return netip.Addr{}, fault.New(fault.Exhausted, "node.process", "all pod addresses are in use")
}

// claimPort is bound on the first address of a block for as long as the block is ours.
const claimPort = 41270

// claim takes a block of loopback addresses, the same at every start unless another Fathom of this machine has it. The
// kernel lets go of it however this process ends.
func (r *Runtime) claim() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	first, err := strconv.ParseUint(r.tag[:2], 16, 8)
	if err != nil {
		return fault.Wrap(fault.Internal, "node.process", err)
	}
	for i := range uint64(blocks) {
		block := byte(firstBlock + (first+i)%blocks)
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, block, 0, 0}).Next(), claimPort)
		held, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address))
		if err == nil {
			r.block, r.held, r.next = block, held, 1
			return nil
		}
	}
	return fault.New(fault.Exhausted, "node.process", "all blocks of loopback addresses are in use")
}

// Blocks are 127.2.0.0/16 to 127.254.0.0/16.
const (
	firstBlock = 2
	blocks     = 253
)

type pod struct {
	runtime *Runtime
	config  isolation.PodConfig
	address netip.Addr
}

func (p *pod) Address() netip.Addr { return p.address }

func (p *pod) marker() string { return p.runtime.tag + "/" + p.config.ID + "/" }

// Dial tries the pod's address, then the loopback, where programs listen that do not know their address.
func (p *pod) Dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(p.address.String(), strconv.Itoa(port)))
	if err != nil {
		return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return c, nil
}

// Close kills what is left of the pod's processes.
func (p *pod) Close(context.Context) error {
	killMarked(p.marker(), 0)
	p.runtime.keeper.Release(heldPod + p.config.ID)
	p.runtime.mu.Lock()
	defer p.runtime.mu.Unlock()
	delete(p.runtime.used, p.address)
	return nil
}

// lookPath finds a program as the container's own PATH says.
func lookPath(name, path, dir string) (string, bool) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	for _, d := range filepath.SplitList(path) {
		if full := filepath.Join(d, name); executable(full) {
			return full, true
		}
	}
	return "", false
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
