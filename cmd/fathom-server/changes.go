// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/console"
)

// gather is how long changes are collected before a listener is told of them together.
const gather = 100 * time.Millisecond

// changes tells listeners which objects of a workspace changed. A slow listener is told late, of each object once.
type changes struct {
	mu        sync.Mutex
	listeners map[*listener]bool
}

type listener struct {
	workspace string
	pending   map[console.ObjectName]bool
	wake      chan struct{}
}

// watchChanges listens to the operator's cache.
func watchChanges(ctx context.Context, c cache.Cache) (*changes, error) {
	h := &changes{listeners: map[*listener]bool{}}
	for kind, object := range map[string]client.Object{
		"Dataset": &v1alpha1.Dataset{}, "Model": &v1alpha1.Model{}, "ModelVersion": &v1alpha1.ModelVersion{},
		"Endpoint": &v1alpha1.Endpoint{}, "Report": &v1alpha1.Report{}, "Run": &v1alpha1.Run{},
	} {
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return nil, err
		}
		tell := func(o any) { h.tell(kind, o) }
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: tell, UpdateFunc: func(_, o any) { tell(o) }, DeleteFunc: tell,
		}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *changes) tell(kind string, o any) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	object, ok := o.(client.Object)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.workspace != object.GetNamespace() {
			continue
		}
		l.pending[console.ObjectName{Kind: kind, Name: object.GetName()}] = true
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// of tells of a workspace's changes until ctx ends.
func (h *changes) of(ctx context.Context, workspace string) <-chan []console.ObjectName {
	l := &listener{workspace: workspace, pending: map[console.ObjectName]bool{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	h.listeners[l] = true
	h.mu.Unlock()
	out := make(chan []console.ObjectName)
	go func() {
		defer close(out)
		defer h.forget(l)
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
			select {
			case <-ctx.Done():
				return
			case out <- h.take(l):
			}
		}
	}()
	return out
}

func (h *changes) forget(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

func (h *changes) take(l *listener) []console.ObjectName {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]console.ObjectName, 0, len(l.pending))
	for n := range l.pending {
		names = append(names, n)
	}
	l.pending = map[console.ObjectName]bool{}
	return names
}
