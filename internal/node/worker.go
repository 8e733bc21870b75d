// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

// worker runs one pod. Its goroutine owns everything below; others send it functions through events, or read shown.
type worker struct {
	node      *Node
	logger    *slog.Logger
	dir       string
	events    chan func()
	ended     chan struct{} // closed when the goroutine has returned
	publisher *publisher
	shown     atomic.Pointer[shownPod]

	pod        *v1.Pod
	startTime  metav1.Time
	sandbox    isolation.Pod
	volumes    map[string]filled // by name of volume; nil until prepared
	containers []*container
	verdict    verdict
	adopting   bool     // a former run of the node has left the pod alive
	refusal    string   // what of the pod is refused
	without    []string // what the pod runs without

	preparing    bool
	prepareDelay time.Duration
	retryAt      time.Time // of preparing
	refreshAt    time.Time // of tokens
	refreshing   bool
	unwatch      func()

	stopping   bool
	killAt     time.Time // when the grace period ends
	released   bool
	final      bool // a final status has been published
	deleting   bool // the object is to be deleted
	gone       bool // the object no longer exists
	leaving    bool // the node itself stops
	left       bool // the node stops and the pod goes on
	untouched  bool // nothing of the pod had started when the node stopped: its status stays as it is
	closing    int  // containers that have ended and are being released
	quiet      time.Time
	background context.Context
}

// quietTime is how long a pod may take to start before its intermediate state is worth a write to the API.
const quietTime = 200 * time.Millisecond

func newWorker(n *Node, pod *v1.Pod) *worker {
	w := &worker{
		node: n, pod: pod, dir: n.podDir(string(pod.UID)), events: make(chan func(), 64), ended: make(chan struct{}),
		logger:     n.options.Logger.With("namespace", pod.Namespace, "pod", pod.Name),
		publisher:  newPublisher(n.client.CoreV1(), n.options.Logger, pod),
		startTime:  metav1.NewTime(n.now()),
		quiet:      n.now().Add(quietTime),
		background: n.ctx,
	}
	if pod.Status.StartTime != nil {
		w.startTime = *pod.Status.StartTime
	}
	for i := range pod.Spec.InitContainers {
		w.containers = append(w.containers, &container{spec: &pod.Spec.InitContainers[i], init: true})
	}
	for i := range pod.Spec.Containers {
		w.containers = append(w.containers, &container{spec: &pod.Spec.Containers[i]})
	}
	w.refusal, w.without = judge(pod, n.runtime.Level())
	w.addEphemeral()
	w.show()
	return w
}

// send hands f to the worker's goroutine; it is dropped when the worker has ended.
func (w *worker) send(f func()) {
	select {
	case w.events <- f:
	case <-w.ended:
	}
}

// run is the worker's goroutine: after every event it does what is then to do.
func (w *worker) run() {
	w.begin()
	for {
		w.step()
		if w.released && (w.gone || w.leaving) || w.left {
			break
		}
		timer := time.NewTimer(w.untilNext())
		select {
		case f := <-w.events:
			f()
		case <-timer.C:
		}
		timer.Stop()
		for more := true; more; {
			select {
			case f := <-w.events:
				f()
			default:
				more = false
			}
		}
	}
	close(w.ended)
	if w.gone {
		w.node.forget(w)
	}
}

// begin judges the pod as it was found.
func (w *worker) begin() {
	switch {
	case isFinal(w.pod.Status.Phase):
		w.final, w.stopping = true, true
	case w.adopting && w.adopt():
	case ranBefore(&w.pod.Status):
		w.restoreStates(true)
		w.end(verdict{ReasonLost, "Fathom stopped while the pod was running; its processes are gone", true})
	default:
		if w.refusal != "" {
			w.end(verdict{reason: ReasonUnsupported, message: "the local node does not support " + w.refusal + "; run this pod on another node"})
		}
	}
	if w.pod.DeletionTimestamp != nil {
		w.update(w.pod)
	}
}

// leave ends the pod because the node stops. What ran is reported as failed by no fault of its own; what had not
// started starts with the next run of the node.
func (w *worker) leave(grace time.Duration) {
	w.leaving = true
	w.untouched = true
	for _, c := range w.containers {
		if c.attempt > 0 || c.ended != nil || !c.idle() {
			w.untouched = false
		}
	}
	if w.verdict.reason == "" && !w.final {
		w.verdict = verdict{ReasonShutdown, "Fathom was stopped while the pod was running", true}
	}
	w.stop(min(grace, w.grace()))
}

func isFinal(p v1.PodPhase) bool { return p == v1.PodSucceeded || p == v1.PodFailed }

// ranBefore tells whether an earlier run of the node has started a container of the pod.
func ranBefore(s *v1.PodStatus) bool {
	for _, list := range [][]v1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for _, c := range list {
			if c.ContainerID != "" {
				return true
			}
		}
	}
	return false
}

// step does what is to do now: prepare, start, stop, release; then it shows and publishes the result.
func (w *worker) step() {
	now := w.node.now()
	w.checkDeadline(now)
	switch {
	case w.stopping:
		w.stopContainers(now)
		w.release()
	default:
		w.prepare(now)
		w.startDue(now)
		w.refresh(now)
		w.finishIfDone(now)
	}
	w.show()
	w.publish(now)
}

// end stops the pod for a reason of its own; the first reason stays.
func (w *worker) end(v verdict) {
	if w.verdict.reason == "" && !w.final {
		w.verdict = v
	}
	w.stop(w.grace())
}

func (w *worker) grace() time.Duration {
	seconds := int64(30)
	if s := w.pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	return time.Duration(seconds) * time.Second
}

// stop begins the end of all containers, or brings its deadline forward.
func (w *worker) stop(grace time.Duration) {
	killAt := w.node.now().Add(grace)
	if !w.stopping || killAt.Before(w.killAt) {
		w.killAt = killAt
	}
	if !w.stopping {
		w.stopping = true
		w.terminateNext()
	}
}

// terminateNext asks all containers to end but sidecars, which end after them, the last one first.
func (w *worker) terminateNext() {
	busy := false
	for _, c := range w.containers {
		if !c.sidecar() && !c.idle() {
			busy = true
			w.terminate(c)
		}
	}
	for i := len(w.containers) - 1; i >= 0 && !busy; i-- {
		if c := w.containers[i]; c.sidecar() && !c.idle() {
			w.terminate(c)
			return
		}
	}
}

func (w *worker) checkDeadline(now time.Time) {
	if d := w.pod.Spec.ActiveDeadlineSeconds; d != nil && !w.stopping && !now.Before(w.deadline()) {
		w.end(verdict{reason: ReasonDeadlineExceeded, message: "Pod was active on the node longer than the specified deadline"})
	}
}

func (w *worker) deadline() time.Time {
	return w.startTime.Add(time.Duration(*w.pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

// stopContainers kills what has outlived the grace period.
func (w *worker) stopContainers(now time.Time) {
	w.terminateNext()
	if now.Before(w.killAt) {
		return
	}
	for _, c := range w.containers {
		if c.running() {
			if err := c.process.Kill(); err != nil {
				w.logger.Error("container could not be killed", "container", c.spec.Name, "error", err)
			}
		}
	}
}

// finishIfDone ends a pod whose containers have all ended for good; sidecars are then stopped.
func (w *worker) finishIfDone(time.Time) {
	policy := w.pod.Spec.RestartPolicy
	for _, c := range w.containers {
		if c.init && c.ended != nil && c.idle() && !c.succeeded() && !restarts(policy, c, c.ended.ExitCode) {
			w.stop(w.grace()) // an init container failed for good
			return
		}
	}
	for _, c := range w.containers {
		if c.app() && (!c.idle() || c.ended == nil || restarts(policy, c, c.ended.ExitCode)) {
			return
		}
	}
	w.stop(w.grace())
}

func (w *worker) allIdle() bool {
	for _, c := range w.containers {
		if !c.idle() {
			return false
		}
	}
	return !w.preparing
}

// release gives back what a pod held whose containers have all ended.
func (w *worker) release() {
	if w.released || !w.allIdle() || w.closing > 0 {
		return
	}
	w.released = true
	if w.unwatch != nil {
		w.unwatch()
		w.unwatch = nil
	}
	w.node.enforcer.forget(w.pod.UID)
	if w.sandbox != nil {
		if err := w.sandbox.Close(w.background); err != nil {
			w.logger.Error("sandbox could not be closed", "error", err)
		}
		w.sandbox = nil
	}
	w.node.removeVolumes(w.dir, string(w.pod.UID))
}

// untilNext is the time until something is to do without an event.
func (w *worker) untilNext() time.Duration {
	next := w.node.now().Add(time.Hour)
	at := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	switch {
	case w.stopping:
		if !w.allIdle() {
			at(w.killAt)
			if !w.killAt.After(w.node.now()) {
				at(w.node.now().Add(time.Second)) // killed, not yet ended: look again
				return max(time.Second, next.Sub(w.node.now()))
			}
		}
	default:
		at(w.retryAt)
		at(w.refreshAt)
		at(w.quiet)
		for _, c := range w.containers {
			at(c.restartAt)
			c.pull.wake(at, w.node.now())
		}
		if w.pod.Spec.ActiveDeadlineSeconds != nil {
			at(w.deadline())
		}
	}
	return max(0, next.Sub(w.node.now()))
}

// update takes over a new version of the pod object.
func (w *worker) update(pod *v1.Pod) {
	w.pod = pod
	_, w.without = judge(pod, w.node.runtime.Level())
	w.addEphemeral()
	w.node.enforcer.update(pod)
	if pod.DeletionTimestamp == nil {
		return
	}
	w.deleting = true
	grace := w.grace()
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	w.stop(grace)
}

// removed ends the pod at once: its object does not exist any more.
func (w *worker) removed() {
	w.gone = true
	w.publisher.Gone()
	w.stop(0)
}

func (w *worker) containerDir(c *container) string {
	return filepath.Join(w.dir, "containers", c.spec.Name)
}
