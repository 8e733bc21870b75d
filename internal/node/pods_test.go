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
				{"completed", podCompletes}, {"failed", podFails}, {"program not found", podNotFound}, {"start is quick", podStartsQuickly},
				{"environment variables", podVariables}, {"missing ConfigMap", podWaitsForConfigMap},
				{"volumes", podVolumes}, {"volume follows its source", podVolumeFollows}, {"subPath", podSubPath},
				{"service account", podServiceAccount}, {"downward API", podDownward},
				{"init containers", podInit}, {"init container fails", podInitFails}, {"several containers", podSeveral},
				{"sidecar", podSidecar}, {"sidecars end last", podSidecarsEndLast},
				{"hook after start", podPostStart}, {"hook before end", podEnds}, {"restart rules", podRestartRules},
				{"claim", podClaim}, {"ephemeral volume", podScratchClaim}, {"claim of a group", podClaimGroup},
				{"volume of another place", podForeignVolume}, {"block device", podBlockClaim},
				{"ephemeral container", podEphemeral}, {"reported fields", podReports}, {"names", podNames},
				{"restart on failure", podOnFailure}, {"restart always and back off", podAlways},
				{"readiness", podReadiness}, {"liveness", podLiveness}, {"startup", podStartup},
				{"log options", podLogOptions}, {"log follow", podLogFollow}, {"exec", podExec}, {"port-forward", podForward},
				{"graceful termination", podGraceful}, {"killed after grace", podKilled}, {"deleted by force", podForced},
				{"active deadline", podDeadline}, {"other image", podOtherImage}, {"unsupported", podUnsupported},
				{"working directory", podWorkingDir}, {"termination message from log", podMessageFromLog},
				{"Indexed Job", jobIndexed}, {"Deployment", deployment}, {"StatefulSet", statefulSet}, {"restricted", restricted},
			} {
				t.Run(c.name, func(t *testing.T) { c.test(shared.in(t)) })
			}
		})
	}
}

func (c *cluster) sandboxed() bool {
	level, _ := c.node.Isolation()
	return level == "sandbox"
}

func podCompletes(c *cluster) {
	pod := c.run(shell("done", "echo hello; echo world >&2"))
	s := pod.Status.ContainerStatuses[0]
	if pod.Status.Phase != v1.PodSucceeded || s.State.Terminated == nil || s.State.Terminated.Reason != "Completed" {
		c.Errorf("pod is\n%s\nwant Succeeded, Completed", describe(pod))
	}
	if pod.Status.PodIP == "" || pod.Status.HostIP == "" || pod.Status.StartTime == nil {
		c.Errorf("pod IP %q, host IP %q, start time %v; want all", pod.Status.PodIP, pod.Status.HostIP, pod.Status.StartTime)
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
	if c.sandboxed() && strings.TrimSpace(s.State.Terminated.Message) != "why" {
		c.Errorf("message %q; want why", s.State.Terminated.Message)
	}
}

func podNotFound(c *cluster) {
	pod := c.run(shell("missing", "", func(p *v1.Pod) { p.Spec.Containers[0].Command = []string{"no-such-program"} }))
	s := pod.Status.ContainerStatuses[0].State.Terminated
	if pod.Status.Phase != v1.PodFailed || s == nil || s.Reason != "StartError" || !strings.Contains(s.Message, "not found") {
		c.Errorf("pod is\n%s\nwant Failed, StartError", describe(pod))
	}
}

func podStartsQuickly(c *cluster) {
	c.run(shell("first", "true"))
	began := time.Now()
	c.create(shell("quick", "sleep 1000"))
	c.await("quick", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	running := time.Since(began)
	now := int64(0)
	if err := c.client.CoreV1().Pods(c.namespace).Delete(c.Context(), "quick", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		c.Fatal(err)
	}
	c.awaitGone("quick")
	began = time.Now()
	c.run(shell("through", "true"))
	c.Logf("created to running %v, created to succeeded %v", running, time.Since(began))
}

func podWaitsForConfigMap(c *cluster) {
	c.create(shell("waiting", "cat /config/key", withVolume("config", "/config", v1.VolumeSource{
		ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "later"}}})))
	c.await("waiting", "waiting for its ConfigMap", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			strings.Contains(p.Status.ContainerStatuses[0].State.Waiting.Message, "later")
	})
	c.configMap("later", map[string]string{"key": "there"})
	pod := c.await("waiting", "finished", finished)
	if got := c.log("waiting", v1.PodLogOptions{}); pod.Status.Phase != v1.PodSucceeded || got != "there" {
		c.Errorf("log %q, pod\n%s", got, describe(pod))
	}
}

func podOtherImage(c *cluster) {
	c.create(shell("other", "true", func(p *v1.Pod) { p.Spec.Containers[0].Image = "nginx" }))
	pod := c.await("other", "refused", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == "ErrImagePull"
	})
	if m := pod.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(m, `"nginx"`) {
		c.Errorf("message %q; want it to name the image", m)
	}
	c.delete("other", nil)
	c.awaitGone("other")
}

func podUnsupported(c *cluster) {
	pod := c.run(shell("asking", "true", withVolume("host", "/host", v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/"}})))
	if pod.Status.Reason != "UnsupportedPodSpec" || !strings.Contains(pod.Status.Message, "spec.volumes[host]") {
		c.Errorf("pod is\n%s\nwant UnsupportedPodSpec that names the volume", describe(pod))
	}
}

func podDeadline(c *cluster) {
	seconds := int64(1)
	pod := c.run(shell("slow", "sleep 1000", grace(1), func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = &seconds }))
	if pod.Status.Phase != v1.PodFailed || pod.Status.Reason != "DeadlineExceeded" {
		c.Errorf("pod is\n%s\nwant Failed, DeadlineExceeded", describe(pod))
	}
}

func podGraceful(c *cluster) {
	c.create(shell("polite", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done", grace(30)))
	c.awaitLog("polite", "ready")
	began := time.Now()
	c.delete("polite", nil)
	c.awaitGone("polite")
	if took := time.Since(began); took > 5*time.Second {
		c.Errorf("a pod that ends at SIGTERM was gone after %v", took)
	}
}

func podKilled(c *cluster) {
	c.create(shell("stubborn", "trap '' TERM; (trap '' TERM; sleep 1000.5) & echo ready; while :; do sleep 0.02; done", grace(1)))
	c.awaitLog("stubborn", "ready")
	began := time.Now()
	c.delete("stubborn", nil)
	c.awaitGone("stubborn")
	if took := time.Since(began); took < 900*time.Millisecond || took > 6*time.Second {
		c.Errorf("a pod that ignores SIGTERM was gone after %v; want after its grace period of 1 s", took)
	}
	c.awaitNoProcess("sleep 1000.5")
}

func podForced(c *cluster) {
	c.create(shell("forced", "trap '' TERM; echo ready; sleep 1000.75"))
	c.awaitLog("forced", "ready")
	now := int64(0)
	c.delete("forced", &now)
	c.awaitGone("forced")
	c.awaitNoProcess("sleep 1000.75")
}

func podWorkingDir(c *cluster) {
	pod := c.run(shell("dir", "pwd > where; cat where; test -w /tmp && echo tmp", withVolume("work", "/work", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}),
		func(p *v1.Pod) { p.Spec.Containers[0].WorkingDir = "/work" }))
	got := c.log("dir", v1.PodLogOptions{})
	if pod.Status.Phase != v1.PodSucceeded || !strings.HasSuffix(got, "/work\ntmp\n") {
		c.Errorf("log %q, pod\n%s", got, describe(pod))
	}
}

func podMessageFromLog(c *cluster) {
	pod := c.run(shell("talkative", "echo first; echo the reason; exit 1", func(p *v1.Pod) {
		p.Spec.Containers[0].TerminationMessagePolicy = v1.TerminationMessageFallbackToLogsOnError
	}))
	if m := pod.Status.ContainerStatuses[0].State.Terminated.Message; !strings.Contains(m, "the reason") {
		c.Errorf("message %q; want the end of the log", m)
	}
}

func grace(seconds int64) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

// withVolume adds a volume and mounts it in the first container.
func withVolume(name, path string, source v1.VolumeSource) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: name, VolumeSource: source})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: name, MountPath: path})
	}
}
