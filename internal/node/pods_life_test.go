// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"

	"fathom.dev/fathom/internal/testenv"
)

func (c *cluster) delete(name string, grace *int64) {
	c.Helper()
	if err := c.client.CoreV1().Pods(c.namespace).Delete(c.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) awaitLog(pod, text string) {
	c.Helper()
	testenv.Eventually(c.T, fmt.Sprintf("log of %s to hold %q", pod, text), func(ctx context.Context) (bool, error) {
		raw, err := c.client.CoreV1().Pods(c.namespace).GetLogs(pod, &v1.PodLogOptions{}).DoRaw(ctx)
		return err == nil && strings.Contains(string(raw), text), nil
	})
}

func (c *cluster) awaitNoProcess(command string) {
	c.Helper()
	testenv.Eventually(c.T, "no process "+command, func(context.Context) (bool, error) {
		return exec.Command("pgrep", "-f", command).Run() != nil, nil
	})
}

func container(name, script string) v1.Container {
	return v1.Container{Name: name, Image: "host", Command: []string{"/bin/sh", "-c", script}}
}

func shared(p *v1.Pod) {
	p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: "shared", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}})
	for _, list := range [][]v1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, v1.VolumeMount{Name: "shared", MountPath: "/shared"})
		}
	}
}

func podInit(c *cluster) {
	pod := c.run(shell("init", "cat /shared/order", func(p *v1.Pod) {
		p.Spec.InitContainers = []v1.Container{container("one", "sleep 0.1; echo one >> /shared/order"), container("two", "echo two >> /shared/order")}
	}, shared))
	if got := c.log("init", v1.PodLogOptions{}); got != "one\ntwo\n" {
		c.Errorf("order %q", got)
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if s.State.Terminated == nil || !s.Ready {
			c.Errorf("init container %s: %s, ready %t", s.Name, s.State.String(), s.Ready)
		}
	}
}

func podInitFails(c *cluster) {
	pod := c.run(shell("init", "echo never", func(p *v1.Pod) { p.Spec.InitContainers = []v1.Container{container("one", "exit 4")} }))
	if pod.Status.Phase != v1.PodFailed || pod.Status.InitContainerStatuses[0].State.Terminated.ExitCode != 4 ||
		pod.Status.ContainerStatuses[0].State.Waiting == nil || pod.Status.ContainerStatuses[0].State.Waiting.Reason != "PodInitializing" {
		c.Errorf("pod is\n%s\nwant Failed before its container started", describe(pod))
	}
}

func podSeveral(c *cluster) {
	pod := c.run(shell("several", "until test -e /shared/x; do sleep 0.02; done; cat /shared/x", func(p *v1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, container("other", "echo from other > /shared/y; mv /shared/y /shared/x; exit 2"))
	}, shared))
	if got := c.log("several", v1.PodLogOptions{Container: "main"}); got != "from other\n" || pod.Status.Phase != v1.PodFailed {
		c.Errorf("log %q, pod\n%s\nwant Failed, as one container has failed", got, describe(pod))
	}
}

func podSidecar(c *cluster) {
	always := v1.ContainerRestartPolicyAlways
	pod := c.run(shell("beside", "until test -e /shared/x; do sleep 0.02; done", grace(1), func(p *v1.Pod) {
		side := container("side", "echo > /shared/x; trap 'exit 0' TERM; while :; do sleep 0.02; done")
		side.RestartPolicy = &always
		p.Spec.InitContainers = []v1.Container{side}
	}, shared))
	if pod.Status.Phase != v1.PodSucceeded {
		c.Errorf("pod is\n%s\nwant Succeeded once its container has ended", describe(pod))
	}
}

func podOnFailure(c *cluster) {
	pod := c.run(shell("again", "echo try; test -e /shared/x || { touch /shared/x; exit 1; }", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyOnFailure }, shared))
	s := pod.Status.ContainerStatuses[0]
	if pod.Status.Phase != v1.PodSucceeded || s.RestartCount != 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 1 {
		c.Errorf("pod is\n%s\nlast %s; want Succeeded after one restart", describe(pod), s.LastTerminationState.String())
	}
}

func podAlways(c *cluster) {
	script := `touch /shared/x; n=$(wc -l < /shared/x); echo round $n; echo >> /shared/x; if [ $n = 1 ]; then until test -e /shared/go; do sleep 0.02; done; fi`
	c.create(shell("always", script, func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyAlways }, shared, grace(0)))
	c.await("always", "running again", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Running != nil && s[0].RestartCount == 1
	})
	c.awaitLog("always", "round 1")
	if now, before := c.log("always", v1.PodLogOptions{}), c.log("always", v1.PodLogOptions{Previous: true}); now != "round 1\n" || before != "round 0\n" {
		c.Errorf("log %q, previous %q", now, before)
	}
	c.letEnd("always")
	pod := c.await("always", "backing off", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	if pod.Status.Phase != v1.PodRunning || pod.Status.ContainerStatuses[0].RestartCount != 1 {
		c.Errorf("pod is\n%s\nwant Running after one restart", describe(pod))
	}
	if now, before := c.log("always", v1.PodLogOptions{}), c.log("always", v1.PodLogOptions{Previous: true}); now != before {
		c.Errorf("log %q, previous %q; want the same while nothing runs", now, before)
	}
	c.delete("always", ptr(int64(1)))
	c.awaitGone("always")
}

const server = `import os, http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ok = self.path != "/ready" or os.path.exists(os.environ["FLAG"])
        self.send_response(200 if ok else 503); self.end_headers(); self.wfile.write(os.environ["NAME"].encode())
http.server.HTTPServer((os.environ["IP"], 8080), H).serve_forever()`

// web is a pod that serves HTTP on its own address.
func web(name string, change ...func(*v1.Pod)) *v1.Pod {
	return shell(name, "", append([]func(*v1.Pod){func(p *v1.Pod) {
		p.Labels = map[string]string{"app": "web"}
		main := &p.Spec.Containers[0]
		main.Command = []string{"python3", "-c", server}
		main.Ports = []v1.ContainerPort{{Name: "http", ContainerPort: 8080}}
		field := func(path string) *v1.EnvVarSource {
			return &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}
		}
		main.Env = []v1.EnvVar{{Name: "IP", ValueFrom: field("status.podIP")}, {Name: "NAME", ValueFrom: field("metadata.name")}, {Name: "FLAG", Value: "/shared/ready"}}
		main.ReadinessProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/ready", Port: intstr.FromString("http")}}}
	}, shared, grace(1)}, change...)...)
}

func podReadiness(c *cluster) {
	c.create(web("web"))
	pod := c.await("web", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	if ready(pod) {
		c.Error("the pod is ready before its probe succeeds")
	}
	c.exec("web", "touch /shared/ready")
	pod = c.await("web", "ready", ready)
	answer, err := http.Get("http://" + net.JoinHostPort(pod.Status.PodIP, "8080") + "/")
	if err != nil {
		c.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(body) != "web" {
		c.Errorf("the pod answered %q", body)
	}
	c.exec("web", "rm /shared/ready")
	c.await("web", "not ready", func(p *v1.Pod) bool { return !ready(p) })
}

func podLiveness(c *cluster) {
	c.create(shell("live", "trap 'exit 0' TERM; touch /shared/alive; while :; do sleep 0.02; done", shared, grace(1), func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyAlways
		p.Spec.Containers[0].LivenessProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 1, InitialDelaySeconds: 1,
			ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"test", "-e", "/shared/alive"}}}}
	}))
	c.await("live", "running", ready)
	c.exec("live", "rm /shared/alive")
	c.await("live", "restarted", func(p *v1.Pod) bool { return p.Status.ContainerStatuses[0].RestartCount == 1 && ready(p) })
}

func podStartup(c *cluster) {
	c.create(web("starting", func(p *v1.Pod) {
		main := &p.Spec.Containers[0]
		main.ReadinessProbe = nil
		main.StartupProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 30, ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(8080)}}}
	}))
	pod := c.await("starting", "ready", ready)
	if started := pod.Status.ContainerStatuses[0].Started; started == nil || !*started {
		c.Error("the container is not said to have started")
	}
}

func podLogOptions(c *cluster) {
	c.run(shell("lines", "for i in 1 2 3; do echo line $i; done; printf unfinished"))
	for _, t := range []struct {
		options v1.PodLogOptions
		want    string
	}{
		{v1.PodLogOptions{}, "line 1\nline 2\nline 3\nunfinished"},
		{v1.PodLogOptions{TailLines: ptr(int64(2))}, "line 3\nunfinished"},
		{v1.PodLogOptions{LimitBytes: ptr(int64(6))}, "line 1"},
		{v1.PodLogOptions{SinceTime: ptr(metav1.NewTime(time.Now().Add(time.Hour)))}, ""},
	} {
		if got := c.log("lines", t.options); got != t.want {
			c.Errorf("log with %+v is %q; want %q", t.options, got, t.want)
		}
	}
}

func podLogFollow(c *cluster) {
	c.create(shell("talking", "echo one; until test -e /shared/go; do sleep 0.02; done; echo two", shared))
	c.await("talking", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	stream, err := c.client.CoreV1().Pods(c.namespace).GetLogs("talking", &v1.PodLogOptions{Follow: true}).Stream(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer stream.Close()
	first := make([]byte, 4)
	if _, err := io.ReadFull(stream, first); err != nil {
		c.Fatal(err)
	}
	c.letEnd("talking")
	rest, err := io.ReadAll(stream)
	if got := string(first) + string(rest); err != nil || got != "one\ntwo\n" {
		c.Errorf("followed %q, %v", got, err)
	}
}

// exec runs a script in the pod and returns what it wrote.
func (c *cluster) exec(pod, script string) string {
	c.Helper()
	out, err := c.tryExec(pod, script, "")
	if err != nil {
		c.Fatalf("exec %q: %v, output %q", script, err, out)
	}
	return out
}

// letEnd makes the file that the pod's program waits for. The program may end before the command does, which is then killed
// with everything else in the container: its code says nothing.
func (c *cluster) letEnd(pod string) { _, _ = c.tryExec(pod, "touch /shared/go", "") }

func (c *cluster) tryExec(pod, script, input string) (string, error) {
	request := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(pod).SubResource("exec").
		VersionedParams(&v1.PodExecOptions{Container: "main", Command: []string{"/bin/sh", "-c", script}, Stdin: input != "", Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.env.Owner(), "GET", request.URL().String())
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	options := remotecommand.StreamOptions{Stdout: &out, Stderr: &errs}
	if input != "" {
		options.Stdin = strings.NewReader(input)
	}
	err = executor.StreamWithContext(c.Context(), options)
	return out.String() + errs.String(), err
}

func podExec(c *cluster) {
	c.create(shell("box", "sleep 1000", grace(0)))
	c.await("box", "running", ready)
	if out, err := c.tryExec("box", "cat; echo more >&2", "input\n"); err != nil || out != "input\nmore\n" {
		c.Errorf("output %q, %v", out, err)
	}
	_, err := c.tryExec("box", "exit 9", "")
	var code interface{ ExitStatus() int }
	if e, ok := err.(interface{ ExitStatus() int }); ok {
		code = e
	}
	if code == nil || code.ExitStatus() != 9 {
		c.Errorf("error %v; want exit status 9", err)
	}
}

func podForward(c *cluster) {
	c.create(web("forwarded", func(p *v1.Pod) { p.Spec.Containers[0].ReadinessProbe.HTTPGet.Path = "/" }))
	c.await("forwarded", "ready", ready)
	transport, upgrader, err := spdy.RoundTripperFor(c.env.Owner())
	if err != nil {
		c.Fatal(err)
	}
	request := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name("forwarded").SubResource("portforward")
	stop, started := make(chan struct{}), make(chan struct{})
	defer close(stop)
	forwarder, err := portforward.New(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", request.URL()), []string{"0:8080"}, stop, started, io.Discard, io.Discard)
	if err != nil {
		c.Fatal(err)
	}
	go func() { _ = forwarder.ForwardPorts() }()
	<-started
	ports, err := forwarder.GetPorts()
	if err != nil {
		c.Fatal(err)
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
	if err != nil {
		c.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(body) != "forwarded" {
		c.Errorf("the forwarded port answered %q", body)
	}
}

// jobIndexed runs three ranks that find each other by name.
func jobIndexed(c *cluster) {
	ctx := c.Context()
	service := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "train"}, Spec: v1.ServiceSpec{ClusterIP: v1.ClusterIPNone, PublishNotReadyAddresses: true,
		Selector: map[string]string{"job-name": "train"}}}
	if _, err := c.client.CoreV1().Services(c.namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	script := `import os, socket, time
rank = int(os.environ["JOB_COMPLETION_INDEX"]); port = 29500 + int(os.environ["SALT"])
if rank == 0:
    s = socket.create_server((os.environ["BIND"], port)); seen = set()
    while len(seen) < 2: c, _ = s.accept(); seen.add(c.recv(9).decode()); c.close()
    print(sorted(seen))
else:
    while True:
        try: socket.create_connection((os.environ["MASTER"], port)).sendall(str(rank).encode()); break
        except OSError: time.sleep(0.02)
    print(socket.gethostname())`
	mode := batchv1.IndexedCompletion
	bind := "0.0.0.0"
	if !c.sandboxed() {
		bind = "127.0.0.1"
	}
	template := shell("", "", func(p *v1.Pod) {
		p.Spec.Subdomain = "train"
		p.Spec.Containers[0].Command = []string{"python3", "-c", script}
		p.Spec.Containers[0].Env = []v1.EnvVar{{Name: "MASTER", Value: "train-0.train"}, {Name: "BIND", Value: bind}, {Name: "SALT", Value: fmt.Sprint(time.Now().UnixNano() % 1000)}}
	})
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "train"}, Spec: batchv1.JobSpec{CompletionMode: &mode, Completions: ptr(int32(3)), Parallelism: ptr(int32(3)),
		BackoffLimit: ptr(int32(0)), Template: v1.PodTemplateSpec{Spec: template.Spec}}}
	if _, err := c.client.BatchV1().Jobs(c.namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	began := time.Now()
	testenv.Eventually(c.T, "the job to complete", func(ctx context.Context) (bool, error) {
		j, err := c.client.BatchV1().Jobs(c.namespace).Get(ctx, "train", metav1.GetOptions{})
		if err == nil && j.Status.Failed > 0 {
			return false, fmt.Errorf("%d ranks failed", j.Status.Failed)
		}
		return err == nil && j.Status.Succeeded == 3, err
	})
	c.Logf("three ranks took %v", time.Since(began))
}

// deployment runs two replicas behind a Service, whose name another pod resolves.
func deployment(c *cluster) {
	ctx := c.Context()
	template := web("", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyAlways
		p.Spec.Containers[0].ReadinessProbe.HTTPGet.Path = "/"
	})
	labels := map[string]string{"app": "web"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: ptr(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template.Spec}}}
	if _, err := c.client.AppsV1().Deployments(c.namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	service := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1.ServiceSpec{Selector: labels, Ports: []v1.ServicePort{{Port: 8080}}}}
	if _, err := c.client.CoreV1().Services(c.namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	mapped := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "mapped"}, Spec: v1.ServiceSpec{Selector: labels, Ports: []v1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}}}
	if _, err := c.client.CoreV1().Services(c.namespace).Create(ctx, mapped, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	testenv.Eventually(c.T, "two replicas", func(ctx context.Context) (bool, error) {
		d, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, "web", metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas == 2, err
	})
	if c.sandboxed() {
		for i, host := range []string{"web:8080", "web." + c.namespace + ":8080", "web." + c.namespace + ".svc.cluster.local:8080", "mapped"} {
			pod := c.run(shell(fmt.Sprint("ask-", i), "", func(p *v1.Pod) {
				p.Spec.Containers[0].Command = []string{"python3", "-c", fmt.Sprintf(`import urllib.request; print(urllib.request.urlopen("http://%s/").read().decode())`, host)}
			}))
			if got := c.log(pod.Name, v1.PodLogOptions{}); !strings.HasPrefix(got, "web-") {
				c.Errorf("http://%s answered %q", host, got)
			}
		}
	}
	if err := c.client.AppsV1().Deployments(c.namespace).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}
