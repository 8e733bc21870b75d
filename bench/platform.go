// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// platform is a running `fathom up`.
type platform struct {
	fathom, state string
	env           []string
	server        *exec.Cmd
	client        client.WithWatch
	tls           *tls.Config // as the owner of the state directory
}

const (
	startPatience = 3 * time.Minute
	stopPatience  = time.Minute
	ready         = "Fathom is ready"
)

// up starts Fathom on a state directory and tells how long it took until it said that it was ready. env is added to this
// process's environment.
func (b *bench) up(ctx context.Context, state string, env ...string) (*platform, time.Duration, error) {
	p := &platform{fathom: filepath.Join(b.bin, "fathom"), state: state, env: append(os.Environ(), env...)}
	server := filepath.Join(b.bin, "fathom-server")
	if _, err := os.Stat(server); err != nil {
		return nil, 0, &absent{server + " is not there: make build"}
	}
	p.server = exec.Command(server, "up", "--state", state) //nolint:gosec // our own binary
	p.server.Env = p.env
	p.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	var said bytes.Buffer
	output, err := p.server.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	p.server.Stderr = &said
	begin := time.Now()
	if err := p.server.Start(); err != nil {
		return nil, 0, err
	}
	up := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.Contains(lines.Text(), ready) {
				up <- true
				_, _ = io.Copy(io.Discard, output)
				return
			}
		}
		up <- false
	}()
	var started bool
	select {
	case started = <-up:
	case <-ctx.Done():
	case <-time.After(startPatience):
	}
	took := time.Since(begin)
	if !started {
		return nil, 0, errors.Join(ctx.Err(), p.stop(), fmt.Errorf("fathom up did not get ready: %s", said.String()))
	}
	if err := p.connect(); err != nil {
		return nil, 0, errors.Join(err, p.stop())
	}
	return p, took, nil
}

func (p *platform) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(p.state, "kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, authenticationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if p.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	p.tls, err = rest.TLSConfigFor(config)
	return err
}

// doors is the host and port of the doors.
func (p *platform) doors(ctx context.Context) (string, error) {
	var where corev1.ConfigMap
	if err := p.client.Get(ctx, client.ObjectKey{Namespace: "fathom-system", Name: "fathom-doors"}, &where); err != nil {
		return "", err
	}
	u, err := url.Parse(where.Data["url"])
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// stop interrupts Fathom and waits for its end.
func (p *platform) stop() error {
	_ = p.server.Process.Signal(os.Interrupt)
	killed := time.AfterFunc(stopPatience, func() { _ = p.server.Process.Kill() })
	defer killed.Stop()
	return p.server.Wait()
}

// verb runs a verb of the command line.
func (p *platform) verb(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, p.fathom, append([]string{"--state", p.state}, args...)...) //nolint:gosec // our own binary
	cmd.Env = append(p.env, "KUBECONFIG=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("fathom %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// fresh makes a new folder below the scratch folder.
func (b *bench) fresh(name string) (string, error) { return os.MkdirTemp(b.work, name+"-") }
