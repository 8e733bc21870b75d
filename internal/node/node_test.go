// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node"
)

func TestNodeSaysWhatItDoesNotEnforce(t *testing.T) {
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			c := startNode(t, level)
			n, err := c.client.CoreV1().Nodes().Get(t.Context(), c.options.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if n.Labels[node.IsolationLabel] != level || n.Annotations[node.UnenforcedAnnotation] == "" {
				t.Errorf("label %q, annotation %q", n.Labels[node.IsolationLabel], n.Annotations[node.UnenforcedAnnotation])
			}
			conditions := map[v1.NodeConditionType]v1.NodeCondition{}
			for _, s := range n.Status.Conditions {
				conditions[s.Type] = s
			}
			if conditions[v1.NodeReady].Status != v1.ConditionTrue || conditions[node.FullyEnforced].Status != v1.ConditionFalse ||
				!strings.Contains(conditions[node.FullyEnforced].Message, "not enforced: ") {
				t.Errorf("conditions %+v", conditions)
			}
			if _, err := c.client.CoordinationV1().Leases(v1.NamespaceNodeLease).Get(t.Context(), c.options.Name, metav1.GetOptions{}); err != nil {
				t.Errorf("lease: %v", err)
			}
		})
	}
}

// TestEnvironment runs a pod in a virtual environment that the pod's annotation names by digest.
func TestEnvironment(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			c := startNode(t, level).in(t)
			digest := strings.Repeat("ab", 32)
			if out, err := exec.Command(python, "-m", "venv", "--without-pip", filepath.Join(c.options.EnvDir, digest)).CombinedOutput(); err != nil {
				t.Skip("no venv:", string(out))
			}
			annotate := func(value string) func(*v1.Pod) {
				return func(p *v1.Pod) { p.Annotations = map[string]string{node.EnvironmentAnnotation: value} }
			}
			pod := c.run(shell("in", `python -c 'import sys; print(sys.prefix != sys.base_prefix)'; touch /fathom/env/x 2>/dev/null && echo writable; true`, annotate("sha256:"+digest)))
			if got := c.log("in", v1.PodLogOptions{}); level == "sandbox" && got != "True\n" || !strings.HasPrefix(got, "True\n") {
				t.Errorf("output %q, pod\n%s", got, describe(pod))
			}
			for name, value := range map[string]string{"unknown": "sha256:" + strings.Repeat("cd", 32), "wrong": "../../etc"} {
				c.create(shell(name, "true", annotate(value)))
				c.await(name, "waiting with a reason", func(p *v1.Pod) bool {
					s := p.Status.ContainerStatuses
					return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CreateContainerConfigError" && strings.Contains(s[0].State.Waiting.Message, value)
				})
			}
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	c := startNode(t, "sandbox").in(t)
	if _, unenforced := c.node.Isolation(); strings.Contains(strings.Join(unenforced, " "), "limits of CPU, memory") {
		t.Skip("this host delegates no control groups")
	}
	pod := c.run(shell("greedy", "head -c 300m /dev/zero | tail", func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("32Mi")}
	}))
	if s := pod.Status.ContainerStatuses[0].State.Terminated; s == nil || s.Reason != "OOMKilled" || s.ExitCode == 0 {
		t.Errorf("pod is\n%s\nwant OOMKilled", describe(pod))
	}
}

// TestLogsOutliveTheProcess: logs stay until the pod's object is removed, and can be taken away just before.
func TestLogsOutliveTheProcess(t *testing.T) {
	c := startNode(t, "process")
	c.stop()
	taken := make(chan string, 1)
	c.options.PodRemoved = func(pod *v1.Pod, logs []node.Log) {
		text := ""
		if pod.Name != "remembered" {
			return // of another test
		}
		for _, l := range logs {
			raw, _ := os.ReadFile(l.Path)
			text += l.Container + ": " + string(raw)
		}
		taken <- text
	}
	c.start()
	own := c.in(t)
	pod := own.run(shell("remembered", "echo remember me"))
	path := c.node.LogPath(string(pod.UID), "main", 0)
	if !exists(path) {
		t.Errorf("no log at %s", path)
	}
	own.delete("remembered", nil)
	select {
	case text := <-taken:
		if !strings.HasPrefix(text, "main: ") || !strings.Contains(text, "stdout F remember me") {
			t.Errorf("taken %q", text)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the logs were not offered before they went")
	}
}

// TestSandboxKeepsPodsFromTheHost runs a program that looks for what it must not find.
func TestSandboxKeepsPodsFromTheHost(t *testing.T) {
	open, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	_, port, _ := net.SplitHostPort(open.Addr().String())
	c := startNode(t, "sandbox").in(t)
	secret := "planted-" + hex.EncodeToString([]byte(t.Name()))
	if err := os.WriteFile(filepath.Join(c.options.Dir, "planted"), []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	c.secret("other", map[string]string{"key": secret})
	script := `import os, socket, subprocess, sys
def reach(host, port):
    try: socket.create_connection((host, port), 1).close(); print("reached", host, port)
    except OSError: pass
gateway = open("/etc/resolv.conf").read().split()[1]
for host in ("127.0.0.1", gateway, "192.0.2.1", "169.254.169.254", "10.0.0.1"):
    reach(host, ` + port + `)
for host in (gateway, "127.0.0.1"):
    for p in (22, 2379, 2380, 10250): reach(host, p)
for root, dirs, files in os.walk("/"):
    if root.startswith(("/proc", "/sys", "/usr", "/dev", sys.base_prefix)): continue
    for f in files:
        try:
            if "` + secret + `" in open(os.path.join(root, f), errors="replace").read(1 << 20): print("found", os.path.join(root, f))
        except OSError: pass
for call in (["mount", "-t", "tmpfs", "x", "/tmp"], ["unshare", "-Ur", "true"], ["chroot", "/tmp", "true"], ["mknod", "/tmp/d", "b", "8", "0"]):
    try:
        if subprocess.run(call, capture_output=True).returncode == 0 and call[0] != "unshare": print("could", *call)
    except OSError: pass
for path in ("/root/.ssh", "/home", "/var/lib", "/boot", "/etc/shadow", "/dev/sda", "/dev/mem", "/proc/kcore", "/sys/kernel/security"):
    try:
        if os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1): print("read", path)
    except OSError: pass
try:
    socket.getaddrinfo("example.org", 80); print("resolved the outside")
except OSError: pass
print("searched")`
	pod := c.run(shell("hostile", "", func(p *v1.Pod) { p.Spec.Containers[0].Command = []string{"python3", "-c", script} }))
	if got := c.log("hostile", v1.PodLogOptions{}); got != "searched\n" {
		t.Errorf("output\n%s\npod\n%s", got, describe(pod))
	}
}
