// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

// hook is what a container wants done after its start or before its end.
type hook func(ctx context.Context, shown *shownPod, process isolation.Process) error

func postStart(c *v1.Container) hook {
	if c.Lifecycle == nil {
		return nil
	}
	return hookOf(c, c.Lifecycle.PostStart)
}

func preStop(c *v1.Container) hook {
	if c.Lifecycle == nil {
		return nil
	}
	return hookOf(c, c.Lifecycle.PreStop)
}

// hookOf gives the handler as a function; nil when there is none.
func hookOf(c *v1.Container, handler *v1.LifecycleHandler) hook {
	if handler == nil {
		return nil
	}
	return func(ctx context.Context, shown *shownPod, process isolation.Process) error {
		if handler.Sleep != nil {
			sleep(ctx, time.Duration(handler.Sleep.Seconds)*time.Second)
			return nil
		}
		p := &prober{pod: shown.sandbox, podIP: shown.address.String(), container: c, process: process}
		seconds := int32(24 * 3600) // the context ends it
		return p.try(ctx, &v1.Probe{TimeoutSeconds: seconds, ProbeHandler: v1.ProbeHandler{Exec: handler.Exec, HTTPGet: handler.HTTPGet, TCPSocket: handler.TCPSocket}})
	}
}

// afterStart runs the container's hook, and only then its probes: a container whose hook has not ended is not ready, one
// whose hook fails is killed.
func (w *worker) afterStart(c *container) {
	run := postStart(c.spec)
	if run == nil {
		w.beginProbes(c)
		return
	}
	process, attempt, shown := c.process, c.attempt, w.shown.Load()
	ctx, cancel := context.WithCancel(w.background)
	go func() {
		defer cancel()
		go func() {
			select {
			case <-process.Done():
				cancel()
			case <-ctx.Done():
			}
		}()
		err := run(ctx, shown, process)
		w.send(func() {
			switch {
			case c.attempt != attempt || !c.running():
			case err != nil:
				w.node.event(w.pod, v1.EventTypeWarning, "FailedPostStartHook", fmt.Sprintf("container %s: %v", c.spec.Name, err))
				w.terminateWithin(c, w.grace())
			default:
				w.beginProbes(c)
			}
		})
	}()
}

func (w *worker) beginProbes(c *container) {
	started := c.spec.StartupProbe == nil
	w.startProbes(c, started, started && c.spec.ReadinessProbe == nil)
}

// startProbes begins with a container that counts as started, or ready, already.
func (w *worker) startProbes(c *container, started, ready bool) {
	c.started, c.ready = started, ready
	attempt := c.attempt
	c.probes = &prober{started: started, ready: ready && c.spec.ReadinessProbe != nil, pod: w.sandbox, podIP: w.sandbox.Address().String(), container: c.spec, process: c.process,
		report: func(kind probeKind, ok bool, message string) {
			w.send(func() { w.probed(c, attempt, kind, ok, message) })
		}}
	c.probes.run(w.background)
}

// terminate asks a container to end; stopContainers kills it when the pod's grace period is over.
func (w *worker) terminate(c *container) {
	if !c.running() || c.terminating {
		return
	}
	c.terminating = true
	process, run, signal := c.process, preStop(c.spec), stopSignal(c.spec)
	if run == nil {
		_ = process.Signal(signal) // an error means that it has ended
		return
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(w.background), w.killAt)
	pod := w.pod
	go func() {
		defer cancel()
		if err := run(ctx, w.shown.Load(), process); err != nil {
			w.node.event(pod, v1.EventTypeWarning, "FailedPreStopHook", fmt.Sprintf("container %s: %v", c.spec.Name, err))
		}
		_ = process.Signal(signal)
	}()
}

// terminateWithin ends one container of a pod that goes on.
func (w *worker) terminateWithin(c *container, grace time.Duration) {
	process := c.process
	_ = process.Signal(stopSignal(c.spec))
	time.AfterFunc(grace, func() {
		select {
		case <-process.Done():
		default:
			_ = process.Kill()
		}
	})
}

// stopSignal is the one that the container wishes, or SIGTERM.
func stopSignal(c *v1.Container) syscall.Signal {
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		if s := unix.SignalNum(string(*c.Lifecycle.StopSignal)); s != 0 {
			return s
		}
	}
	return syscall.SIGTERM
}
