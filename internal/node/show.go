// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

// shownPod is what others may know of a pod; it is replaced, never changed.
type shownPod struct {
	pod       *v1.Pod
	address   netip.Addr
	sandbox   isolation.Pod
	ready     bool
	processes map[string]isolation.Process // running ones, by container
	started   map[string]time.Time         // of these
	attempts  map[string]int               // the last attempt, by container
	previous  map[string]int               // the last attempt that has ended and is not the present one; -1 for none
}

// publish writes the status, unless the pod is still in the first moments of its start.
func (w *worker) publish(now time.Time) {
	if w.gone || w.untouched || w.final && !w.deleting {
		return
	}
	if !w.final {
		status := w.status(now)
		starting := status.Phase == v1.PodPending && now.Before(w.quiet) && !w.stopping
		if starting {
			return
		}
		w.quiet = time.Time{}
		w.publisher.Publish(status)
		w.final = isFinal(status.Phase)
	}
	if w.deleting && w.released {
		w.publisher.Remove()
		w.deleting = false
	}
}

func (w *worker) status(now time.Time) v1.PodStatus {
	return w.view(now).status()
}

func (w *worker) view(now time.Time) view {
	v := view{pod: w.pod, hostIP: w.node.hostAddress().String(), startTime: w.startTime, now: now,
		containers: w.containers, verdict: w.verdict, stopping: w.stopping, without: w.without}
	if shown := w.shown.Load(); shown != nil && shown.address.IsValid() {
		v.podIP = shown.address.String()
	}
	return v
}

// show replaces what others may know of the pod.
func (w *worker) show() {
	s := &shownPod{pod: w.pod, sandbox: w.sandbox, processes: map[string]isolation.Process{}, started: map[string]time.Time{}, attempts: map[string]int{}, previous: map[string]int{}}
	if old := w.shown.Load(); old != nil {
		s.address = old.address
	}
	if w.sandbox != nil {
		s.address = w.sandbox.Address()
	}
	s.ready = w.sandbox != nil && !w.stopping
	for _, c := range w.containers {
		s.attempts[c.spec.Name], s.previous[c.spec.Name] = c.attempt, c.attempt-1
		if c.ended != nil && c.waiting != nil {
			s.previous[c.spec.Name] = c.attempt // between two attempts, as a kubelet has it
		}
		if c.running() {
			s.processes[c.spec.Name], s.started[c.spec.Name] = c.process, c.startedAt
		}
		if (c.app() || c.sidecar()) && !(c.running() && c.ready) {
			s.ready = false
		}
	}
	w.shown.Store(s)
}
