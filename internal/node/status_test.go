// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

type fakeProcess struct{ isolation.Process }

// containers in the states that a pod's phase depends on.
func fresh() *container { return &container{spec: &v1.Container{Name: "main"}} }
func runs() *container {
	c := fresh()
	c.process, c.ready, c.started = fakeProcess{}, true, true
	return c
}
func ended(code int32) *container {
	c := fresh()
	c.ended = &v1.ContainerStateTerminated{ExitCode: code}
	return c
}
func initial(c *container) *container { c.init = true; return c }
func side(c *container) *container {
	always := v1.ContainerRestartPolicyAlways
	c.init, c.spec.RestartPolicy = true, &always
	return c
}

func TestPhase(t *testing.T) {
	const never, onFailure, always = v1.RestartPolicyNever, v1.RestartPolicyOnFailure, v1.RestartPolicyAlways
	list := func(c ...*container) []*container { return c }
	for _, c := range []struct {
		name       string
		policy     v1.RestartPolicy
		containers []*container
		verdict    verdict
		stopping   bool
		want       v1.PodPhase
		wantReady  bool
	}{
		{name: "new", policy: never, containers: list(fresh()), want: v1.PodPending},
		{name: "running", policy: never, containers: list(runs()), want: v1.PodRunning, wantReady: true},
		{name: "one of two started", policy: never, containers: list(runs(), fresh()), want: v1.PodPending},
		{name: "initialising", policy: never, containers: list(initial(runs()), fresh()), want: v1.PodPending},
		{name: "init failed for good", policy: never, containers: list(initial(ended(1)), fresh()), want: v1.PodFailed},
		{name: "init is tried again", policy: always, containers: list(initial(ended(1)), fresh()), want: v1.PodPending},
		{name: "sidecar beside", policy: never, containers: list(side(runs()), runs()), want: v1.PodRunning, wantReady: true},
		{name: "sidecar still ends", policy: never, containers: list(side(runs()), ended(0)), stopping: true, want: v1.PodRunning},
		{name: "sidecar was killed", policy: never, containers: list(side(ended(137)), ended(0)), stopping: true, want: v1.PodSucceeded},
		{name: "succeeded", policy: never, containers: list(ended(0)), want: v1.PodSucceeded},
		{name: "failed", policy: never, containers: list(ended(0), ended(1)), want: v1.PodFailed},
		{name: "one of two ended", policy: never, containers: list(runs(), ended(1)), want: v1.PodRunning},
		{name: "failure is tried again", policy: onFailure, containers: list(ended(1)), want: v1.PodRunning},
		{name: "success is final", policy: onFailure, containers: list(ended(0)), want: v1.PodSucceeded},
		{name: "success is tried again", policy: always, containers: list(ended(0)), want: v1.PodRunning},
		{name: "deleted politely", policy: always, containers: list(ended(0)), stopping: true, want: v1.PodSucceeded},
		{name: "deleted by force", policy: always, containers: list(ended(137)), stopping: true, want: v1.PodFailed},
		{name: "deleted before its start", policy: always, containers: list(fresh()), stopping: true, want: v1.PodFailed},
		{name: "deadline, still ending", policy: never, containers: list(runs()), verdict: verdict{reason: ReasonDeadlineExceeded}, stopping: true, want: v1.PodRunning, wantReady: true},
		{name: "deadline, ended politely", policy: never, containers: list(ended(0)), verdict: verdict{reason: ReasonDeadlineExceeded}, stopping: true, want: v1.PodFailed},
		{name: "lost", policy: always, containers: list(ended(137)), verdict: verdict{reason: ReasonLost, disruption: true}, stopping: true, want: v1.PodFailed},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{RestartPolicy: c.policy}}
		s := view{pod: pod, now: time.Unix(1, 0), containers: c.containers, verdict: c.verdict, stopping: c.stopping}.status()
		if s.Phase != c.want || conditionTrue(s.Conditions, v1.PodReady) != c.wantReady || s.Reason != c.verdict.reason {
			t.Errorf("%s: phase %s, ready %t, reason %q; want %s, %t, %q", c.name, s.Phase, conditionTrue(s.Conditions, v1.PodReady), s.Reason, c.want, c.wantReady, c.verdict.reason)
		}
		if got := conditionTrue(s.Conditions, v1.DisruptionTarget); got != c.verdict.disruption {
			t.Errorf("%s: disruption target %t; want %t", c.name, got, c.verdict.disruption)
		}
	}
}

func TestStopSignal(t *testing.T) {
	for signal, want := range map[v1.Signal]syscall.Signal{"SIGUSR1": syscall.SIGUSR1, "SIGINT": syscall.SIGINT, "SIGNONE": syscall.SIGTERM} {
		if got := stopSignal(&v1.Container{Lifecycle: &v1.Lifecycle{StopSignal: &signal}}); got != want {
			t.Errorf("%s: %v; want %v", signal, got, want)
		}
	}
	if got := stopSignal(&v1.Container{}); got != syscall.SIGTERM {
		t.Errorf("without a wish: %v", got)
	}
}

func TestConditionsKeepTheirTime(t *testing.T) {
	v := view{pod: &v1.Pod{}, now: time.Unix(100, 0), containers: []*container{runs()}}
	v.pod.Status = v.status()
	foreign := v1.PodCondition{Type: "example.org/seen", Status: v1.ConditionTrue}
	v.pod.Status.Conditions = append(v.pod.Status.Conditions, foreign)
	v.now = time.Unix(200, 0)
	later := v.status()
	if !slices.Contains(later.Conditions, foreign) {
		t.Error("a condition of somebody else is gone")
	}
	for _, c := range later.Conditions {
		if c.Type == v1.PodReady && c.LastTransitionTime.Unix() != 100 {
			t.Errorf("Ready moved at %d although it did not change; want 100", c.LastTransitionTime.Unix())
		}
	}
}

func TestBackOff(t *testing.T) {
	c := fresh()
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second} {
		c.startedAt = now
		c.scheduleRestart(now)
		if got := c.restartAt.Sub(now); got != want {
			t.Errorf("restart %d after %v; want %v", i+1, got, want)
		}
	}
	c.startedAt = now.Add(-time.Hour)
	if c.scheduleRestart(now); !c.restartAt.Equal(now) {
		t.Error("the back-off was not forgotten after an hour of running")
	}
}

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "2"}
	for in, want := range map[string]string{
		"$(A)-$(B)": "1-2", "$(C)": "$(C)", "$$(A)": "$(A)", "$$$(A)": "$1", "$A": "$A", "$(A": "$(A", "cost $": "cost $", "": "", "$()": "$()",
	} {
		if got := expand(in, values); got != want {
			t.Errorf("expand(%q) is %q; want %q", in, got, want)
		}
	}
}
