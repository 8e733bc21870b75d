// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fathom.dev/fathom/internal/console"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gateway"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/mlflow"
	"fathom.dev/fathom/internal/oci"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/s3"
	"fathom.dev/fathom/internal/staging"
	"fathom.dev/fathom/web"
)

// doors are the two listeners on loopback. Pods reach them through the node's forwards.
type doors struct {
	main, s3 net.Listener
	server   *http.Server
	closeS3  func() error
}

// listenDoors binds both ports: those asked for, else those of the last start, else free ones, which are remembered.
func listenDoors(mainPort, s3Port int, memory string) (*doors, error) {
	var last [2]int
	if content, err := os.ReadFile(memory); err == nil {
		_ = json.Unmarshal(content, &last) // a damaged memory only means new ports
	}
	main, err := listen(mainPort, last[0])
	if err != nil {
		return nil, err
	}
	second, err := listen(s3Port, last[1])
	if err != nil {
		return nil, errors.Join(err, main.Close())
	}
	content, err := json.Marshal([2]int{port(main), port(second)})
	if err == nil {
		err = os.WriteFile(memory, content, 0o600)
	}
	return &doors{main: main, s3: second}, err
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func listen(wanted, last int) (net.Listener, error) {
	if wanted != 0 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", wanted))
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fault.New(fault.Unavailable, "doors", "port %d is taken by another program", wanted).
				WithHint("stop that program, or choose another port (0 picks a free one)")
		}
		return l, fault.Wrap(fault.Unavailable, "doors", err)
	}
	if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", last)); err == nil {
		return l, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return l, fault.Wrap(fault.Unavailable, "doors", err)
}

func (d *doors) stop(ctx context.Context) error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Shutdown(ctx), d.server.Close())
	}
	if d.closeS3 != nil {
		errs = append(errs, d.closeS3())
	}
	for _, l := range []net.Listener{d.main, d.s3} {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func hostPort(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "endpoint", err)
	}
	return u.Host, nil
}

// url is the doors' address for people on this machine.
func (d *doors) url() string { return "https://" + d.main.Addr().String() }

// buildS3 makes the identities and the S3 door, whose buckets the stations need; it is served with the others.
func (p *platform) buildS3(context.Context) error {
	var err error
	if p.authenticator, p.authorizer, err = p.identities(); err != nil {
		return err
	}
	p.s3, err = s3.New(s3.Options{
		Dir: p.path("lake", "objects"), KeyFile: p.path("pki", "s3-sessions.key"),
		Authenticator: p.authenticator, Authorizer: p.authorizer, TLS: p.tls(), Record: p.recordS3,
		OnChange: func(bucket, _ string) { p.news.bucketChanged(bucket) },
	})
	return err
}

// tls is how every door is served: our own certificates, and client certificates verified where they are given.
func (p *platform) tls() *tls.Config {
	var names []string
	ips := []net.IP{p.node.HostAddress().AsSlice()}
	for host := range p.hosts() {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
		} else {
			names = append(names, host)
		}
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: p.control.ServingCertificate(names, ips),
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: p.control.CAPool(), NextProtos: []string{"h2", "http/1.1"},
	}
}

// startDoors builds the other doors and serves them all.
func (p *platform) startDoors(ctx context.Context) error {
	handler, err := p.handler(p.authenticator, p.authorizer)
	if err != nil {
		return err
	}
	p.doors.server = &http.Server{
		Handler: handler, TLSConfig: p.tls(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := p.doors.server.ServeTLS(p.doors.main, "", ""); !errors.Is(err, http.ErrServerClosed) {
			p.logger.Error("the doors ended", "error", err)
		}
	}()
	p.doors.closeS3 = p.s3.Close
	go func() {
		if err := p.s3.Serve(context.WithoutCancel(ctx), p.doors.s3); err != nil {
			p.logger.Error("the S3 door ended", "error", err)
		}
	}()
	return nil
}

// handler sends each path to its door.
func (p *platform) handler(authenticator identity.Authenticator, authorizer identity.Authorizer) (http.Handler, error) {
	mux := http.NewServeMux()
	stage, err := staging.New(staging.Options{
		Authenticator: authenticator, Authorizer: authorizer, Record: p.record("staging"), Ledger: p.ledger,
		Blobs: blobs{p.lake, p.sources, p.captured}, Plan: p.stage, Pod: p.pod, Changed: p.news.runChanged,
	})
	if err != nil {
		return nil, err
	}
	track, err := mlflow.New(mlflow.Options{
		Store: p.tracking, Blobs: artifacts{p.lake}, Authenticator: authenticator, Authorizer: authorizer, Record: p.record("mlflow"),
		Scope: p.trackingScope,
	})
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	infer, err := gateway.New(gateway.Options{
		Authenticator: authenticator, Authorizer: authorizer, Record: p.recordMany("gateway"),
		Backends: p.targets.find, Capture: p.captured.Append, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	used := p.watchTraffic(metrics)
	pages, err := console.New(console.Options{
		Authenticator: authenticator, Authorizer: authorizer, Record: p.record("console"), Now: time.Now,
		Client: p.objects, Lake: p.lake, Uploaded: p.uploaded, PutObject: p.putObject, Tables: p.steps.check, Query: p.steps.query,
		Log: p.runLog, Plan: p.plan, Replay: p.replay, Page: p.insightPage,
		About: p.aboutVersion, Training: p.trainingOf, Audit: p.auditLines, Isolation: p.node.Isolation, Endpoints: infer,
		Traffic: func(endpoint ref.Name, span time.Duration) any { return used.Of(endpoint, span) },
		App:     web.App(), Changes: p.changes.of,
	})
	if err != nil {
		return nil, err
	}
	images, err := p.images(authenticator, authorizer)
	if err != nil {
		return nil, err
	}
	mux.Handle(oci.Prefix, images)
	mux.Handle(oci.TokenPath, images)
	mux.Handle(oci.SweepPath, images)
	mux.Handle("/runs/", stage)
	mux.Handle("/mlflow/", track)
	mux.Handle(gateway.Prefix, infer)
	mux.Handle(gateway.GRPCPrefix, infer)
	mux.Handle("/metrics", p.metrics(metrics, authenticator, authorizer))
	mux.Handle("/", pages)
	return knownHosts(mux, p.hosts()), nil
}

// hosts are the names under which the doors may be called.
func (p *platform) hosts() map[string]bool {
	known := map[string]bool{"localhost": true, "127.0.0.1": true, p.node.HostAddress().String(): true}
	for _, forward := range []string{"doors", "s3"} {
		if host, _, err := net.SplitHostPort(p.node.ForwardAddress(forward)); err == nil {
			known[host] = true
		}
	}
	return known
}

// knownHosts refuses requests for other hosts, so that a page elsewhere cannot reach the doors by rebinding a name.
func knownHosts(next http.Handler, known map[string]bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !known[strings.ToLower(host)] {
			identity.FailJSON(w, r, fault.New(fault.Forbidden, "host", "%q is not a name of this server", host))
			return
		}
		if err := identity.CleanPath(r.URL.Path); err != nil { // before the mux redirects to what it thinks is meant
			identity.FailJSON(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// endpointURL is where clients on this machine call an endpoint.
func (p *platform) endpointURL(name ref.Name) string {
	return p.doors.url() + "/endpoints/" + name.Workspace + "/" + name.Name
}

func (p *platform) modelURL(name ref.Name) string {
	return p.doors.url() + "/ui/workspaces/" + name.Workspace + "/models/" + name.Name
}

func (p *platform) reportURL(name ref.Name) string {
	return p.doors.url() + "/ui/workspaces/" + name.Workspace + "/reports/" + name.Name + "/index.html"
}

// doorForPods is the doors' address as pods see it.
func (p *platform) doorForPods() string { return "https://" + p.node.ForwardAddress("doors") }
