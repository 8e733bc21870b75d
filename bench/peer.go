// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// environment makes a peer's virtual environment from bench/peers/<name>.txt, once for each content of that file.
func (b *bench) environment(ctx context.Context, name string) (string, error) {
	list := filepath.Join(b.source, "bench", "peers", name+".txt")
	want, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.tools, name)
	done := filepath.Join(dir, "installed.txt")
	if have, err := os.ReadFile(done); err == nil && bytes.Equal(have, want) {
		return dir, nil
	}
	uv, err := exec.LookPath("uv")
	if err != nil {
		return "", &absent{"the peer needs uv on PATH: make bench puts it there"}
	}
	b.say("%s: installs the peer's packages", name)
	for _, args := range [][]string{
		{"venv", "--quiet", "--clear", "--python", "python3", dir},
		{"pip", "install", "--quiet", "--only-binary", ":all:", "--python", filepath.Join(dir, "bin", "python"), "-r", list},
	} {
		cmd := exec.CommandContext(ctx, uv, args...) //nolint:gosec // uv
		cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", &absent{fmt.Sprintf("the peer's packages could not be installed: %s", lastLine(out))}
		}
	}
	return dir, os.WriteFile(done, want, 0o600)
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// child is a server that runs beside the bench until it is closed.
type child struct {
	cmd     *exec.Cmd
	log     bytes.Buffer
	address string
	trust   *tls.Config // nil: it speaks plain HTTP
}

// serverPatience is how long a server may take to answer: MLflow's imports alone take half a minute on a busy machine.
const serverPatience = 3 * time.Minute

// freeAddress is one on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start runs a server and waits until a GET of health is answered with 200.
func start(ctx context.Context, address, health string, env []string, name string, args ...string) (*child, error) {
	return startWith(ctx, nil, address, health, env, name, args...)
}

// startWith starts a server that speaks TLS, unless trust is nil.
func startWith(ctx context.Context, trust *tls.Config, address, health string, env []string, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(name, args...), address: address, trust: trust} //nolint:gosec // servers of this bench
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	limit := time.Now().Add(serverPatience)
	for {
		if c.answers(ctx, health) {
			return c, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, errors.Join(err, c.close())
		}
		if time.Now().After(limit) {
			_ = c.close()
			return nil, &absent{fmt.Sprintf("%s did not answer: %s", name, lastLine(c.log.Bytes()))}
		}
	}
}

func (c *child) answers(ctx context.Context, health string) bool {
	scheme, client := "http://", &http.Client{Transport: &http.Transport{TLSClientConfig: c.trust}}
	defer client.CloseIdleConnections()
	if c.trust != nil {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+c.address+health, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// close ends the server and those that it has started.
func (c *child) close() error {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	killed := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
	defer killed.Stop()
	var ended *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &ended) {
		return err
	}
	return nil
}
