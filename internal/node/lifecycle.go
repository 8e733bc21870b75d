// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/output"
)

// prepare opens the sandbox and fills the volumes, side by side; a failure is tried again with growing delay, and at
// once when an object that the pod refers to changes.
func (w *worker) prepare(now time.Time) {
	if w.preparing || w.volumes != nil && w.sandbox != nil || now.Before(w.retryAt) {
		return
	}
	w.preparing, w.retryAt = true, time.Time{}
	pod, opened := w.pod, w.sandbox
	go func() {
		result := w.node.prepare(w.background, pod, w.dir, opened)
		w.send(func() { w.prepared(result) })
	}()
}

// preparation is the outcome of Node.prepare.
type preparation struct {
	sandbox   isolation.Pod
	volumes   map[string]filled
	refreshAt time.Time
	err       error
}

func (w *worker) prepared(p preparation) {
	w.preparing = false
	if p.sandbox != nil {
		w.sandbox = p.sandbox
		w.node.enforcer.update(w.pod) // it may have changed meanwhile
	}
	if p.err == nil {
		w.volumes, w.refreshAt, w.prepareDelay = p.volumes, p.refreshAt, 0
		w.watchReferences()
		return
	}
	w.prepareDelay = min(max(2*w.prepareDelay, 500*time.Millisecond), 30*time.Second)
	w.retryAt = w.node.now().Add(w.prepareDelay)
	w.node.event(w.pod, v1.EventTypeWarning, "FailedMount", p.err.Error())
	for _, c := range w.containers {
		c.waiting = &v1.ContainerStateWaiting{Reason: "ContainerCreating", Message: p.err.Error()}
	}
	w.watchReferences()
}

// watchReferences has the volumes brought up to date when something that they are made of changes.
func (w *worker) watchReferences() {
	if w.unwatch != nil || w.stopping {
		return
	}
	if keys := references(w.pod); len(keys) > 0 {
		w.unwatch = w.node.objects.Watch(keys, func() {
			w.send(func() {
				if w.volumes == nil {
					w.retryAt = w.node.now()
				} else {
					w.refreshAt = w.node.now()
				}
			})
		})
	}
}

// refresh replaces tokens before they expire, and the content of ConfigMaps and Secrets that changed.
func (w *worker) refresh(now time.Time) {
	if w.refreshing || w.refreshAt.IsZero() || now.Before(w.refreshAt) || w.volumes == nil {
		return
	}
	w.refreshing, w.refreshAt = true, time.Time{}
	pod := w.pod
	go func() {
		_, refreshAt, err := w.node.fillVolumes(w.background, pod, w.dir)
		w.send(func() {
			w.refreshing = false
			if err != nil {
				w.node.event(w.pod, v1.EventTypeWarning, "FailedMount", err.Error())
				refreshAt = w.node.now().Add(10 * time.Second)
			}
			if w.refreshAt.IsZero() || !refreshAt.IsZero() && refreshAt.Before(w.refreshAt) {
				w.refreshAt = refreshAt
			}
		})
	}()
}

// startDue starts what may start now: init containers one after the other, then all others.
func (w *worker) startDue(now time.Time) {
	if w.volumes == nil || w.sandbox == nil {
		return
	}
	for _, c := range w.containers {
		if c.ephemeral {
			w.startIfDue(c, now)
		}
	}
	for _, c := range w.containers {
		if c.ephemeral {
			continue
		}
		if c.init {
			if !c.succeeded() || c.sidecar() {
				w.startIfDue(c, now)
			}
			if !c.succeeded() && !(c.sidecar() && c.started) {
				return
			}
			continue
		}
		w.startIfDue(c, now)
	}
}

func (w *worker) startIfDue(c *container, now time.Time) {
	if !c.idle() {
		return
	}
	if c.ended != nil {
		switch {
		case !restarts(w.pod.Spec.RestartPolicy, c, c.ended.ExitCode):
			return
		case now.Before(c.restartAt):
			c.waiting = &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf(
				"back-off %s restarting failed container", c.restartAt.Sub(c.ended.FinishedAt.Time).Round(time.Second))}
			return
		}
		c.previous, c.ended = c.ended, nil
		c.attempt++
	} else if now.Before(c.restartAt) {
		return
	}
	if !w.pulled(c, now) {
		return
	}
	c.starting, c.restartAt, c.waiting = true, time.Time{}, nil
	w.start(c)
}

// start runs the slow part of a container's start apart from the worker.
func (w *worker) start(c *container) {
	s := w.starter(c)
	c.pull.image = nil                                          // the next attempt asks again, as its policy says
	_ = os.Remove(output.Path(w.dir, c.spec.Name, c.attempt-2)) // the last and the one before stay
	go func() {
		process, err := s.start(w.background)
		w.send(func() { w.startedOrFailed(c, s, process, err) })
	}()
}

func (w *worker) starter(c *container) starter {
	return starter{node: w.node, pod: w.pod, sandbox: w.sandbox, volumes: w.volumes, spec: c.spec, image: c.pull.image,
		id: attemptID(w.pod, c), dir: filepath.Join(w.containerDir(c), fmt.Sprint(c.attempt)), log: output.Path(w.dir, c.spec.Name, c.attempt)}
}

// attemptID is unique among all attempts of all containers of the node.
func attemptID(pod *v1.Pod, c *container) string {
	return fmt.Sprintf("%s-%s-%d", pod.UID, c.spec.Name, c.attempt)
}

func (w *worker) startedOrFailed(c *container, s starter, process isolation.Process, err error) {
	c.starting = false
	now := w.node.now()
	if err != nil {
		w.startFailed(c, err, now)
		return
	}
	c.process, c.startedAt, c.waiting = process, now, nil
	c.started, c.ready, c.terminating = false, false, false
	w.show()
	w.afterStart(c)
	go w.await(c, s, process)
	if w.stopping {
		w.terminate(c)
	}
}

// await reports the end of a container at once and then releases it.
func (w *worker) await(c *container, s starter, process isolation.Process) {
	select {
	case <-process.Done():
	case <-w.ended: // only a worker that leaves its pod alive ends before its containers
		return
	}
	select {
	case <-w.ended:
		return
	default:
	}
	process.Flush()
	message := s.terminationMessage(process.Exit().Code)
	w.send(func() {
		w.closing++
		w.exited(c, process.Exit(), message)
	})
	if err := process.Close(context.WithoutCancel(w.background)); err != nil {
		w.logger.Error("container could not be released", "container", c.spec.Name, "error", err)
	}
	w.send(func() { w.closing-- })
}

// startFailed tells a program that cannot be executed, which ends the attempt, from a lack of something else, which
// is tried again.
func (w *worker) startFailed(c *container, err error, now time.Time) {
	var program *isolation.StartError
	if errors.As(err, &program) {
		at := metav1.NewTime(now)
		c.startedAt = now
		c.ended = &v1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: program.Message,
			StartedAt: at, FinishedAt: at, ContainerID: containerID(w.pod, c)}
		w.node.event(w.pod, v1.EventTypeWarning, "Failed", "Error: "+program.Message)
		w.restartLater(c, now)
		return
	}
	reason := "CreateContainerError"
	if fault.KindOf(err) == fault.Invalid || fault.KindOf(err) == fault.NotFound {
		reason = "CreateContainerConfigError"
	}
	w.logger.Warn("container could not be created", "container", c.spec.Name, "error", err)
	w.node.event(w.pod, v1.EventTypeWarning, "Failed", "Error: "+err.Error())
	c.waiting = &v1.ContainerStateWaiting{Reason: reason, Message: err.Error()}
	c.restartAt = now.Add(2 * time.Second)
}

func (w *worker) restartLater(c *container, now time.Time) {
	if !w.stopping && restarts(w.pod.Spec.RestartPolicy, c, c.ended.ExitCode) {
		c.scheduleRestart(now)
		w.node.event(w.pod, v1.EventTypeWarning, "BackOff", "restarting container "+c.spec.Name)
	}
}

func (w *worker) exited(c *container, exit isolation.Exit, message string) {
	c.probes.stop()
	c.probes = nil
	c.process, c.started, c.ready = nil, false, false
	c.ended = &v1.ContainerStateTerminated{
		ExitCode: int32(exit.Code), Reason: ReasonCompleted, Message: message, //nolint:gosec // an exit code
		StartedAt: metav1.NewTime(c.startedAt), FinishedAt: metav1.NewTime(exit.At), ContainerID: containerID(w.pod, c),
	}
	switch {
	case exit.OutOfMemory:
		c.ended.Reason = ReasonOutOfMemory
	case exit.Code != 0:
		c.ended.Reason = ReasonError
	}
	w.restartLater(c, w.node.now())
}

func (w *worker) probed(c *container, attempt int, kind probeKind, ok bool, message string) {
	if c.attempt != attempt || !c.running() {
		return
	}
	if !ok {
		w.node.event(w.pod, v1.EventTypeWarning, "Unhealthy", fmt.Sprintf("%s probe of container %s failed: %s", kind, c.spec.Name, message))
	}
	switch {
	case kind == readiness:
		c.ready = ok
	case kind == startup && ok:
		c.started = true
		c.ready = c.spec.ReadinessProbe == nil
	case !ok:
		probe := c.spec.LivenessProbe
		if kind == startup {
			probe = c.spec.StartupProbe
		}
		grace := w.grace()
		if probe.TerminationGracePeriodSeconds != nil {
			grace = time.Duration(*probe.TerminationGracePeriodSeconds) * time.Second
		}
		w.node.event(w.pod, v1.EventTypeNormal, "Killing", fmt.Sprintf("Container %s failed its %s probe and is restarted", c.spec.Name, strings.ToLower(string(kind))))
		w.terminateWithin(c, grace)
	}
}

// removeVolumes removes what a pod's containers used; logs stay until the pod's object is removed.
func (n *Node) removeVolumes(dir, uid string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != "logs" {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.RemoveAll(n.secretDir(uid))
}
