// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// global is what every verb shares.
type global struct {
	kubeconfig, state, workspace, output string
}

func defaultState() string {
	if dir := os.Getenv("FATHOM_STATE"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".fathom"
	}
	return filepath.Join(home, ".fathom")
}

// connection reaches the Kubernetes API and Fathom's doors as the kubeconfig's user.
type connection struct {
	client  client.Client
	doors   string // https://host:port
	objects string // of the S3 door
	http    *http.Client
	bearer  string
	// workspace that the verb is about; set by in.
	workspace string
}

// connect reads the kubeconfig and finds the doors.
func (g *global) connect(ctx context.Context) (*connection, error) {
	config, _, err := g.restConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config.QPS, config.Burst = 200, 400
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, unreachable(config.Host, err)
	}
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "kubeconfig", err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	conn := &connection{client: c, bearer: config.BearerToken, http: &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig}}}
	return conn, conn.find(ctx, config.Host)
}

// find reads where the doors are.
func (c *connection) find(ctx context.Context, host string) error {
	var where corev1.ConfigMap
	err := c.client.Get(ctx, types.NamespacedName{Namespace: "fathom-system", Name: "fathom-doors"}, &where)
	switch {
	case apierrors.IsNotFound(err):
		return fault.New(fault.Unavailable, host, "this cluster runs no Fathom").
			WithHint("name Fathom's kubeconfig with --kubeconfig or in KUBECONFIG (unset, it is the one in the state directory), or start it with `fathom up`")
	case err != nil:
		return unreachable(host, err)
	}
	c.doors, c.objects = strings.TrimSuffix(where.Data["url"], "/"), strings.TrimSuffix(where.Data["s3"], "/")
	return nil
}

func unreachable(host string, err error) error {
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return fault.New(fault.Unavailable, "connect", "nothing answers at %s", host).
			WithHint("start Fathom with `fathom up`, or name another kubeconfig with --kubeconfig")
	}
	var stranger x509.UnknownAuthorityError
	if errors.As(err, &stranger) {
		return fault.New(fault.Unavailable, "connect", "what answers at %s is not the Fathom of this kubeconfig: its certificate is of another authority", host).
			WithHint("name the kubeconfig in the state directory of that Fathom with --kubeconfig; a new state directory means a new kubeconfig")
	}
	var broken *url.Error
	if errors.As(err, &broken) && !errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "connect", "%s gave no answer: %v", host, broken.Err).WithHint("try again; see logs/fathom.log in the state directory")
	}
	return fromAPI(err)
}

// restConfig reads the kubeconfig and says which file it was.
func (g *global) restConfig() (*rest.Config, string, error) {
	path := g.kubeconfig
	if path == "" {
		path = os.Getenv("KUBECONFIG")
	}
	if path == "" {
		path = filepath.Join(g.state, "kubeconfig")
	}
	if _, err := os.Stat(path); err != nil {
		return nil, path, fault.New(fault.Unavailable, "kubeconfig", "%s is not there", path).
			WithHint("start Fathom with `fathom up --state %s`, or name a kubeconfig with --kubeconfig", g.state)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		err = fault.New(fault.Invalid, "kubeconfig "+path, "it cannot be read: %w", err).WithHint("`fathom up` writes a new one into the state directory")
	}
	return config, path, err
}

// in connects and settles which workspace the verb is about.
func (g *global) in(ctx context.Context) (*connection, error) {
	c, err := g.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.workspace = g.workspace
	var list v1alpha1.WorkspaceList
	if err := c.client.List(ctx, &list); err != nil {
		if c.workspace != "" && apierrors.IsForbidden(err) {
			return c, nil
		}
		return nil, fromAPI(err)
	}
	var names []string
	for _, w := range list.Items {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	if c.workspace != "" {
		if len(names) > 0 && !slices.Contains(names, c.workspace) {
			return nil, fault.New(fault.NotFound, "workspace "+c.workspace, "there is none").WithHint("there are %s; see -n", strings.Join(names, ", "))
		}
		return c, nil
	}
	switch len(names) {
	case 0:
		return nil, fault.New(fault.NotFound, "workspace", "there is none yet").WithHint("declare one and run `fathom apply -f FILE`")
	case 1:
		c.workspace = names[0]
		return c, nil
	}
	return nil, fault.New(fault.Invalid, "workspace", "there are several: %s", strings.Join(names, ", ")).WithHint("name one with -n")
}

// call sends a request to a door and returns the answer's body; the caller closes it. An error answer becomes a fault.
func (c *connection) call(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.doors+path, body)
	if err != nil {
		return nil, err
	}
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(c.doors, err)
	}
	if response.StatusCode < 300 {
		return response.Body, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what there is of the message
	var told struct {
		Error string     `json:"error"`
		Kind  fault.Kind `json:"kind"`
	}
	if json.Unmarshal(text, &told) != nil || told.Error == "" {
		told.Error, told.Kind = strings.TrimSpace(string(text)), fault.Internal
	}
	if told.Error == "" {
		told.Error = response.Status
	}
	if told.Kind == "" || told.Kind == fault.Internal {
		told.Kind = kindOfStatus(response.StatusCode)
	}
	answer := &fault.Error{Kind: told.Kind, Err: errors.New(told.Error)}
	if told.Kind == fault.Forbidden {
		answer.Hint = forbidden(told.Error)
	}
	return nil, answer
}

// kindOfStatus is the kind of an error whose door tells none, as the protocols of others do.
func kindOfStatus(status int) fault.Kind {
	for _, kind := range []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.TooLarge, fault.Exhausted, fault.Unavailable} {
		if fault.HTTPStatus(kind) == status {
			return kind
		}
	}
	return fault.Internal
}

// ask sends JSON to a door of the workspace and decodes the JSON answer.
func (c *connection) ask(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(b)
	}
	answer, err := c.call(ctx, method, path, reader)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, answer)
		return err
	}
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// path is a path of the workspace's JSON door.
func (c *connection) path(format string, args ...any) string {
	return "/api/workspaces/" + c.workspace + fmt.Sprintf(format, args...)
}
