// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"fathom.dev/fathom/internal/node/isolation"
)

// prober runs the probes of one attempt of a container.
type prober struct {
	pod       isolation.Pod
	podIP     string
	container *v1.Container
	process   isolation.Process
	report    func(kind probeKind, ok bool, message string)
	cancel    context.CancelFunc
	// started and ready: that is known already.
	started, ready bool
	wg             sync.WaitGroup
}

type probeKind string

const (
	startup   probeKind = "Startup"
	readiness probeKind = "Readiness"
	liveness  probeKind = "Liveness"
)

// run probes until stopped: startup first, then readiness and liveness side by side. A result is reported when it
// changes, a failure of startup or liveness once.
func (p *prober) run(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.wg.Go(func() {
		if s := p.container.StartupProbe; s != nil && !p.started && !p.until(ctx, startup, s) {
			return
		}
		if l := p.container.LivenessProbe; l != nil {
			p.wg.Go(func() { p.watch(ctx, liveness, l) })
		}
		if r := p.container.ReadinessProbe; r != nil {
			p.watch(ctx, readiness, r)
		}
	})
}

func (p *prober) stop() {
	if p != nil {
		p.cancel()
	}
}

// until tries a startup probe until it succeeds (true) or has failed too often.
func (p *prober) until(ctx context.Context, kind probeKind, probe *v1.Probe) bool {
	result := false
	p.loop(ctx, probe, true, func(ok bool, failures int32, message string) bool {
		result = ok
		switch {
		case ok:
			p.report(kind, true, "")
			return false
		case failures >= probe.FailureThreshold:
			p.report(kind, false, message)
			return false
		}
		return true
	})
	return result
}

func (p *prober) watch(ctx context.Context, kind probeKind, probe *v1.Probe) {
	state, successes := kind == liveness || p.ready, int32(0)
	p.loop(ctx, probe, kind == readiness, func(ok bool, failures int32, message string) bool {
		if ok {
			successes++
		} else {
			successes = 0
		}
		switch {
		case !state && ok && successes >= probe.SuccessThreshold:
			state = true
			p.report(kind, true, "")
		case state && !ok && failures >= probe.FailureThreshold:
			state = false
			p.report(kind, false, message)
			return kind != liveness
		}
		return true
	})
}

// firstEager is how soon after the start a container is asked again whether it is ready; the delay doubles up to
// slowestEager. These early failures do not count.
const (
	firstEager   = 25 * time.Millisecond
	slowestEager = 200 * time.Millisecond
)

// loop runs a probe every period, after its initial delay, until next returns false. An eager probe without initial
// delay is also tried between the periods until it first succeeds: a container is then ready when it is, not when
// its next period begins.
func (p *prober) loop(ctx context.Context, probe *v1.Probe, eager bool, next func(ok bool, failures int32, message string) bool) {
	period := time.Duration(max(1, probe.PeriodSeconds)) * time.Second
	eager = eager && probe.InitialDelaySeconds == 0
	delay := time.Duration(probe.InitialDelaySeconds) * time.Second
	failures, wait, due := int32(0), firstEager, time.Now().Add(delay)
	for sleep(ctx, delay) {
		regular := !eager || !time.Now().Before(due)
		if regular {
			due = time.Now().Add(period)
		}
		err := p.try(ctx, probe)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			failures, eager = 0, false
		case regular:
			failures++
		}
		if (err == nil || regular) && !next(err == nil, failures, text(err)) {
			return
		}
		delay = time.Until(due)
		if eager {
			delay, wait = min(wait, delay), min(2*wait, slowestEager)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// try runs a probe once.
func (p *prober) try(ctx context.Context, probe *v1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, probe.TimeoutSeconds))*time.Second)
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return p.get(ctx, probe.HTTPGet)
	case probe.TCPSocket != nil:
		port, err := p.port(probe.TCPSocket.Port)
		if err != nil {
			return err
		}
		c, err := p.pod.Dial(ctx, port)
		if err != nil {
			return err
		}
		return c.Close()
	case probe.Exec != nil:
		code, err := p.process.Exec(ctx, isolation.Exec{Args: probe.Exec.Command})
		if err == nil && code != 0 {
			err = fmt.Errorf("command ended with code %d", code)
		}
		return err
	case probe.GRPC != nil:
		return p.check(ctx, probe.GRPC)
	}
	return fmt.Errorf("the local node knows only httpGet, tcpSocket, grpc and exec probes")
}

func (p *prober) port(port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, named := range p.container.Ports {
		if named.Name == port.StrVal {
			return int(named.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("container %s has no port %q", p.container.Name, port.StrVal)
}

func (p *prober) get(ctx context.Context, action *v1.HTTPGetAction) error {
	port, err := p.port(action.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if action.Scheme == v1.URISchemeHTTPS {
		scheme = "https"
	}
	path, err := url.Parse(action.Path)
	if err != nil {
		return err
	}
	path.Scheme, path.Host = scheme, net.JoinHostPort(p.podIP, strconv.Itoa(port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/fathom")
	for _, h := range action.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			request.Host = h.Value
		} else {
			request.Header.Add(h.Name, h.Value)
		}
	}
	return p.send(request, port)
}

func (p *prober) send(request *http.Request, port int) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a probe proves liveness, not identity; as the kubelet
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return p.pod.Dial(ctx, port)
		},
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		return fmt.Errorf("HTTP probe answered %d: %s", answer.StatusCode, body)
	}
	return nil
}
