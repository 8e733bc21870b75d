// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// adopt takes over a pod that a former run of the node has left alive; false when it turns out not to be.
func (w *worker) adopt() bool {
	sandbox, err := w.node.runtime.Adopt(podConfig(w.pod, w.dir))
	if err != nil {
		w.logger.Warn("pod of a former run cannot be adopted", "error", err)
		w.node.runtime.Abandon(string(w.pod.UID))
		return false
	}
	w.sandbox = sandbox
	w.restoreStates(false)
	for _, c := range w.containers {
		w.adoptContainer(c)
	}
	w.node.event(w.pod, v1.EventTypeNormal, "Adopted", "Fathom has started again; the pod went on meanwhile")
	return true
}

// adoptContainer finds the container's last attempt. The keeper knows better than the status, which may not have been
// written any more.
func (w *worker) adoptContainer(c *container) {
	known, ended, previous := c.attempt, c.ended, c.previous
	for c.attempt = known + 1; c.attempt >= known; c.attempt-- {
		process, found := w.sandbox.Adopt(attemptID(w.pod, c), filepath.Join(w.containerDir(c), fmt.Sprint(c.attempt)))
		if !found {
			continue
		}
		c.ended, c.process = nil, process
		if c.attempt > known && ended != nil {
			previous = ended
		}
		c.previous = previous
		if c.startedAt.IsZero() || c.attempt > known {
			c.startedAt = w.node.now()
		}
		w.show()
		w.resumeProbes(c)
		go w.await(c, w.starter(c), process)
		return
	}
	c.attempt = known
	if c.ended == nil && !c.startedAt.IsZero() {
		c.ended = w.lostState(c)
	}
}

// resumeProbes goes on with what the status says of an adopted container.
func (w *worker) resumeProbes(c *container) {
	for _, list := range [][]v1.ContainerStatus{w.pod.Status.InitContainerStatuses, w.pod.Status.ContainerStatuses, w.pod.Status.EphemeralContainerStatuses} {
		for _, s := range list {
			if s.Name == c.spec.Name && int(s.RestartCount) == c.attempt && s.Started != nil && *s.Started {
				w.startProbes(c, true, s.Ready)
				return
			}
		}
	}
	w.beginProbes(c)
}

func (w *worker) lostState(c *container) *v1.ContainerStateTerminated {
	return &v1.ContainerStateTerminated{ExitCode: 137, Reason: ReasonLost, FinishedAt: metav1.NewTime(w.node.now()),
		StartedAt: metav1.NewTime(c.startedAt), Message: "the process was gone when Fathom started", ContainerID: containerID(w.pod, c)}
}

// restoreStates takes over what the status says of containers; with lost, those that ran count as ended.
func (w *worker) restoreStates(lost bool) {
	known := map[string]v1.ContainerStatus{}
	for _, list := range [][]v1.ContainerStatus{w.pod.Status.InitContainerStatuses, w.pod.Status.ContainerStatuses, w.pod.Status.EphemeralContainerStatuses} {
		for _, s := range list {
			known[s.Name] = s
		}
	}
	for _, c := range w.containers {
		s, ok := known[c.spec.Name]
		if !ok || s.ContainerID == "" {
			continue
		}
		c.pull.id = s.ImageID
		c.attempt, c.ended, c.previous = int(s.RestartCount), s.State.Terminated, s.LastTerminationState.Terminated
		if s.State.Running != nil {
			c.startedAt = s.State.Running.StartedAt.Time
		}
		switch {
		case c.ended != nil:
		case lost:
			c.ended = w.lostState(c)
		case s.State.Waiting != nil && c.previous != nil: // between two attempts
			c.ended, c.previous = c.previous, nil
		}
	}
}

// leaveAlive ends the worker, not the pod.
func (w *worker) leaveAlive() { w.left = true }

// abandonUnwanted ends the pods of a former run that nobody wants any more.
func (n *Node) abandonUnwanted() {
	wanted := map[string]bool{}
	n.mu.Lock()
	for uid, w := range n.workers {
		wanted[string(uid)] = w.adopting
	}
	n.mu.Unlock()
	for _, pod := range n.runtime.Kept() {
		if !wanted[pod] {
			n.runtime.Abandon(pod)
		}
	}
}

// KeepAlive is how long pods go on while Fathom is not there.
const KeepAlive = 2 * time.Minute
