// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/gateway"
	"fathom.dev/fathom/internal/operator/endpoint"
	"fathom.dev/fathom/internal/ref"
)

// targets answers the gateway's question where an endpoint's requests go. An answer is worked out once and kept until an
// Endpoint or one of its pods changes, so that a request costs a look into a map.
type targets struct {
	reader client.Reader

	mu    sync.Mutex
	known map[ref.Name]answer
	epoch uint64 // counts changes: an answer that was begun before one is not kept
}

type answer struct {
	gateway.Target
	exists bool
}

// watchTargets forgets answers as objects change.
func watchTargets(ctx context.Context, c cache.Cache) (*targets, error) {
	t := &targets{reader: c, known: map[ref.Name]answer{}}
	for _, object := range []client.Object{&corev1.Pod{}, &v1alpha1.Endpoint{}} {
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return nil, err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: t.changed, UpdateFunc: func(_, o any) { t.changed(o) }, DeleteFunc: t.changed,
		}); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *targets) changed(o any) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	var name ref.Name
	switch object := o.(type) {
	case *v1alpha1.Endpoint:
		name = ref.Name{Workspace: object.Namespace, Name: object.Name}
	case *corev1.Pod:
		name = ref.Name{Workspace: object.Namespace, Name: object.Labels[v1alpha1.LabelEndpoint]}
	}
	if name.Name == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	delete(t.known, name)
}

// find is where requests go now; false when there is no such endpoint.
func (t *targets) find(name ref.Name) (gateway.Target, bool) {
	t.mu.Lock()
	known, ok := t.known[name]
	epoch := t.epoch
	t.mu.Unlock()
	if ok {
		return known.Target, known.exists
	}
	found, err := t.look(name)
	if err != nil {
		return gateway.Target{}, true // the endpoint may exist: the request waits and asks again
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if epoch == t.epoch && found.exists {
		t.known[name] = found
	}
	return found.Target, found.exists
}

func (t *targets) look(name ref.Name) (answer, error) {
	ctx := context.Background() // reads from memory
	var e v1alpha1.Endpoint
	err := t.reader.Get(ctx, types.NamespacedName{Namespace: name.Workspace, Name: name.Name}, &e)
	if client.IgnoreNotFound(err) != nil {
		return answer{}, err
	} else if err != nil {
		return answer{}, nil
	}
	out := answer{exists: true, Target: gateway.Target{
		Version: e.Status.Version, Concurrency: int(e.Spec.Scale.Concurrency), Sample: sample(e.Spec.Capture),
	}}
	if e.Status.Version == 0 {
		return out, nil
	}
	var pods corev1.PodList
	err = t.reader.List(ctx, &pods, client.InNamespace(name.Workspace), client.MatchingLabels{
		v1alpha1.LabelEndpoint: name.Name, v1alpha1.LabelModelVersion: fmt.Sprint(e.Status.Version),
	})
	for i := range pods.Items {
		if p := &pods.Items[i]; ready(p) {
			out.Addresses = append(out.Addresses, net.JoinHostPort(p.Status.PodIP, strconv.Itoa(endpoint.ServicePort)))
		}
	}
	return out, err
}

func ready(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil || p.Status.PodIP == "" {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// sample reads "100%" as 1; nothing declared is 0.
func sample(c *v1alpha1.Capture) float64 {
	if c == nil {
		return 0
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(c.Sample, "%"), 64)
	if err != nil { // the API allows no other form
		return 0
	}
	return percent / 100
}
