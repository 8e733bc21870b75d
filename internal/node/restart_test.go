// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/node/output"
	"fathom.dev/fathom/internal/testenv"
)

// childVariable makes the test binary a node of its own, which a test can kill as a power cut would.
const childVariable = "FATHOM_TEST_NODE"

type childOptions struct {
	Dir, Kubeconfig, Isolation, RuncPath, KeepPath string
	Forwards                                       []node.Forward
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		runChild(text)
	}
	os.Exit(m.Run())
}

func runChild(text string) {
	var o childOptions
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fail(json.Unmarshal([]byte(text), &o))
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	fail(err)
	_, err = node.Start(context.Background(), node.Options{Name: testenv.NodeName, Dir: o.Dir, RESTConfig: config, Isolation: o.Isolation, RuncPath: o.RuncPath, KeepPath: o.KeepPath, HostForwards: o.Forwards})
	fail(err)
	fmt.Println("ready")
	select {}
}

// startChild runs a node in a process of its own; kill ends it with SIGKILL.
func (c *cluster) startChild() (kill func()) {
	c.Helper()
	text, err := json.Marshal(childOptions{c.options.Dir, c.env.Kubeconfig("node"), c.options.Isolation, c.options.RuncPath, c.options.KeepPath, c.options.HostForwards})
	if err != nil {
		c.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+string(text))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := child.Start(); err != nil {
		c.Fatal(err)
	}
	kill = func() { _ = child.Process.Kill(); _ = child.Wait() }
	c.Cleanup(kill)
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		c.Fatal("the node in its own process did not start")
	}
	return kill
}

func (c *cluster) job(name, script string) {
	c.Helper()
	// A pod that was disrupted counts as no failure, so its Job tries again at once.
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue}}}}}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{BackoffLimit: ptr(int32(0)), PodFailurePolicy: policy,
		Template: v1.PodTemplateSpec{Spec: shell("", script, grace(1)).Spec}}}
	if _, err := c.client.BatchV1().Jobs(c.namespace).Create(c.Context(), job, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

// podOf waits for a pod of a job that is as wanted.
func (c *cluster) podOf(job, what string, ok func(*v1.Pod) bool) *v1.Pod {
	c.Helper()
	var found *v1.Pod
	testenv.Eventually(c.T, "a pod of "+job+" that is "+what, func(ctx context.Context) (bool, error) {
		pods, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + job})
		if err != nil {
			return false, err
		}
		for i := range pods.Items {
			if ok(&pods.Items[i]) {
				found = &pods.Items[i]
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

func running(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning }

// TestNodeRestart: pods of a node that was killed, or stopped, are reported lost, their processes are gone, and their
// Jobs try again; pods that had not started start; the host is left as it was found.
func TestNodeRestart(t *testing.T) {
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			first := startNode(t, level)
			first.stop()
			c := first.in(t)
			for _, way := range []struct {
				name, wantReason string
				end              func()
			}{{"killed", "NodeLost", c.startChild()}, {"stopped", "NodeShutdown", nil}} {
				seconds := fmt.Sprintf("10%02d.%d", len(way.name), time.Now().UnixNano()%100000)
				c.job(way.name, "sleep "+seconds)
				lost := c.podOf(way.name, "running", running)
				if way.end == nil {
					c.stop()
				} else {
					way.end()
				}
				if way.name == "stopped" {
					c.awaitNoProcess("sleep " + seconds)
				}
				c.create(shell("waiting-"+way.name, "true"))
				c.start()
				old := c.await(lost.Name, "failed", finished)
				if old.Status.Phase != v1.PodFailed || old.Status.Reason != way.wantReason {
					c.Errorf("%s: pod is\n%s\nwant Failed, %s", way.name, describe(old), way.wantReason)
				}
				c.await("waiting-"+way.name, "finished", finished)
				if way.end == nil {
					continue // the retry has been seen; the Job controller lets 10 s pass before each
				}
				again := c.podOf(way.name, "running again", func(p *v1.Pod) bool { return running(p) && p.Name != lost.Name })
				testenv.Eventually(c.T, way.name+": one process of the job, that of "+again.Name, func(context.Context) (bool, error) {
					out, _ := exec.Command("pgrep", "-fc", "^sleep "+seconds).Output() // its shell starts it a moment later
					return strings.TrimSpace(string(out)) == "1", nil
				})
			}
			c.stop()
			if level == "sandbox" {
				c.leftNothing()
			}
			c.start() // for the clean-up of first
			first.node = c.node
		})
	}
}

// keepPath finds fathom-keep as `make` builds it.
func keepPath(t *testing.T) string {
	t.Helper()
	path, _ := filepath.Abs("../../bin/fathom-keep")
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs the built fathom-keep (make build):", err)
	}
	return path
}

// TestAdoption: pods live on while their node is gone, whether it was killed or stopped with the wish to keep them. The next
// one finds them, with what they wrote and how they ended meanwhile, and looks after them as before.
func TestAdoption(t *testing.T) {
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			first := startNode(t, level)
			first.stop()
			c := first.in(t)
			c.options.KeepPath = keepPath(t)
			for _, way := range []string{"killed", "stopped"} {
				var end func()
				if way == "killed" {
					end = c.startChild()
				} else {
					c.options.KeepPods = true
					c.start()
					end = c.stop
				}
				c.adoption(way, end)
				c.stop()
			}
			if level == "sandbox" {
				c.leftNothing()
			}
			c.start() // for the clean-up of first
			first.node = c.node
		})
	}
}

func (c *cluster) adoption(way string, end func()) {
	c.Helper()
	name := func(s string) string { return s + "-" + way }
	count := "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"
	c.create(shell(name("goes-on"), count, grace(0), shared, func(p *v1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	}))
	c.create(shell(name("ends"), "until test -e /shared/go; do sleep 0.02; done; echo the end; exit 7", shared))
	c.create(shell(name("again"), "until test -e /shared/go; do sleep 0.02; done; rm /shared/go; exit 7", shared, grace(0), func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyAlways }))
	c.create(shell(name("removed"), "sleep 1000.77", grace(0)))
	before := c.await(name("goes-on"), "ready", ready)
	ending, again := c.await(name("ends"), "running", running), c.await(name("again"), "running", running)
	c.await(name("removed"), "running", running)
	c.awaitFile(c.path(before, "main", 0), "tick 3")
	end()
	for _, pod := range []*v1.Pod{ending, again} {
		if err := os.WriteFile(filepath.Join(c.options.Dir, "pods", string(pod.UID), "volumes", "shared", "go"), nil, 0o666); err != nil {
			c.Fatal(err)
		}
	}
	c.awaitFile(c.path(ending, "main", 0), "the end")
	written := lastTick(c.path(before, "main", 0))
	c.awaitFile(c.path(before, "main", 0), fmt.Sprint("tick ", written+5))
	c.delete(name("removed"), ptr(int64(0)))

	c.options.KeepPods = false
	c.start()
	after := c.await(name("goes-on"), "ready", ready)
	old, now := before.Status.ContainerStatuses[0], after.Status.ContainerStatuses[0]
	if now.ContainerID != old.ContainerID || now.RestartCount != 0 || !now.State.Running.StartedAt.Equal(&old.State.Running.StartedAt) || after.Status.PodIP != before.Status.PodIP {
		c.Errorf("%s: before\n%safter\n%s", way, describe(before), describe(after))
	}
	if c.sandboxed() { // names and the way to the host
		script := fmt.Sprintf("grep -q kubernetes.default.svc /etc/hosts && exec 3<>/dev/tcp/kubernetes.default.svc/%d && echo reached", c.options.HostForwards[0].Port)
		if out := c.exec(name("goes-on"), "/bin/bash -c '"+script+"'"); out != "reached\n" {
			c.Errorf("%s: the Kubernetes API from the pod: %q", way, out)
		}
	}
	if out := c.exec(name("goes-on"), "echo still here; test -d /shared && echo with its volume"); out != "still here\nwith its volume\n" {
		c.Errorf("%s: exec: %q", way, out)
	}
	c.awaitLog(name("goes-on"), fmt.Sprint("tick ", lastTick(c.path(before, "main", 0))+5))
	if done := c.await(name("ends"), "finished", finished); done.Status.Phase != v1.PodFailed || done.Status.ContainerStatuses[0].State.Terminated.ExitCode != 7 {
		c.Errorf("%s: pod is\n%s\nwant it failed with its own code", way, describe(done))
	}
	c.await(name("again"), "running again", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses[0]
		return s.RestartCount == 1 && s.State.Running != nil
	})
	c.awaitNoProcess("sleep 1000.77")
	for _, pod := range []string{"goes-on", "again"} {
		c.delete(name(pod), ptr(int64(0)))
		c.awaitGone(name(pod))
	}
}

// path of a log, also while there is no node.
func (c *cluster) path(pod *v1.Pod, container string, attempt int) string {
	return output.Path(filepath.Join(c.options.Dir, "pods", string(pod.UID)), container, attempt)
}

func lastTick(path string) int {
	raw, _ := os.ReadFile(path)
	last := 0
	for _, line := range strings.Split(string(raw), "\n") {
		if _, text, found := strings.Cut(line, " tick "); found {
			fmt.Sscan(text, &last)
		}
	}
	return last
}

func (c *cluster) awaitFile(path, text string) {
	c.Helper()
	testenv.Eventually(c.T, path+" to hold "+text, func(context.Context) (bool, error) {
		raw, _ := os.ReadFile(path)
		return strings.Contains(string(raw), text), nil
	})
}

// leftNothing looks for what a stopped node may have left on the host.
func (c *cluster) leftNothing() {
	c.Helper()
	sum := sha256.Sum256([]byte(c.options.Dir))
	tag := hex.EncodeToString(sum[:4])
	for _, pattern := range []string{"/sys/class/net/fathom", "/sys/fs/cgroup/fathom-", "/sys/fs/cgroup/*/fathom-", "/dev/shm/fathom-"} {
		if found, _ := filepath.Glob(pattern + tag); len(found) > 0 {
			c.Errorf("left on the host: %v", found)
		}
	}
	if mounts, _ := os.ReadFile("/proc/mounts"); strings.Contains(string(mounts), c.options.Dir) {
		c.Error("something is still mounted below the state directory")
	}
}
