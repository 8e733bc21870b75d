// SPDX-License-Identifier: Apache-2.0

package node

import (
	"hash/fnv"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

// unprivileged stands for the user of containers that do not say who they run as, and is their group.
const unprivileged = 65532

// ownUser is who the containers of a pod run as that do not say. Each pod has a user of its own: the kernel keeps
// keyrings by user, in which one pod could leave something for the next. Pods with persistent volumes share a user in
// their namespace, so that each can use the files of those before it. The range is one that systems leave unused.
func ownUser(pod *v1.Pod) uint32 {
	const first, count = 0x70000000, 0x0fffffff
	h := fnv.New32a()
	if hasClaim(pod) {
		_, _ = h.Write([]byte("namespace/" + pod.Namespace))
	} else {
		_, _ = h.Write([]byte(pod.UID))
	}
	return first + h.Sum32()%count
}

// maxProcesses bounds the processes and threads of a container.
const maxProcesses = 16384

// container is the state of one container of a pod, owned by the pod's worker.
type container struct {
	spec *v1.Container
	init bool
	// ephemeral: added to the running pod, for a look; runs once and decides nothing about the pod.
	ephemeral bool

	attempt     int // counts restarts
	starting    bool
	terminating bool // it has been asked to end
	process     isolation.Process
	probes      *prober

	startedAt time.Time
	started   bool // the startup probe has succeeded, or there is none
	ready     bool
	waiting   *v1.ContainerStateWaiting
	ended     *v1.ContainerStateTerminated
	previous  *v1.ContainerStateTerminated

	pull pulling

	backoff   time.Duration
	restartAt time.Time // zero unless a restart is due
}

// sidecar tells whether an init container keeps running beside the others.
func (c *container) sidecar() bool {
	return c.init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// app tells whether the container is one of those that the pod is there for.
func (c *container) app() bool { return !c.init && !c.ephemeral }

func (c *container) running() bool { return c.process != nil }

// idle tells whether nothing of the container runs or is about to.
func (c *container) idle() bool { return c.process == nil && !c.starting }

func (c *container) succeeded() bool { return c.ended != nil && c.ended.ExitCode == 0 }

const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 300 * time.Second
	// steady is how long a container must have run for its back-off to be forgotten.
	steady = 10 * time.Minute
)

// scheduleRestart sets restartAt as a kubelet would: the first restart at once, then after 10 s, 20 s… up to 5 min.
func (c *container) scheduleRestart(now time.Time) {
	if now.Sub(c.startedAt) > steady {
		c.backoff = 0
	}
	c.restartAt = now.Add(c.backoff)
	switch {
	case c.backoff == 0:
		c.backoff = firstBackoff
	default:
		c.backoff = min(2*c.backoff, maxBackoff)
	}
}

// restarts tells whether a container that ended with this code runs again.
func restarts(policy v1.RestartPolicy, c *container, code int32) bool {
	if !c.init && c.spec.RestartPolicy != nil {
		policy = v1.RestartPolicy(*c.spec.RestartPolicy)
	}
	switch {
	case c.ephemeral:
		return false
	case restartedByRule(c.spec.RestartPolicyRules, code):
		return true
	case c.sidecar():
		return true
	case c.init:
		return code != 0 && policy != v1.RestartPolicyNever
	case policy == v1.RestartPolicyAlways:
		return true
	case policy == v1.RestartPolicyOnFailure:
		return code != 0
	}
	return false
}

func restartedByRule(rules []v1.ContainerRestartRule, code int32) bool {
	for _, r := range rules {
		if r.ExitCodes != nil && slices.Contains(r.ExitCodes.Values, code) == (r.ExitCodes.Operator == v1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	return false
}

// runAs merges the security contexts of pod and container. Who is not told is unprivileged.
func runAs(pod *v1.PodSecurityContext, c *v1.SecurityContext) isolation.User {
	u := isolation.User{UID: unprivileged, GID: unprivileged}
	set := func(to *uint32, from *int64) {
		if from != nil && *from >= 0 {
			*to = uint32(*from) //nolint:gosec // the API server keeps it below 2^31
		}
	}
	if pod != nil {
		set(&u.UID, pod.RunAsUser)
		set(&u.GID, pod.RunAsGroup)
		for _, g := range pod.SupplementalGroups {
			u.Groups = append(u.Groups, uint32(g)) //nolint:gosec // as above
		}
		if pod.FSGroup != nil {
			u.Groups = append(u.Groups, uint32(*pod.FSGroup)) //nolint:gosec // as above
		}
	}
	if c != nil {
		set(&u.UID, c.RunAsUser)
		set(&u.GID, c.RunAsGroup)
	}
	return u
}

func limitsOf(c *v1.Container) isolation.Limits {
	request := c.Resources.Requests.Cpu().MilliValue()
	limit := c.Resources.Limits.Cpu().MilliValue()
	if request == 0 {
		request = limit
	}
	return isolation.Limits{CPURequest: request, CPULimit: limit, Memory: c.Resources.Limits.Memory().Value(), Processes: maxProcesses}
}
