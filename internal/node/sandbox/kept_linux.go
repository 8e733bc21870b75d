// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/keeper"
	"fathom.dev/fathom/internal/node/network"
)

// Names under which the keeper holds namespaces.
const (
	heldPod    = "pod/"
	heldRouter = "router"
)

// openNetwork opens the network, with the router of a former run if the keeper has it, and lets the keeper hold it. Pods
// are of use only with the router that joins them: without it they end.
func (r *Runtime) openNetwork() error {
	o := network.Options{Dir: r.options.Dir, Forwards: r.options.Forwards, Directory: r.options.Directory, Logger: r.options.Logger}
	var err error
	if r.kept, err = r.keeper.List(); err != nil {
		return err
	}
	if held, ok := find(r.kept, heldRouter); ok {
		if o.Router, err = held.Open(0); err != nil {
			r.options.Logger.Warn("the pods' router is gone", "error", err)
		}
	}
	if r.net, err = network.Open(o); err != nil {
		return err
	}
	if !r.net.Adopted() {
		r.dropKept()
	}
	return r.keeper.Hold(heldRouter, "", r.net.Router())
}

func find(all keeper.Listing, name string) (keeper.Held, bool) {
	for _, h := range all.Held {
		if h.Name == name {
			return h, true
		}
	}
	return keeper.Held{}, false
}

// dropKept ends everything that the keeper has.
func (r *Runtime) dropKept() {
	for _, pod := range r.Kept() {
		r.Abandon(pod)
	}
	r.kept = keeper.Listing{}
}

// Kept lists the pods of a former run.
func (r *Runtime) Kept() []string {
	var pods []string
	for _, h := range r.kept.Held {
		if id, ok := strings.CutPrefix(h.Name, heldPod); ok {
			pods = append(pods, id)
		}
	}
	return pods
}

// keeps tells whether a container of a former run still runs.
func (r *Runtime) keeps(container string) bool {
	for _, k := range r.kept.Processes {
		if k.ID == container {
			return !k.Ended
		}
	}
	return false
}

// Adopt takes over a pod of a former run.
func (r *Runtime) Adopt(config isolation.PodConfig) (isolation.Pod, error) {
	held, ok := find(r.kept, heldPod+config.ID)
	if !ok {
		return nil, fault.New(fault.NotFound, "node.sandbox", "pod %s is not kept", config.ID)
	}
	address, err := netip.ParseAddr(held.Note)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "node.sandbox: adopt", err)
	}
	ns := &network.Namespaces{}
	for i, file := range []**os.File{&ns.Net, &ns.IPC, &ns.UTS} {
		if *file, err = held.Open(i); err != nil {
			ns.Close()
			return nil, err
		}
	}
	if err := r.net.Reattach(config.ID, address); err != nil {
		ns.Close()
		return nil, err
	}
	return r.pod(config, ns, address), nil
}

func (r *Runtime) pod(config isolation.PodConfig, ns *network.Namespaces, address netip.Addr) *pod {
	return &pod{runtime: r, config: config, ns: ns, address: address, etc: filepath.Join(config.Dir, "run-etc")}
}

// Abandon ends a pod of a former run.
func (r *Runtime) Abandon(pod string) {
	for _, k := range r.kept.Processes {
		if k.Pod != pod {
			continue
		}
		if !k.Ended {
			_ = syscall.Kill(k.Pid, syscall.SIGKILL)
			_, _ = r.keeper.Wait(context.Background(), k.ID)
		}
		if err := r.runc(context.Background(), "delete", "--force", k.ID).Run(); err != nil {
			_ = os.RemoveAll(filepath.Join(r.state, k.ID))
		}
		r.keeper.Forget(k.ID)
	}
	if held, ok := find(r.kept, heldPod+pod); ok {
		if address, err := netip.ParseAddr(held.Note); err == nil && r.net != nil {
			r.net.Detach(pod, address)
		}
	}
	r.keeper.Release(heldPod + pod)
	r.cgroups.killPod(pod)
	r.cgroups.removePod(pod)
}

// Leave stops serving names and forwards; pods, their router and its rules stay.
func (r *Runtime) Leave() bool {
	if !r.keeper.Outlives() {
		return false
	}
	r.net.Leave()
	return true
}
