// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPods is the table of behaviours that pods created by anyone through the API can rely on, at both levels.
func TestPods(t *testing.T) {
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			shared := startNode(t, level)
			for _, c := range []struct {
				name string
				test func(c *cluster)
			}{
				{"completed", podCompletes}, {"failed", podFails},
				{"start is quick", podStartsQuickly},
			} {
				t.Run(c.name, func(t *testing.T) { c.test(shared.in(t)) })
			}
		})
	}
}

func podCompletes(c *cluster) {
	pod := c.run(shell("done", "echo hello; echo world >&2"))
	s := pod.Status.ContainerStatuses[0]
	if pod.Status.Phase != v1.PodSucceeded || s.State.Terminated == nil || s.State.Terminated.Reason != "Completed" {
		c.Errorf("pod is\n%s\nwant Succeeded, Completed", describe(pod))
	}
	if got := c.log("done", v1.PodLogOptions{}); got != "hello\nworld\n" && got != "world\nhello\n" {
		c.Errorf("log %q", got)
	}
}

func podFails(c *cluster) {
	pod := c.run(shell("failing", "echo why > /dev/termination-log 2>/dev/null; exit 3"))
	s := pod.Status.ContainerStatuses[0]
	if pod.Status.Phase != v1.PodFailed || s.State.Terminated.Reason != "Error" || s.State.Terminated.ExitCode != 3 {
		c.Errorf("pod is\n%s\nwant Failed, Error, code 3", describe(pod))
	}
	if level, _ := c.node.Isolation(); level == "sandbox" && strings.TrimSpace(s.State.Terminated.Message) != "why" {
		c.Errorf("message %q; want why", s.State.Terminated.Message)
	}
}

func podStartsQuickly(c *cluster) {
	c.run(shell("first", "true"))
	began := time.Now()
	c.create(shell("quick", "sleep 1000"))
	c.await("quick", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	running := time.Since(began)
	began = time.Now()
	now := int64(0)
	if err := c.client.CoreV1().Pods(c.namespace).Delete(c.Context(), "quick", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		c.Fatal(err)
	}
	c.awaitGone("quick")
	began = time.Now()
	c.run(shell("through", "true"))
	c.Logf("created to running %v, created to succeeded %v", running, time.Since(began))
}
