// SPDX-License-Identifier: Apache-2.0

// Package kubelet serves the part of a kubelet's HTTPS API that the Kubernetes API server calls: logs, exec, attach,
// port-forward, the list of pods.
//
// Callers show a client certificate, and the API server says, by a SubjectAccessReview on the node, whether they may.
package kubelet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"fathom.dev/fathom/internal/fault"
)

// Pods is what the server shows of the node. Errors of kind NotFound become 404.
type Pods interface {
	remotecommand.Executor
	remotecommand.Attacher
	portforward.PortForwarder
	// Logs writes the log of a container; previous asks for the attempt before the last. It follows if o says so.
	Logs(ctx context.Context, namespace, pod, container string, o *v1.PodLogOptions, w io.Writer) error
	// List gives all pods of the node.
	List() []*v1.Pod
	// Measure tells what the node and its containers use.
	Measure() Measurement
}

// Caller is who calls, and what for: the verb and subresource of the node that a SubjectAccessReview asks for.
type Caller struct {
	Name              string
	Groups            []string
	Verb, Subresource string
}

// Options of Serve.
type Options struct {
	Pods Pods
	// ClientCA verifies callers; required.
	ClientCA *x509.CertPool
	// ServingCert defaults to a self-signed certificate made at start.
	ServingCert func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Allowed asks whether a caller may; required.
	Allowed func(ctx context.Context, c Caller) (bool, error)
	Logger  *slog.Logger
}

// Server is a running one.
type Server struct {
	options  Options
	listener net.Listener
	http     *http.Server
	meter    meter
	// metrics is the certificate of the node as the server of the resource metrics API.
	metrics *tls.Certificate
}

// Serve listens on a free port of the loopback.
func Serve(o Options) (*Server, error) {
	if o.ServingCert == nil {
		own, err := selfSigned("")
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "node.kubelet", err)
		}
		o.ServingCert = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "node.kubelet", err)
	}
	s := &Server{options: o, listener: l, meter: meter{measure: o.Pods.Measure}}
	if s.metrics, err = selfSigned(MetricsName); err != nil {
		_ = l.Close()
		return nil, fault.Wrap(fault.Internal, "node.kubelet", err)
	}
	s.http = &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: s.certificate,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: o.ClientCA,
			NextProtos: []string{"http/1.1"}, // exec and port-forward upgrade the connection
		},
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	go func() { _ = s.http.ServeTLS(l, "", "") }() // ends with Close
	return s, nil
}

// MetricsName is the name under which the API server calls for resource metrics.
const MetricsName = "fathom-node-metrics.kube-system.svc"

// certificate depends on the name that the API server calls.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == MetricsName {
		return s.metrics, nil
	}
	return s.options.ServingCert(hello)
}

// MetricsCA verifies the node under MetricsName; PEM.
func (s *Server) MetricsCA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.metrics.Certificate[0]})
}

// Port on the loopback.
func (s *Server) Port() int32 {
	return int32(s.listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
}

// Close ends all connections.
func (s *Server) Close() error { return s.http.Close() }

// route is one path of the API with what a caller must be allowed on the node.
type route struct {
	pattern, subresource string
	serve                http.HandlerFunc
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range append(s.metricsRoutes(), []route{
		{"/containerLogs/{namespace}/{pod}/{container}", "log", s.logs},
		{"/exec/{namespace}/{pod}/{container}", "exec", s.exec},
		{"/exec/{namespace}/{pod}/{uid}/{container}", "exec", s.exec},
		{"/attach/{namespace}/{pod}/{container}", "attach", s.attach},
		{"/attach/{namespace}/{pod}/{uid}/{container}", "attach", s.attach},
		{"/portForward/{namespace}/{pod}", "portforward", s.portForward},
		{"/portForward/{namespace}/{pod}/{uid}", "portforward", s.portForward},
		{"/pods", "pods", s.pods},
		{"/metrics/resource", "metrics", s.resourceMetrics},
		{"/healthz", "healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }},
	}...) {
		mux.Handle(r.pattern, s.guard(r))
	}
	return mux
}

// verbs are those that a kubelet asks for.
var verbs = map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodDelete: "delete"}

func (s *Server) guard(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		leaf := q.TLS.PeerCertificates[0]
		caller := Caller{Name: leaf.Subject.CommonName, Groups: leaf.Subject.Organization, Verb: verbs[q.Method], Subresource: "proxy"}
		allowed, err := s.options.Allowed(q.Context(), caller)
		if err == nil && !allowed {
			caller.Subresource = r.subresource
			allowed, err = s.options.Allowed(q.Context(), caller)
		}
		switch {
		case err != nil:
			s.options.Logger.Warn("caller of the node could not be authorized", "user", caller.Name, "error", err)
			http.Error(w, "authorization is not available", http.StatusServiceUnavailable)
		case !allowed:
			http.Error(w, "forbidden", http.StatusForbidden)
		default:
			r.serve(w, q)
		}
	})
}

func (s *Server) exec(w http.ResponseWriter, q *http.Request) {
	o, err := remotecommand.NewOptions(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := q.PathValue("namespace") + "/" + q.PathValue("pod")
	remotecommand.ServeExec(w, q, s.options.Pods, name, q.PathValue("uid"), q.PathValue("container"), q.URL.Query()["command"], o,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// idleTimeout is how long a silent exec, attach or port-forward lives.
const idleTimeout = 4 * time.Hour

func (s *Server) attach(w http.ResponseWriter, q *http.Request) {
	o, err := remotecommand.NewOptions(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := q.PathValue("namespace") + "/" + q.PathValue("pod")
	remotecommand.ServeAttach(w, q, s.options.Pods, name, q.PathValue("uid"), q.PathValue("container"), o,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (s *Server) portForward(w http.ResponseWriter, q *http.Request) {
	o, err := portforward.NewV4Options(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := q.PathValue("namespace") + "/" + q.PathValue("pod")
	portforward.ServePortForward(w, q, s.options.Pods, name, q.PathValue("uid"), o, idleTimeout,
		remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := v1.PodList{}
	list.Kind, list.APIVersion = "PodList", "v1"
	for _, p := range s.options.Pods.List() {
		list.Items = append(list.Items, *p)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func (s *Server) logs(w http.ResponseWriter, q *http.Request) {
	o, err := logOptions(q.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Transfer-Encoding", "chunked")
	out := &flushing{ResponseWriter: w, controller: http.NewResponseController(w)}
	err = s.options.Pods.Logs(q.Context(), q.PathValue("namespace"), q.PathValue("pod"), q.PathValue("container"), o, out)
	if err == nil || q.Context().Err() != nil || out.began {
		return
	}
	status := http.StatusInternalServerError
	if fault.Is(err, fault.NotFound) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}

// flushing sends every write at once, for followers.
type flushing struct {
	http.ResponseWriter
	controller *http.ResponseController
	began      bool
}

func (f *flushing) Write(p []byte) (int, error) {
	f.began = true
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, f.controller.Flush())
}

func selfSigned(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "fathom node"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name != "" {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
