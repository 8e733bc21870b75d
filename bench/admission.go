// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

const (
	gangWorkspace = "gangs"
	gangNode      = "bench-large"
	gangCount     = 300
	gangRanks     = 2
	gangPatience  = 5 * time.Minute
	writers       = 32
)

// measureAdmission lets many gangs wait for quota, gives them all at once, and waits until each is admitted: it then has its
// Job, Service and NetworkPolicy and says so in its status. A large node that only exists in the API gives the room, and
// a taint keeps its pods from being placed: nothing runs.
func measureAdmission(ctx context.Context, b *bench) ([]figure, error) {
	dir, err := b.fresh("admission")
	if err != nil {
		return nil, err
	}
	p, _, err := b.up(ctx, filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	figures, err := b.admissionRounds(ctx, p)
	return figures, errors.Join(err, p.stop())
}

func (b *bench) admissionRounds(ctx context.Context, p *platform) ([]figure, error) {
	if err := p.workspace(ctx, gangWorkspace, v1alpha1.Quota{CPU: ptr(resource.MustParse("1m"))}); err != nil {
		return nil, err
	}
	stop, err := p.largeNode(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	rate := figure{what: fmt.Sprintf("%d gangs of %d ranks that get quota at once", gangCount, gangRanks), unit: "gangs/s", more: true,
		peer: "as many ConfigMaps, 32 at a time", aim: "≥ 300/s"}
	one := figure{what: "one gang on an idle queue, created to admitted", unit: "ms", aim: "≤ 20 ms"}
	for range b.rounds {
		took, err := p.admitMany(ctx)
		if err != nil {
			return nil, err
		}
		floor, err := p.writeMany(ctx, gangCount)
		if err != nil {
			return nil, err
		}
		rate.values, rate.peers = append(rate.values, gangCount/took.Seconds()), append(rate.peers, gangCount/floor.Seconds())
		alone, err := p.admitOne(ctx)
		if err != nil {
			return nil, err
		}
		one.values = append(one.values, alone.Seconds()*1e3)
		b.say("admission: %.0f gangs/s, %.0f ConfigMaps/s, one %.0f ms", gangCount/took.Seconds(), gangCount/floor.Seconds(), alone.Seconds()*1e3)
	}
	return []figure{rate, one}, nil
}

func ptr[T any](v T) *T { return &v }

// largeNode makes the node and keeps it alive until it is stopped.
func (p *platform) largeNode(ctx context.Context) (stop func(), err error) {
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100k"), corev1.ResourceMemory: resource.MustParse("1Pi"), corev1.ResourcePods: resource.MustParse("100k")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: gangNode},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "bench", Effect: corev1.TaintEffectNoSchedule}}}}
	if err := errors.Join(p.cordon(ctx), p.client.Create(ctx, node)); err != nil {
		return nil, err
	}
	alive := func() error {
		now := metav1.Now()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: gangNode},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr(gangNode), LeaseDurationSeconds: ptr(int32(40)), RenewTime: ptr(metav1.NowMicro())}}
		if err := p.client.Create(ctx, lease); err != nil {
			_ = p.client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
			lease.Spec.RenewTime = ptr(metav1.NowMicro())
			_ = p.client.Update(ctx, lease) // the next try is near
		}
		before := node.DeepCopy()
		node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Bench", LastHeartbeatTime: now, LastTransitionTime: now}}}
		return p.client.Status().Patch(ctx, node, client.MergeFrom(before))
	}
	if err := alive(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() {
		for pause(ctx, 5*time.Second) == nil {
			_ = alive()
		}
	})
	return func() { cancel(); beat.Wait() }, nil
}

// cordon keeps pods from the node that would run them.
func (p *platform) cordon(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := p.client.List(ctx, &nodes); err != nil {
		return err
	}
	for i := range nodes.Items {
		before := nodes.Items[i].DeepCopy()
		nodes.Items[i].Spec.Unschedulable = true
		if err := p.client.Patch(ctx, &nodes.Items[i], client.MergeFrom(before)); err != nil {
			return err
		}
	}
	return nil
}

func gang(name string) *v1alpha1.Run {
	return &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: gangWorkspace, Name: name}, Spec: v1alpha1.RunSpec{
		For: v1alpha1.RunFor{Kind: "Model", Name: "bench"}, Step: v1alpha1.StepTrain, Fingerprint: name, Framework: "python",
		Workers: gangRanks, Command: []string{"true"},
	}}
}

// each does something n times, a few at a time.
func each(n int, do func(i int) error) error {
	next := make(chan int)
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range next {
				errs[w] = errors.Join(errs[w], do(i))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	return errors.Join(errs...)
}

func (p *platform) setQuota(ctx context.Context, cpu string) error {
	w := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: gangWorkspace}}
	if err := p.client.Get(ctx, client.ObjectKeyFromObject(w), w); err != nil {
		return err
	}
	before := w.DeepCopy()
	w.Spec.Quota.CPU = ptr(resource.MustParse(cpu))
	return p.client.Patch(ctx, w, client.MergeFrom(before))
}

// phases notes every run's phase as the API tells it, without holding the watch up.
type phases struct {
	mu      sync.Mutex
	of      map[string]string
	changed chan struct{} // closed at the next change
}

func (p *platform) phases(ctx context.Context) (*phases, func()) {
	ctx, stop := context.WithCancel(ctx)
	seen := &phases{of: map[string]string{}, changed: make(chan struct{})}
	go func() {
		for ctx.Err() == nil { // the API server ends a watch when it likes
			w, err := p.client.Watch(ctx, &v1alpha1.RunList{}, client.InNamespace(gangWorkspace))
			if err != nil {
				_ = pause(ctx, 50*time.Millisecond)
				continue
			}
			for e := range w.ResultChan() {
				if r, ok := e.Object.(*v1alpha1.Run); ok {
					seen.note(r.Name, r.Status.Phase)
				}
			}
		}
	}()
	return seen, stop
}

func (s *phases) note(name, phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[name] = phase
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns once so many runs have one of the phases.
func (s *phases) wait(ctx context.Context, n int, wanted ...string) error {
	limit := time.NewTimer(gangPatience)
	defer limit.Stop()
	for {
		s.mu.Lock()
		count, changed := 0, s.changed
		for _, phase := range s.of {
			if slices.Contains(wanted, phase) {
				count++
			}
		}
		s.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("%d of %d runs are %s after %s", count, n, strings.Join(wanted, " or "), gangPatience)
		}
	}
}

func (p *platform) admitMany(ctx context.Context) (time.Duration, error) {
	if err := p.setQuota(ctx, "1m"); err != nil {
		return 0, err
	}
	seen, stop := p.phases(ctx)
	defer stop()
	if err := each(gangCount, func(i int) error { return p.client.Create(ctx, gang(fmt.Sprintf("gang-%d", i))) }); err != nil {
		return 0, err
	}
	if err := seen.wait(ctx, gangCount, v1alpha1.RunQueued); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := p.setQuota(ctx, "90k"); err != nil {
		return 0, err
	}
	if err := seen.wait(ctx, gangCount, v1alpha1.RunStarting, v1alpha1.RunRunning); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, p.removeGangs(ctx)
}

func (p *platform) admitOne(ctx context.Context) (time.Duration, error) {
	seen, stop := p.phases(ctx)
	defer stop()
	begin := time.Now()
	if err := p.client.Create(ctx, gang("alone")); err != nil {
		return 0, err
	}
	if err := seen.wait(ctx, 1, v1alpha1.RunStarting, v1alpha1.RunRunning); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, p.removeGangs(ctx)
}

// removeGangs deletes all runs and waits until their pods are gone as well.
func (p *platform) removeGangs(ctx context.Context) error {
	var all v1alpha1.RunList
	if err := p.client.List(ctx, &all, client.InNamespace(gangWorkspace)); err != nil {
		return err
	}
	if err := each(len(all.Items), func(i int) error { return client.IgnoreNotFound(p.client.Delete(ctx, &all.Items[i])) }); err != nil {
		return err
	}
	limit := time.Now().Add(gangPatience)
	for {
		var runs v1alpha1.RunList
		var pods corev1.PodList
		err := errors.Join(p.client.List(ctx, &runs, client.InNamespace(gangWorkspace)), p.client.List(ctx, &pods, client.InNamespace(gangWorkspace)))
		if err != nil || len(runs.Items)+len(pods.Items) == 0 {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d runs and %d pods are left", len(runs.Items), len(pods.Items))
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// writeMany is what the API server does at most: small objects, created by as many clients as help.
func (p *platform) writeMany(ctx context.Context, n int) (time.Duration, error) {
	begin := time.Now()
	small := func(i int) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: gangWorkspace, Name: fmt.Sprintf("floor-%d", i)},
			Data: map[string]string{"text": strings.Repeat("x", 1000)}}
	}
	err := each(n, func(i int) error { return p.client.Create(ctx, small(i)) })
	took := time.Since(begin)
	return took, errors.Join(err, each(n, func(i int) error { return p.client.Delete(ctx, small(i)) }))
}
