// SPDX-License-Identifier: Apache-2.0

// Package operator holds the list of stations, one a kind, and the manager that runs them.
//
// The arrow between stations is an object, never a call: each watches the kind that its neighbour writes. Taking a
// station away breaks one line of the list here.
package operator

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/operator/dataset"
	"fathom.dev/fathom/internal/operator/endpoint"
	"fathom.dev/fathom/internal/operator/model"
	"fathom.dev/fathom/internal/operator/report"
	"fathom.dev/fathom/internal/operator/run"
	"fathom.dev/fathom/internal/operator/workspace"
)

//go:embed rbac.yaml
var roles []byte

// Options configures the operator. The stations' Client fields are filled in here.
type Options struct {
	Config *rest.Config
	Logger logr.Logger
	// Concurrency is how many objects of a kind are worked on at a time. Zero: 4.
	Concurrency int

	Workspace workspace.Options
	Dataset   dataset.Options
	Model     model.Options
	Endpoint  endpoint.Options
	Report    report.Options
	Run       run.Options
}

// Scheme knows Fathom's kinds and the built-in ones that stations write.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, rbacv1.AddToScheme, networkingv1.AddToScheme,
		v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	return scheme, nil
}

// station is what every room here offers.
type station interface{ SetupWithManager(ctrl.Manager) error }

// stations is the list of everything that reconciles.
func stations(c client.Client, o Options) []station {
	o.Workspace.Client, o.Dataset.Client, o.Model.Client = c, c, c
	o.Endpoint.Client, o.Report.Client, o.Run.Client = c, c, c
	return []station{
		workspace.New(o.Workspace),
		dataset.New(o.Dataset),
		model.New(o.Model),
		endpoint.New(o.Endpoint),
		report.New(o.Report),
		run.New(o.Run),
	}
}

// New builds the manager with all stations; run it with its Start. Secrets and ConfigMaps are read from the API, not kept in
// memory.
func New(o Options) (manager.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	if o.Concurrency == 0 {
		o.Concurrency = 4
	}
	m, err := ctrl.NewManager(o.Config, ctrl.Options{
		Scheme: scheme, Logger: o.Logger,
		Metrics:    server.Options{BindAddress: "0"},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		Controller: config.Controller{MaxConcurrentReconciles: o.Concurrency},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	for _, s := range stations(m.GetClient(), o) {
		if err := s.SetupWithManager(m); err != nil {
			return nil, fmt.Errorf("station %T: %w", s, err)
		}
	}
	return m, nil
}

// InstallRoles creates or corrects the roles that the Workspace station binds.
func InstallRoles(ctx context.Context, c client.Client) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(roles), 4096)
	for {
		want := &unstructured.Unstructured{}
		if err := decoder.Decode(want); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("roles: %w", err)
		}
		have := want.DeepCopy()
		err := c.Get(ctx, client.ObjectKeyFromObject(want), have)
		switch {
		case apierrors.IsNotFound(err):
			err = c.Create(ctx, want)
		case err == nil:
			want.SetResourceVersion(have.GetResourceVersion())
			err = c.Update(ctx, want)
		}
		if err != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("%s %s: %w", want.GetKind(), want.GetName(), err)
		}
	}
}
