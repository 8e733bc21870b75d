// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/testenv"
)

func shellHook(script string) *v1.LifecycleHandler {
	return &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"/bin/sh", "-c", script}}}
}

// podPostStart: a container is ready once its hook has ended, and is killed when the hook fails.
func podPostStart(c *cluster) {
	c.create(shell("hooked", "sleep 1000", grace(0), shared, func(p *v1.Pod) {
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: shellHook("until test -e /shared/go; do sleep 0.02; done; touch /shared/done")}
	}))
	if c.await("hooked", "running", running); ready(c.await("hooked", "running", running)) {
		c.Error("the container is ready before its hook has ended")
	}
	c.exec("hooked", "touch /shared/go")
	c.await("hooked", "ready", ready)
	c.exec("hooked", "test -e /shared/done")

	pod := c.run(shell("failing", "sleep 1000", grace(1), func(p *v1.Pod) {
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: shellHook("exit 1")}
	}))
	if s := pod.Status.ContainerStatuses[0].State.Terminated; pod.Status.Phase != v1.PodFailed || s.ExitCode == 0 {
		c.Errorf("pod is\n%s\nwant Failed, as its hook failed", describe(pod))
	}
	c.awaitEvent("failing", "FailedPostStartHook")
}

func (c *cluster) awaitEvent(pod, reason string) {
	c.Helper()
	testenv.Eventually(c.T, "event "+reason+" of "+pod, func(ctx context.Context) (bool, error) {
		list, err := c.client.CoreV1().Events(c.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod + ",reason=" + reason})
		return err == nil && len(list.Items) > 0, err
	})
}

// podEnds: the hook before the end runs, then the container is asked to end.
func podEnds(c *cluster) {
	c.create(shell("ending", "trap 'cat /shared/hook; echo asked; exit 0' TERM; echo ready; while :; do sleep 0.02; done", grace(20), shared,
		func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: shellHook("echo hook > /shared/hook")}
		}))
	c.awaitLog("ending", "ready")
	if _, err := c.client.CoreV1().Pods(c.namespace).Patch(c.Context(), "ending", "application/merge-patch+json", []byte(`{"spec":{"activeDeadlineSeconds":1}}`), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
	pod := c.await("ending", "finished", finished)
	if got := c.log("ending", v1.PodLogOptions{}); got != "ready\nhook\nasked\n" {
		c.Errorf("log %q, pod\n%s\nwant the hook, then SIGTERM", got, describe(pod))
	}
}

// podSidecarsEndLast: on deletion sidecars serve until the containers have ended, and end in reverse order.
func podSidecarsEndLast(c *cluster) {
	always := v1.ContainerRestartPolicyAlways
	side := func(name string) v1.Container {
		s := container(name, "trap 'echo "+name+" >> /shared/order; exit 0' TERM; while :; do sleep 0.02; done")
		s.RestartPolicy = &always
		return s
	}
	pod := shell("ordered", "trap 'sleep 0.2; echo main >> /shared/order; exit 0' TERM; echo ready; while :; do sleep 0.02; done", grace(20), func(p *v1.Pod) {
		p.Spec.InitContainers = []v1.Container{side("one"), side("two")}
	}, shared)
	last := side("zero")
	last.Command[2] = "trap 'cat /shared/order > /dev/termination-log; exit 0' TERM; while :; do sleep 0.02; done"
	pod.Spec.InitContainers = append([]v1.Container{last}, pod.Spec.InitContainers...)
	pod.Spec.InitContainers[0].VolumeMounts = pod.Spec.InitContainers[1].VolumeMounts
	pod.Finalizers = []string{"test.example.org/look"}
	c.create(pod)
	c.awaitLog("ordered", "")
	c.await("ordered", "running", ready)
	c.delete("ordered", nil)
	done := c.await("ordered", "finished", finished)
	if m := done.Status.InitContainerStatuses[0].State.Terminated.Message; m != "main\ntwo\none\n" {
		c.Errorf("order of ends %q", m)
	}
	if _, err := c.client.CoreV1().Pods(c.namespace).Patch(c.Context(), "ordered", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
	c.awaitGone("ordered")
}

// podRestartRules: a container may restart for some exit codes only, whatever the pod's policy.
func podRestartRules(c *cluster) {
	never := v1.ContainerRestartPolicyNever
	pod := c.run(shell("ruled", "test -e /shared/x && exit 3; touch /shared/x; exit 42", shared, func(p *v1.Pod) {
		main := &p.Spec.Containers[0]
		main.RestartPolicy = &never
		main.RestartPolicyRules = []v1.ContainerRestartRule{{Action: v1.ContainerRestartRuleActionRestart,
			ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	}))
	if s := pod.Status.ContainerStatuses[0]; s.RestartCount != 1 || s.State.Terminated.ExitCode != 3 {
		c.Errorf("pod is\n%s\nwant one restart, for code 42", describe(pod))
	}
}

// podEphemeral looks at a running pod from a container that is added to it.
func podEphemeral(c *cluster) {
	c.create(shell("seen", "sleep 1000", grace(0), shared))
	pod := c.await("seen", "ready", ready)
	add := func(e v1.EphemeralContainerCommon) {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, v1.EphemeralContainer{EphemeralContainerCommon: e})
		var err error
		if pod, err = c.client.CoreV1().Pods(c.namespace).UpdateEphemeralContainers(c.Context(), "seen", pod, metav1.UpdateOptions{}); err != nil {
			c.Fatal(err)
		}
	}
	add(v1.EphemeralContainerCommon{Name: "look", Image: "host", Command: []string{"/bin/sh", "-c", "hostname; touch /shared/seen"},
		VolumeMounts: []v1.VolumeMount{{Name: "shared", MountPath: "/shared"}}})
	ended := func(i int) func(p *v1.Pod) bool {
		return func(p *v1.Pod) bool {
			s := p.Status.EphemeralContainerStatuses
			return len(s) > i && s[i].State.Terminated != nil
		}
	}
	pod = c.await("seen", "looked at", ended(0))
	if s := pod.Status.EphemeralContainerStatuses[0].State.Terminated; s.ExitCode != 0 || !running(pod) || !ready(pod) {
		c.Errorf("ephemeral container: %+v, pod\n%s", s, describe(pod))
	}
	if c.exec("seen", "test -e /shared/seen && echo yes") != "yes\n" {
		c.Error("the ephemeral container had not the pod's volume")
	}
	if got := c.log("seen", v1.PodLogOptions{Container: "look"}); c.sandboxed() && got != "seen\n" {
		c.Errorf("log of the ephemeral container %q", got)
	}
	add(v1.EphemeralContainerCommon{Name: "mighty", Image: "host", Command: []string{"true"}, SecurityContext: &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"SYS_PTRACE"}}}})
	pod = c.await("seen", "asked for too much", ended(1))
	if s := pod.Status.EphemeralContainerStatuses[1].State.Terminated; !strings.Contains(s.Message, "capabilities.add") || !running(pod) {
		c.Errorf("a privileged ephemeral container: %+v", s)
	}
}

// podReports: what is not honoured is told in a condition.
func podReports(c *cluster) {
	pod := c.run(shell("partial", "true", func(p *v1.Pod) { p.Spec.Containers[0].TTY = true }))
	for _, s := range pod.Status.Conditions {
		if s.Type == node.FullyHonoured {
			if s.Status != v1.ConditionFalse || !strings.Contains(s.Message, "spec.containers[main].tty") {
				c.Errorf("condition %+v", s)
			}
			return
		}
	}
	c.Errorf("conditions %+v lack %s", pod.Status.Conditions, node.FullyHonoured)
}

// podNames: what the pod says about names is added to what the cluster says, or replaces it.
func podNames(c *cluster) {
	if !c.sandboxed() {
		return // reported
	}
	own := &v1.PodDNSConfig{Searches: []string{"example.org"}, Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: ptr("2")}, {Name: "rotate"}}}
	c.run(shell("names", "cat /etc/resolv.conf", func(p *v1.Pod) { p.Spec.DNSConfig = own }))
	if got := c.log("names", v1.PodLogOptions{}); !strings.Contains(got, "cluster.local example.org\noptions ndots:5 ndots:2 rotate\n") {
		c.Errorf("resolv.conf %q", got)
	}
	alone := &v1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}, Searches: []string{"example.org"}}
	c.run(shell("alone", "cat /etc/resolv.conf", func(p *v1.Pod) { p.Spec.DNSPolicy, p.Spec.DNSConfig = v1.DNSNone, alone }))
	if got := c.log("alone", v1.PodLogOptions{}); got != "nameserver 192.0.2.1\nsearch example.org\n" {
		c.Errorf("resolv.conf %q", got)
	}
}
