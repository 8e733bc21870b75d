// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/x509"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/kubelet"
	"fathom.dev/fathom/internal/node/logs"
)

// kubeletServer joins package kubelet with the node's pods.
type kubeletServer struct {
	node   *Node
	server *kubelet.Server

	mu       sync.Mutex
	verdicts map[kubeletKey]time.Time // until when a caller is allowed
}

type kubeletKey struct{ name, groups, verb, subresource string }

// verdictAge is how long an allowance holds.
const verdictAge = 10 * time.Second

func (n *Node) serveKubelet() (*kubeletServer, error) {
	k := &kubeletServer{node: n, verdicts: map[kubeletKey]time.Time{}}
	ca, err := n.clientCA()
	if err != nil {
		return nil, err
	}
	k.server, err = kubelet.Serve(kubelet.Options{Pods: k, ClientCA: ca, ServingCert: n.options.ServingCert, Allowed: k.allowed, Logger: n.options.Logger})
	return k, err
}

func (n *Node) clientCA() (*x509.CertPool, error) {
	if n.options.ClientCA != nil {
		return n.options.ClientCA, nil
	}
	pem := n.options.RESTConfig.CAData
	if file := n.options.RESTConfig.CAFile; len(pem) == 0 && file != "" {
		var err error
		if pem, err = os.ReadFile(file); err != nil {
			return nil, fault.Wrap(fault.Invalid, "node.Start: client CA", err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "node.Start", "no ClientCA, and RESTConfig carries no CA")
	}
	return pool, nil
}

func (k *kubeletServer) port() int32  { return k.server.Port() }
func (k *kubeletServer) close() error { return k.server.Close() }

// allowed knows the callers by name, or else asks the API server; only allowances are remembered.
func (k *kubeletServer) allowed(ctx context.Context, c kubelet.Caller) (bool, error) {
	if callers := k.node.options.Callers; len(callers) > 0 {
		return slices.Contains(callers, c.Name), nil
	}
	key := kubeletKey{c.Name, strings.Join(c.Groups, ","), c.Verb, c.Subresource}
	now := k.node.now()
	k.mu.Lock()
	until := k.verdicts[key]
	k.mu.Unlock()
	if now.Before(until) {
		return true, nil
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: c.Name, Groups: append([]string{"system:authenticated"}, c.Groups...),
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: c.Verb, Version: "v1", Resource: "nodes", Subresource: c.Subresource, Name: k.node.options.Name},
	}}
	answer, err := k.node.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil || !answer.Status.Allowed {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.verdicts, func(_ kubeletKey, until time.Time) bool { return now.After(until) })
	k.verdicts[key] = now.Add(verdictAge)
	return true, nil
}

// find gives the pod of a name, and of a UID if that is not empty.
func (k *kubeletServer) find(namespace, name, uid string) (*shownPod, error) {
	var found *shownPod
	for _, p := range k.node.shownPods() {
		if p.pod.Namespace == namespace && p.pod.Name == name && (uid == "" || uid == string(p.pod.UID)) {
			if found == nil || found.pod.CreationTimestamp.Before(&p.pod.CreationTimestamp) {
				found = p
			}
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "node", "pod %s/%s is not on this node", namespace, name)
	}
	return found, nil
}

func (k *kubeletServer) process(fullName, uid, container string) (isolation.Process, error) {
	namespace, name, _ := strings.Cut(fullName, "/")
	p, err := k.find(namespace, name, uid)
	if err != nil {
		return nil, err
	}
	process, ok := p.processes[container]
	if !ok {
		return nil, fault.New(fault.NotFound, "node", "container %s of pod %s does not run", container, fullName)
	}
	return process, nil
}

// List gives all pods.
func (k *kubeletServer) List() []*v1.Pod {
	shown := k.node.shownPods()
	pods := make([]*v1.Pod, len(shown))
	for i, p := range shown {
		pods[i] = p.pod
	}
	return pods
}

// Logs writes the log of a container.
func (k *kubeletServer) Logs(ctx context.Context, namespace, pod, container string, o *v1.PodLogOptions, w io.Writer) error {
	p, err := k.find(namespace, pod, "")
	if err != nil {
		return err
	}
	attempt, ok := k.attempt(p, container)
	if !ok {
		return fault.New(fault.NotFound, "node", "pod %s/%s has no container %q", namespace, pod, container)
	}
	if o.Previous {
		if attempt = min(attempt, p.previous[container]); attempt < 0 {
			return fault.New(fault.NotFound, "node", "previous terminated container %q in pod %q not found", container, pod)
		}
	}
	options := logs.ReadOptions{Tail: o.TailLines, LimitBytes: o.LimitBytes, Timestamps: o.Timestamps}
	switch {
	case o.SinceTime != nil:
		options.Since = o.SinceTime.Time
	case o.SinceSeconds != nil:
		options.Since = k.node.now().Add(-time.Duration(*o.SinceSeconds) * time.Second)
	}
	if o.Follow {
		options.Running = func() bool { return k.runs(p.pod, container, attempt) }
	}
	return logs.Read(ctx, k.node.LogPath(string(p.pod.UID), container, attempt), options, w, w)
}

// attempt is the last one: the worker's, or what the status of a pod of a former run says.
func (k *kubeletServer) attempt(p *shownPod, container string) (int, bool) {
	attempt, ok := p.attempts[container]
	for _, list := range [][]v1.ContainerStatus{p.pod.Status.InitContainerStatuses, p.pod.Status.ContainerStatuses, p.pod.Status.EphemeralContainerStatuses} {
		for _, s := range list {
			if s.Name == container {
				attempt = max(attempt, int(s.RestartCount))
			}
		}
	}
	return attempt, ok
}

func (k *kubeletServer) runs(pod *v1.Pod, container string, attempt int) bool {
	p, err := k.find(pod.Namespace, pod.Name, string(pod.UID))
	return err == nil && p.attempts[container] == attempt && p.processes[container] != nil
}

// ExecInContainer runs a command; an exit code other than 0 is an ExitError.
func (k *kubeletServer) ExecInContainer(ctx context.Context, pod, uid, container string, cmd []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	process, err := k.process(pod, uid, container)
	if err != nil {
		return err
	}
	e := isolation.Exec{Args: cmd, Stdin: in, TTY: tty, Resize: sizes(resize)}
	if out != nil {
		e.Stdout = out
	}
	if errs != nil {
		e.Stderr = errs
	}
	code, err := process.Exec(ctx, e)
	if err != nil {
		return err
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fault.New(fault.Invalid, "node: exec", "command ended with code %d", code), Code: code}
	}
	return nil
}

func sizes(in <-chan remotecommand.TerminalSize) <-chan isolation.Size {
	if in == nil {
		return nil
	}
	out := make(chan isolation.Size)
	go func() {
		defer close(out)
		for s := range in {
			out <- isolation.Size{Width: s.Width, Height: s.Height}
		}
	}()
	return out
}

// AttachContainer follows the container's output; containers have no input here.
func (k *kubeletServer) AttachContainer(ctx context.Context, fullName, uid, container string, _ io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	namespace, name, _ := strings.Cut(fullName, "/")
	p, err := k.find(namespace, name, uid)
	if err != nil {
		return err
	}
	attempt, none := p.attempts[container], int64(0)
	options := logs.ReadOptions{Tail: &none, Running: func() bool { return k.runs(p.pod, container, attempt) }}
	return logs.Read(ctx, k.node.LogPath(string(p.pod.UID), container, attempt), options, orDiscard(out), orDiscard(errs))
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// PortForward joins a stream with a port of the pod.
func (k *kubeletServer) PortForward(ctx context.Context, fullName, uid string, port int32, stream io.ReadWriteCloser) error {
	namespace, name, _ := strings.Cut(fullName, "/")
	p, err := k.find(namespace, name, uid)
	if err != nil {
		return err
	}
	if p.sandbox == nil {
		return fault.New(fault.NotFound, "node", "pod %s does not run", fullName)
	}
	conn, err := p.sandbox.Dial(ctx, int(port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.Copy(conn, stream)
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, conn)
	return err
}
