// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons that the node writes; the others are a kubelet's.
const (
	ReasonCompleted        = "Completed"
	ReasonError            = "Error"
	ReasonOutOfMemory      = "OOMKilled"
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonLost: the pod's processes were gone when the node started again.
	ReasonLost = "NodeLost"
	// ReasonShutdown: the node was stopped while the pod ran.
	ReasonShutdown = "NodeShutdown"
	// ReasonUnsupported: the pod asks for something that the local node does not honour.
	ReasonUnsupported = "UnsupportedPodSpec"
)

// view is what a pod's status is made from.
type view struct {
	pod        *v1.Pod
	hostIP     string
	podIP      string
	startTime  metav1.Time
	now        time.Time
	containers []*container
	// verdict ends the pod whatever its containers did; empty while there is none.
	verdict verdict
	// without lists the fields that are not honoured.
	without []string
	// stopping: no container will be started again.
	stopping bool
}

// verdict is why a pod was ended from outside of its containers.
type verdict struct {
	reason, message string
	// disruption: the pod did nothing wrong (it was lost or its node was stopped).
	disruption bool
}

// status composes the whole status of a pod, keeping what others wrote into it.
func (v view) status() v1.PodStatus {
	s := *v.pod.Status.DeepCopy()
	s.ObservedGeneration = v.pod.Generation
	s.StartTime = &v.startTime
	s.HostIP, s.HostIPs = v.hostIP, []v1.HostIP{{IP: v.hostIP}}
	if v.podIP != "" {
		s.PodIP, s.PodIPs = v.podIP, []v1.PodIP{{IP: v.podIP}}
	}
	s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
	for _, c := range v.containers {
		cs := v.containerStatus(c)
		switch {
		case c.init:
			s.InitContainerStatuses = append(s.InitContainerStatuses, cs)
		case c.ephemeral:
			s.EphemeralContainerStatuses = append(s.EphemeralContainerStatuses, cs)
		default:
			s.ContainerStatuses = append(s.ContainerStatuses, cs)
		}
	}
	s.Phase = v.phase()
	s.Reason, s.Message = "", ""
	if v.verdict.reason != "" {
		s.Reason, s.Message = v.verdict.reason, v.verdict.message
	}
	s.Conditions = v.conditions(s)
	return s
}

func (v view) containerStatus(c *container) v1.ContainerStatus {
	started := c.started && c.running()
	s := v1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.pull.id,
		RestartCount: int32(c.attempt), //nolint:gosec // never that many
		Ready:        c.ready && c.running(),
		Started:      &started,
	}
	if c.init && !c.sidecar() {
		s.Ready = c.succeeded()
	}
	if c.attempt > 0 || c.running() || c.ended != nil {
		s.ContainerID = containerID(v.pod, c)
	}
	switch {
	case c.running():
		s.State.Running = &v1.ContainerStateRunning{StartedAt: metav1.NewTime(c.startedAt)}
		s.LastTerminationState.Terminated = c.previous
	case c.waiting != nil:
		s.State.Waiting = c.waiting
		s.LastTerminationState.Terminated = c.previous
		if c.ended != nil {
			s.LastTerminationState.Terminated = c.ended
		}
	case c.ended != nil:
		s.State.Terminated = c.ended
		s.LastTerminationState.Terminated = c.previous
	default:
		s.State.Waiting = &v1.ContainerStateWaiting{Reason: v.waitingReason(c)}
		s.LastTerminationState.Terminated = c.previous
	}
	return s
}

func (v view) waitingReason(c *container) string {
	if c.app() && !v.initialized() {
		return "PodInitializing"
	}
	return "ContainerCreating"
}

// initialized: every init container has succeeded, and every sidecar has started.
func (v view) initialized() bool {
	for _, c := range v.containers {
		if c.init && !c.succeeded() && !(c.sidecar() && c.started) {
			return false
		}
	}
	return true
}

// tally counts the states of a pod's containers.
type tally struct {
	apps, waiting, busy, succeeded, again int
	initFailed                            bool
}

func (v view) count() tally {
	var t tally
	for _, c := range v.containers {
		if !c.idle() {
			t.busy++
		}
		again := c.ended != nil && restarts(v.pod.Spec.RestartPolicy, c, c.ended.ExitCode)
		switch {
		case c.init:
			t.initFailed = t.initFailed || c.ended != nil && !again && !c.succeeded()
		case c.app():
			t.app(c, again && !v.stopping)
		}
	}
	return t
}

func (t *tally) app(c *container, again bool) {
	t.apps++
	switch {
	case c.running():
		return
	case c.ended == nil && c.attempt == 0:
		t.waiting++
	case c.succeeded():
		t.succeeded++
	}
	if again && c.idle() {
		t.again++
	}
}

// phase is decided as a kubelet decides it; a final phase waits until nothing runs any more.
func (v view) phase() v1.PodPhase {
	t := v.count()
	switch idle := t.busy == 0; {
	case idle && (v.verdict.reason != "" || t.initFailed || v.stopping && t.succeeded < t.apps):
		return v1.PodFailed
	case idle && t.succeeded == t.apps && t.again == 0:
		return v1.PodSucceeded
	case !v.initialized() || t.waiting > 0:
		return v1.PodPending
	case idle && t.again == 0:
		return v1.PodFailed
	}
	return v1.PodRunning
}

func (v view) conditions(s v1.PodStatus) []v1.PodCondition {
	list := append([]v1.PodCondition(nil), s.Conditions...)
	set := func(kind v1.PodConditionType, ok bool, reason, message string) {
		c := v1.PodCondition{Type: kind, Status: v1.ConditionFalse, Reason: reason, Message: message,
			LastTransitionTime: metav1.NewTime(v.now), ObservedGeneration: v.pod.Generation}
		if ok {
			c.Status = v1.ConditionTrue
		}
		list = setCondition(list, c)
	}
	final := s.Phase == v1.PodSucceeded || s.Phase == v1.PodFailed
	set(v1.PodReadyToStartContainers, v.podIP != "" && !final, "", "")

	initialized, why := v.initialized(), ""
	switch {
	case s.Phase == v1.PodSucceeded:
		initialized, why = true, "PodCompleted"
	case !initialized:
		why = "ContainersNotInitialized"
	}
	set(v1.PodInitialized, initialized, why, "")

	ready, reason, message := v.containersReady(s)
	set(v1.ContainersReady, ready, reason, message)
	if ready {
		for _, gate := range v.pod.Spec.ReadinessGates {
			if !conditionTrue(list, gate.ConditionType) {
				ready, reason, message = false, "ReadinessGatesNotReady", "condition "+string(gate.ConditionType)+" is not true"
			}
		}
	}
	set(v1.PodReady, ready, reason, message)
	if len(v.without) > 0 {
		set(FullyHonoured, false, "FieldsNotHonoured", "not honoured: "+strings.Join(v.without, "; "))
	}
	if v.verdict.disruption {
		set(v1.DisruptionTarget, true, v1.PodReasonTerminationByKubelet, v.verdict.message)
	}
	return list
}

func (v view) containersReady(s v1.PodStatus) (ok bool, reason, message string) {
	switch s.Phase {
	case v1.PodSucceeded:
		return false, "PodCompleted", ""
	case v1.PodFailed:
		return false, "PodFailed", ""
	}
	for _, c := range v.containers {
		if (c.app() || c.sidecar()) && !(c.ready && c.running()) {
			return false, "ContainersNotReady", "container " + c.spec.Name + " is not ready"
		}
	}
	return true, "", ""
}

func conditionTrue(list []v1.PodCondition, kind v1.PodConditionType) bool {
	for _, c := range list {
		if c.Type == kind {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// setCondition replaces the condition of the same type; the time of transition moves only when the status changes.
func setCondition(list []v1.PodCondition, c v1.PodCondition) []v1.PodCondition {
	for i, old := range list {
		if old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			list[i] = c
			return list
		}
	}
	return append(list, c)
}

func containerID(pod *v1.Pod, c *container) string {
	return "fathom://" + attemptID(pod, c)
}
