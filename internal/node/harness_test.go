// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/testenv"
)

// cluster is a control plane with one local node, and a namespace for one test.
type cluster struct {
	*testing.T
	env       *testenv.Env
	client    *kubernetes.Clientset
	node      *node.Node
	options   node.Options
	namespace string
}

// startNode starts a node at a level of isolation; it is stopped when the test ends.
func startNode(t *testing.T, level string) *cluster {
	t.Helper()
	env := testenv.Shared(t)
	c := &cluster{T: t, env: env, client: kubernetes.NewForConfigOrDie(env.Owner())}
	_, port, err := net.SplitHostPort(env.Endpoint[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	fmt.Sscan(port, &number)
	c.options = node.Options{
		KeepPath: os.Getenv("FATHOM_KEEP"), // without it pods end with the test
		Name:     testenv.NodeName, Dir: stateDir(t), RESTConfig: env.Node(), Isolation: level, EnvDir: stateDir(t),
		HostForwards: []node.Forward{{Name: "kubernetes", Port: number, Target: net.JoinHostPort("127.0.0.1", port)}},
		ServingCert:  servingCert(t, env.Dir), Callers: []string{"fathom:kube-apiserver"}, StopGrace: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if level == "sandbox" {
		c.options.RuncPath = runcPath(t)
	}
	c.start()
	t.Cleanup(func() { c.stop() })
	c.awaitSchedulable()
	return c
}

func (c *cluster) start() {
	c.Helper()
	var err error
	if c.node, err = node.Start(context.Background(), c.options); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) stop() {
	c.Helper()
	if err := c.node.Stop(context.Background()); err != nil {
		c.Error(err)
	}
}

// in gives the cluster to a sub-test, with a namespace of its own.
func (c *cluster) in(t *testing.T) *cluster {
	t.Helper()
	own := *c
	own.T = t
	env := testenv.Shared(t)
	own.env, own.namespace = env, env.Namespace()
	return &own
}

func (c *cluster) awaitSchedulable() {
	c.Helper()
	testenv.Eventually(c.T, "the node to be schedulable", func(ctx context.Context) (bool, error) {
		n, err := c.client.CoreV1().Nodes().Get(ctx, testenv.NodeName, metav1.GetOptions{})
		return err == nil && len(n.Spec.Taints) == 0, nil
	})
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	defer func() { _ = recover() }() // after the end of the test there is nowhere to log to
	w.t.Log(string(p))
	return len(p), nil
}

// servingCert signs a certificate with the control plane's CA.
func servingCert(t *testing.T, dir string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(dir, "pki", "ca.crt"), filepath.Join(dir, "pki", "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "system:node:local"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}
}

// shell is a pod with one container that runs a script.
func shell(name, script string, change ...func(*v1.Pod)) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyNever,
		Containers: []v1.Container{{Name: "main", Image: "host", Command: []string{"/bin/sh", "-c", script}}}}}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func (c *cluster) create(pod *v1.Pod) *v1.Pod {
	c.Helper()
	made, err := c.client.CoreV1().Pods(c.namespace).Create(c.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return made
}

// await watches a pod until it is as wanted.
func (c *cluster) await(name, what string, ok func(*v1.Pod) bool) *v1.Pod {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	w, err := c.client.CoreV1().Pods(c.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		c.Fatal(err)
	}
	defer w.Stop()
	var last *v1.Pod
	for e := range w.ResultChan() {
		if pod, isPod := e.Object.(*v1.Pod); isPod {
			if last = pod; ok(pod) {
				return pod
			}
		}
	}
	c.Fatalf("pod %s was never %s; it is\n%s", name, what, describe(last))
	return nil
}

func describe(pod *v1.Pod) string {
	if pod == nil {
		return "not there"
	}
	text := fmt.Sprintf("phase %s, reason %s: %s\n", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
	for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		text += fmt.Sprintf("  %s: ready %t, restarts %d, %s\n", s.Name, s.Ready, s.RestartCount, s.State.String())
	}
	return text
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

func ready(pod *v1.Pod) bool {
	for _, s := range pod.Status.Conditions {
		if s.Type == v1.PodReady {
			return s.Status == v1.ConditionTrue
		}
	}
	return false
}

// run creates a pod and waits for its end.
func (c *cluster) run(pod *v1.Pod) *v1.Pod {
	c.Helper()
	c.create(pod)
	return c.await(pod.Name, "finished", finished)
}

func (c *cluster) log(pod string, o v1.PodLogOptions) string {
	c.Helper()
	raw, err := c.client.CoreV1().Pods(c.namespace).GetLogs(pod, &o).DoRaw(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return string(raw)
}

func (c *cluster) awaitGone(name string) {
	c.Helper()
	testenv.Eventually(c.T, "pod "+name+" to be gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func (c *cluster) configMap(name string, data map[string]string) {
	c.Helper()
	_, err := c.client.CoreV1().ConfigMaps(c.namespace).Create(c.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) secret(name string, data map[string]string) {
	c.Helper()
	_, err := c.client.CoreV1().Secrets(c.namespace).Create(c.Context(), &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
