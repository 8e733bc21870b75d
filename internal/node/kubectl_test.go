// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/containerd/console"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/testenv"
)

// kubectl runs the command line of Kubernetes as the owner of the machine.
type kubectl struct {
	*cluster
	path string
}

func (c *cluster) kubectl() *kubectl {
	c.Helper()
	path, err := exec.LookPath("kubectl")
	if err != nil {
		path, _ = filepath.Abs("../../.tools/bin/kubectl")
		if _, err := os.Stat(path); err != nil {
			c.Skip("needs kubectl (make judges):", err)
		}
	}
	return &kubectl{c, path}
}

func (k *kubectl) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(k.Context(), 20*time.Second)
	k.Cleanup(cancel)
	return exec.CommandContext(ctx, k.path, append([]string{"--kubeconfig", k.env.Kubeconfig("owner"), "-n", k.namespace}, args...)...)
}

func (k *kubectl) run(args ...string) string {
	k.Helper()
	out, err := k.command(args...).CombinedOutput()
	if err != nil {
		k.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestKubectl is what a person does with a pod.
func TestKubectl(t *testing.T) {
	for _, level := range []string{"process", "sandbox"} {
		t.Run(level, func(t *testing.T) {
			shared := startNode(t, level)
			for _, c := range []struct {
				name string
				test func(k *kubectl)
			}{{"top", kubectlTop}, {"logs", kubectlLogs}, {"exec", kubectlExec}, {"terminal", kubectlTerminal}, {"port-forward", kubectlForward}} {
				t.Run(c.name, func(t *testing.T) { c.test(shared.in(t).kubectl()) })
			}
		})
	}
}

// kubectlTop shows a pod that computes and one that sleeps.
func kubectlTop(k *kubectl) {
	k.create(shell("busy", "while :; do :; done", grace(0), labelled("load", "high")))
	k.create(shell("calm", "sleep 1000", grace(0)))
	k.await("busy", "running", running)
	k.await("calm", "running", running)
	row := regexp.MustCompile(`(?m)^(\S+) +(\d+)m +(\d+)Mi`)
	var rows map[string][]string
	testenv.Eventually(k.T, "kubectl top pods", func(context.Context) (bool, error) {
		out, _ := k.command("top", "pods").CombinedOutput()
		rows = map[string][]string{}
		for _, m := range row.FindAllStringSubmatch(string(out), -1) {
			rows[m[1]] = m
		}
		return len(rows) == 2, nil
	})
	if len(rows["busy"][2]) < 3 || len(rows["calm"][2]) > 2 {
		k.Errorf("busy uses %sm, calm %sm; want hundreds and few", rows["busy"][2], rows["calm"][2])
	}
	if out := k.run("top", "pods", "-l", "load=high", "--no-headers"); !strings.HasPrefix(out, "busy ") || strings.Contains(out, "calm") {
		k.Errorf("by label: %s", out)
	}
	if out := k.run("top", "pod", "calm", "--containers"); !strings.Contains(out, "main") {
		k.Errorf("one pod: %s", out)
	}
	if out, err := k.command("top", "pod", "nobody").CombinedOutput(); err == nil || !bytes.Contains(out, []byte("not found")) {
		k.Errorf("a pod that is not there: %s", out)
	}
	out := k.resourceMetrics()
	if !regexp.MustCompile(`(?m)^container_cpu_usage_seconds_total\{container="main",namespace="` + k.namespace + `",pod="busy"\} [0-9.]+ \d+$`).MatchString(out) {
		k.Errorf("/metrics/resource: %s", out)
	}
	if out := k.run("top", "nodes"); !regexp.MustCompile(`(?m)^` + testenv.NodeName + ` +\d+m +\d+% +\d+Mi +\d+%`).MatchString(out) {
		k.Errorf("nodes: %s", out)
	}
}

// resourceMetrics reads them as the API server may: it proxies nobody to a node on the loopback.
func (k *kubectl) resourceMetrics() string {
	k.Helper()
	n, err := k.client.CoreV1().Nodes().Get(k.Context(), testenv.NodeName, metav1.GetOptions{})
	if err != nil {
		k.Fatal(err)
	}
	own := filepath.Join(k.env.Dir, "pki", "apiserver-kubelet")
	cert, err := tls.LoadX509KeyPair(own+".crt", own+".key")
	if err != nil {
		k.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}}}
	answer, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/metrics/resource", n.Status.DaemonEndpoints.KubeletEndpoint.Port))
	if err != nil {
		k.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		k.Fatal(err)
	}
	return string(text)
}

// kubectlLogs follows, looks back and cuts.
func kubectlLogs(k *kubectl) {
	k.create(shell("talk", `test -e /shared/second || { touch /shared/second; echo first life; exit 1; }
echo second life; until test -e /shared/go; do sleep 0.02; done; echo the end`, shared, grace(0), func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyOnFailure }))
	k.awaitLog("talk", "second life")
	if out := k.run("logs", "talk", "--previous"); out != "first life\n" {
		k.Errorf("previous: %q", out)
	}
	follow := k.command("logs", "-f", "talk", "--since=1h", "--timestamps")
	out, err := follow.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		k.Fatal(err)
	}
	line := make([]byte, len("2026-01-01T00:00:00.000000000Z second life\n"))
	if _, err := io.ReadFull(out, line); err != nil || !bytes.HasSuffix(line, []byte(" second life\n")) {
		k.Fatalf("followed %q, %v", line, err)
	}
	_ = k.command("exec", "talk", "--", "touch", "/shared/go").Run() // the container may end before it
	rest, _ := io.ReadAll(out)
	if err := follow.Wait(); err != nil || !strings.HasSuffix(string(rest), " the end\n") {
		k.Errorf("followed to %q, %v", rest, err)
	}
	if out := k.run("logs", "talk", "--tail=1"); out != "the end\n" {
		k.Errorf("the last line: %q", out)
	}
	if out := k.run("logs", "-l", "nothing=here"); !strings.Contains(out, "No resources found") {
		k.Errorf("nobody: %q", out)
	}
}

func kubectlExec(k *kubectl) {
	k.create(shell("box", "sleep 1000", grace(0)))
	k.await("box", "ready", ready)
	in := k.command("exec", "-i", "box", "--", "sh", "-c", "cat; echo problem >&2; exit 7")
	in.Stdin = strings.NewReader("from here\n")
	var out, errs bytes.Buffer
	in.Stdout, in.Stderr = &out, &errs
	err := in.Run()
	if out.String() != "from here\n" || !strings.HasPrefix(errs.String(), "problem\n") || in.ProcessState.ExitCode() != 7 {
		k.Errorf("output %q, errors %q, %v; want code 7", out.String(), errs.String(), err)
	}
	if out, err := k.command("exec", "box", "--", "no-such-program").CombinedOutput(); err == nil || !bytes.Contains(out, []byte("not found")) {
		k.Errorf("a program that is not there: %v, %s", err, out)
	}
	large := k.command("exec", "-i", "box", "--", "wc", "-c")
	large.Stdin = bytes.NewReader(make([]byte, 3<<20))
	if out, err := large.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(3<<20) {
		k.Errorf("3 MiB of input: %s, %v", out, err)
	}
}

// kubectlTerminal works at a terminal of the pod, as a person would.
func kubectlTerminal(k *kubectl) {
	k.create(shell("box", "sleep 1000", grace(0)))
	k.await("box", "ready", ready)
	terminal, path, err := console.NewPty()
	if err != nil {
		k.Skip("no terminal here:", err)
	}
	defer terminal.Close()
	if err := terminal.Resize(console.WinSize{Width: 91, Height: 31}); err != nil {
		k.Fatal(err)
	}
	side, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		k.Fatal(err)
	}
	c := k.command("exec", "-it", "box", "--", "sh")
	c.Stdin, c.Stdout, c.Stderr = side, side, side
	if err := c.Start(); err != nil {
		k.Fatal(err)
	}
	side.Close()
	var seen bytes.Buffer
	answered := func(typed, pattern string) {
		k.Helper()
		if _, err := io.WriteString(terminal, typed); err != nil {
			k.Fatal(err)
		}
		match, buffer := regexp.MustCompile(pattern), make([]byte, 4096)
		for !match.Match(seen.Bytes()) {
			n, err := terminal.Read(buffer)
			if seen.Write(buffer[:n]); err != nil {
				k.Fatalf("typed %q, saw %q, %v", typed, seen.String(), err)
			}
		}
		seen.Reset()
	}
	answered("tty && echo is-a-$((1+1))\n", `is-a-2`)
	answered("stty size\n", `31 91`)
	answered(`sh -c 'trap "echo got-\$((2+3)); exit" INT; echo set-$((1+1)); while :; do sleep 0.01; done'`+"\n", `set-2`)
	answered("\x03", `got-5\s+[#$] `) // what is typed before the shell asks may be lost
	if _, err := io.WriteString(terminal, "exit 5\n"); err != nil {
		k.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, terminal) }()
	_ = c.Wait()
	if c.ProcessState.ExitCode() != 5 {
		k.Errorf("code %d; want 5", c.ProcessState.ExitCode())
	}
}

func kubectlForward(k *kubectl) {
	k.create(web("forwarded", func(p *v1.Pod) { p.Spec.Containers[0].ReadinessProbe.HTTPGet.Path = "/" }))
	k.await("forwarded", "ready", ready)
	c := k.command("port-forward", "pod/forwarded", ":8080")
	out, err := c.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := c.Start(); err != nil {
		k.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	port := 0
	if _, err := fmt.Fscanf(out, "Forwarding from 127.0.0.1:%d ->", &port); err != nil {
		k.Fatal(err)
	}
	for range 3 {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			k.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(body) != "forwarded" {
			k.Errorf("answer %q", body)
		}
	}
}
