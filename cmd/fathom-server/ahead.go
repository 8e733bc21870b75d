// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

// ahead has the environments of declared code made while its inputs are still coming in. Nobody waits for it: a run asks for its
// environment again, and tells what is wrong with it.
type ahead struct {
	make  func(requirements ref.Digest)
	asked sync.Map // by digest of the requirements file
}

func (p *platform) watchEnvironments(ctx context.Context, c cache.Cache) error {
	a := &ahead{make: func(requirements ref.Digest) { _, _ = p.environment(context.WithoutCancel(ctx), requirements) }}
	for _, object := range []client.Object{&v1alpha1.Dataset{}, &v1alpha1.Model{}} {
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: a.declared, UpdateFunc: func(_, o any) { a.declared(o) },
		}); err != nil {
			return err
		}
	}
	return nil
}

// declared asks once for the environment that an object's code wants.
func (a *ahead) declared(object any) {
	requirements := ""
	switch o := object.(type) {
	case *v1alpha1.Dataset:
		if code := o.Spec.From.Code; code != nil {
			requirements = code.Environment.Requirements
		}
	case *v1alpha1.Model:
		requirements = o.Spec.Train.Code.Environment.Requirements
	}
	if requirements == "" {
		return
	}
	if _, before := a.asked.LoadOrStore(requirements, true); !before {
		a.make(ref.Digest(requirements))
	}
}
