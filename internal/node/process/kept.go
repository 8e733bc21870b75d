// SPDX-License-Identifier: Apache-2.0

//go:build unix

package process

import (
	"context"
	"net/netip"
	"strings"
	"syscall"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
)

// heldPod begins the names under which the keeper remembers the addresses of pods.
const heldPod = "pod/"

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

// Adopt takes over a pod of a former run.
func (r *Runtime) Adopt(config isolation.PodConfig) (isolation.Pod, error) {
	for _, h := range r.kept.Held {
		if h.Name != heldPod+config.ID {
			continue
		}
		address, err := netip.ParseAddr(h.Note)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "node.process: adopt", err)
		}
		r.mu.Lock()
		r.used[address] = true
		r.mu.Unlock()
		return &pod{runtime: r, config: config, address: address}, nil
	}
	return nil, fault.New(fault.NotFound, "node.process", "pod %s is not kept", config.ID)
}

// Abandon ends a pod of a former run.
func (r *Runtime) Abandon(id string) {
	for _, k := range r.kept.Processes {
		if k.Pod != id {
			continue
		}
		if !k.Ended {
			_ = syscall.Kill(-k.Pid, syscall.SIGKILL)
			_, _ = r.keeper.Wait(context.Background(), k.ID)
		}
		r.keeper.Forget(k.ID)
	}
	killMarked(r.tag+"/"+id+"/", 0)
	r.keeper.Release(heldPod + id)
}

// Leave lets go of this process's part.
func (r *Runtime) Leave() bool {
	if !r.keeper.Outlives() {
		return false
	}
	if r.held != nil {
		_ = r.held.Close()
	}
	return true
}
