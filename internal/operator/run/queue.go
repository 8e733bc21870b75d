// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/queue"
)

// admission asks package queue on behalf of all runs at once and remembers the answers while nothing has changed. It keeps
// nothing that a restart may not forget.
type admission struct {
	client  client.Client
	now     func() time.Time
	preempt bool

	mu        sync.Mutex
	asked     map[types.UID]bool   // runs that are ready to start
	assumed   map[types.UID]bool   // admitted; their Jobs may not be visible yet
	evict     map[types.UID]string // runs that must make room, and for whom
	decisions map[types.UID]queue.Decision
	made      time.Time
}

// freshFor is how long answers are used again although nobody reported a change.
const freshFor = time.Second

// ask returns the queue's answer for a run that is ready.
func (a *admission) ask(ctx context.Context, r *v1alpha1.Run) (queue.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.assumed[r.UID] { // admitted already; what was started is not visible yet
		return queue.Decision{ID: string(r.UID), Admit: true}, nil
	}
	a.asked[r.UID] = true
	d, known := a.decisions[r.UID]
	if !known || !d.Admit && a.now().Sub(a.made) > freshFor {
		if _, err := a.decide(ctx); err != nil {
			return d, err
		}
		d = a.decisions[r.UID]
	}
	if d.Admit {
		a.assumed[r.UID] = true
		delete(a.asked, r.UID)
	}
	return d, nil
}

// leave gives back what a run held.
func (a *admission) leave(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, uid)
	delete(a.assumed, uid)
	delete(a.evict, uid)
	delete(a.decisions, uid)
	a.made = time.Time{}
}

func (a *admission) evicted(uid types.UID) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.evict[uid]
}

// decide asks the queue about everything and returns the names of all runs that have not ended. The caller holds the
// mutex.
func (a *admission) decide(ctx context.Context) (map[types.UID]types.NamespacedName, error) {
	state, names, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	a.decisions, a.made = map[types.UID]queue.Decision{}, a.now()
	for _, d := range queue.Admit(state) {
		a.decisions[types.UID(d.ID)] = d
		for _, victim := range d.Preempt {
			a.evict[types.UID(victim)] = names[types.UID(d.ID)].Name
		}
	}
	return names, nil
}

// state gathers what the queue must know. The lists are the cache's own objects: they are read, never changed.
func (a *admission) state(ctx context.Context) (queue.State, map[types.UID]types.NamespacedName, error) {
	s := queue.State{Now: a.now(), Preempt: a.preempt}
	var runs v1alpha1.RunList
	var workspaces v1alpha1.WorkspaceList
	var nodes corev1.NodeList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&runs, &workspaces, &nodes, &pods} {
		if err := a.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return s, nil, err
		}
	}
	placed, others := usage(pods.Items)
	names := map[types.UID]types.NamespacedName{}
	for i := range runs.Items {
		r := &runs.Items[i]
		if finished(r) {
			continue
		}
		names[r.UID] = client.ObjectKeyFromObject(r)
		q := request(r)
		q.Placed = placed[names[r.UID]]
		switch {
		case a.assumed[r.UID] || holds(r) || len(q.Placed) > 0:
			s.Running = append(s.Running, q)
		case (a.asked[r.UID] || r.Spec.Requirements == "") && !r.Spec.Cancel: // without an environment, nothing else is waited for
			s.Waiting = append(s.Waiting, q)
		}
	}
	a.prune(names)
	for i := range workspaces.Items {
		w := &workspaces.Items[i]
		s.Workspaces = append(s.Workspaces, queue.Workspace{
			Name: w.Name, Priority: w.Spec.Priority, Other: others.workspaces[w.Name], Quota: quota(w.Spec.Quota),
		})
	}
	for i := range nodes.Items {
		if n := &nodes.Items[i]; usable(n) {
			s.Nodes = append(s.Nodes, queue.Node{Name: n.Name, Allocatable: amount(n.Status.Allocatable), Other: others.nodes[n.Name]})
		}
	}
	return s, names, nil
}

// prune forgets runs that have ended or were removed.
func (a *admission) prune(alive map[types.UID]types.NamespacedName) {
	for _, set := range []map[types.UID]bool{a.asked, a.assumed} {
		maps.DeleteFunc(set, func(uid types.UID, _ bool) bool { _, ok := alive[uid]; return !ok })
	}
	maps.DeleteFunc(a.evict, func(uid types.UID, _ string) bool { _, ok := alive[uid]; return !ok })
}

// holds says that a run's attempt is under way.
func holds(r *v1alpha1.Run) bool {
	return (r.Status.Phase == v1alpha1.RunStarting || r.Status.Phase == v1alpha1.RunRunning) && r.Status.Reason != ReasonRestarting
}

func request(r *v1alpha1.Run) queue.Run {
	cpu, memory := perRank(r)
	return queue.Run{
		ID: string(r.UID), Name: r.Name, Workspace: r.Namespace, Ranks: max(int(r.Spec.Workers), 1), Priority: r.Spec.Priority,
		PerRank: queue.Resources{CPU: cpu.MilliValue(), Memory: memory.Value()}, Since: r.CreationTimestamp.Time,
	}
}

// held is what pods that are no run's hold.
type held struct{ nodes, workspaces map[string]queue.Resources }

// usage counts the live pods: those of runs by run and node, the others by what they ask for.
func usage(pods []corev1.Pod) (map[types.NamespacedName]map[string]int, held) {
	placed := map[types.NamespacedName]map[string]int{}
	others := held{nodes: map[string]queue.Resources{}, workspaces: map[string]queue.Resources{}}
	for i := range pods {
		p := &pods[i]
		if ended(p) {
			continue
		}
		if name := p.Labels[v1alpha1.LabelRun]; name != "" {
			key := types.NamespacedName{Namespace: p.Namespace, Name: name}
			if placed[key] == nil {
				placed[key] = map[string]int{}
			}
			if p.Spec.NodeName != "" {
				placed[key][p.Spec.NodeName]++
			}
			continue
		}
		var sum queue.Resources
		for _, c := range p.Spec.Containers {
			r := amount(c.Resources.Requests)
			sum.CPU, sum.Memory = sum.CPU+r.CPU, sum.Memory+r.Memory
		}
		add(others.nodes, p.Spec.NodeName, sum)
		add(others.workspaces, p.Namespace, sum)
	}
	return placed, others
}

func add(to map[string]queue.Resources, key string, r queue.Resources) {
	to[key] = queue.Resources{CPU: to[key].CPU + r.CPU, Memory: to[key].Memory + r.Memory}
}

func amount(list corev1.ResourceList) queue.Resources {
	return queue.Resources{CPU: list.Cpu().MilliValue(), Memory: list.Memory().Value()}
}

func quota(q v1alpha1.Quota) queue.Resources {
	var out queue.Resources
	if q.CPU != nil {
		out.CPU = q.CPU.MilliValue()
	}
	if q.Memory != nil {
		out.Memory = q.Memory.Value()
	}
	return out
}

func usable(n *corev1.Node) bool {
	if n.Spec.Unschedulable {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// ask turns the queue's answer into a decision.
func (s *Station) ask(ctx context.Context, r *v1alpha1.Run, o observation) (decision, error) {
	answer, err := s.queue.ask(ctx, r)
	if err != nil {
		return decision{}, err
	}
	if !answer.Admit {
		return decision{act: waitQueue, phase: v1alpha1.RunQueued, reason: ReasonQuota, message: answer.Message}, nil
	}
	return decision{act: startAttempt, phase: v1alpha1.RunStarting, reason: ReasonStarting, message: r.Status.Message}, nil
}

// freed finds the waiting runs that may start, or must stop, now that something has changed.
func (s *Station) freed(ctx context.Context, changed client.Object) []reconcile.Request {
	if r, ok := changed.(*v1alpha1.Run); ok && !finished(r) && r.DeletionTimestamp == nil {
		return nil
	}
	a := &s.queue
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asked) == 0 {
		return nil
	}
	if changed.GetDeletionTimestamp() != nil || isRun(changed) {
		delete(a.assumed, changed.GetUID())
	}
	names, err := a.decide(ctx)
	if err != nil {
		return nil // the next event, or the 30 s of a waiting run, asks again
	}
	var out []reconcile.Request
	for uid, d := range a.decisions {
		if d.Admit {
			out = append(out, reconcile.Request{NamespacedName: names[uid]})
		}
	}
	for uid := range a.evict {
		out = append(out, reconcile.Request{NamespacedName: names[uid]})
	}
	return out
}

func isRun(o client.Object) bool { _, ok := o.(*v1alpha1.Run); return ok }
