// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// observer notes when objects of a workspace become ready, by events of the API: it asks nobody and so disturbs nothing.
type observer struct {
	stop func()

	mu      sync.Mutex
	changed chan struct{}
	ready   map[string]time.Time     // "dataset/voice" → when it was first ready
	failed  map[string]string        // what cannot become ready, and why
	queued  map[string]time.Duration // run → how long it waited for its environment
	since   map[string]time.Time
}

func (p *platform) observe(ctx context.Context, workspace string) (*observer, error) {
	o := &observer{changed: make(chan struct{}), ready: map[string]time.Time{}, failed: map[string]string{},
		queued: map[string]time.Duration{}, since: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	o.stop = func() { cancel(); all.Wait() }
	for _, list := range []client.ObjectList{
		&v1alpha1.DatasetList{}, &v1alpha1.ModelList{}, &v1alpha1.EndpointList{}, &v1alpha1.ReportList{}, &v1alpha1.RunList{},
	} {
		w, err := p.client.Watch(ctx, list, client.InNamespace(workspace))
		if err != nil {
			o.stop()
			return nil, err
		}
		all.Go(func() {
			defer w.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case e, open := <-w.ResultChan():
					if !open {
						return
					}
					o.see(e)
				}
			}
		})
	}
	return o, nil
}

func (o *observer) see(e watch.Event) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch x := e.Object.(type) {
	case *v1alpha1.Dataset:
		o.judge("dataset/"+x.Name, x.Generation, x.Status.ObservedGeneration, x.Status.Conditions, now)
	case *v1alpha1.Model:
		o.judge("model/"+x.Name, x.Generation, x.Status.ObservedGeneration, x.Status.Conditions, now)
	case *v1alpha1.Endpoint:
		o.judge("endpoint/"+x.Name, x.Generation, x.Status.ObservedGeneration, x.Status.Conditions, now)
	case *v1alpha1.Report:
		o.judge("report/"+x.Name, x.Generation, x.Status.ObservedGeneration, x.Status.Conditions, now)
	case *v1alpha1.Run:
		waits := x.Status.Reason == "Environment"
		if at, did := o.since[x.Name]; did && !waits {
			o.queued[x.Name] += now.Sub(at)
			delete(o.since, x.Name)
		} else if !did && waits {
			o.since[x.Name] = now
		}
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) judge(id string, generation, observed int64, conditions []metav1.Condition, now time.Time) {
	reason, message := v1alpha1.Ready(conditions)
	delete(o.failed, id)
	switch {
	case observed < generation:
	case reason == v1alpha1.ReasonReady:
		if _, known := o.ready[id]; !known {
			o.ready[id] = now
		}
	case reason == v1alpha1.ReasonFailed || reason == v1alpha1.ReasonInvalid || reason == v1alpha1.ReasonCycle:
		o.failed[id] = message
	}
}

// wait returns when an object was first ready; it fails when the object does, or after patience.
func (o *observer) wait(ctx context.Context, id string, patience time.Duration) (time.Time, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		o.mu.Lock()
		at, done := o.ready[id]
		message, failed := o.failed[id]
		changed := o.changed
		o.mu.Unlock()
		switch {
		case done:
			return at, nil
		case failed:
			return at, fmt.Errorf("%s: %s", id, message)
		}
		select {
		case <-changed:
		case <-limit.C:
			return at, fmt.Errorf("%s was not ready in %s", id, patience)
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// environments is the longest that a run waited for its environment, summed over the environments of different owners.
func (o *observer) environments() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sum time.Duration
	longest := map[string]time.Duration{}
	for run, d := range o.queued {
		owner := run[:min(len(run), 8)]
		longest[owner] = max(longest[owner], d)
	}
	for _, d := range longest {
		sum += d
	}
	return sum
}
