// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/policy"
)

// filter is a runtime that can keep pods apart.
type filter interface {
	PolicyError() error
	SetRules(rules policy.Rules) error
	CutConnections() error
}

// enforcer keeps the rules between pods as NetworkPolicies, pods and namespaces say. A nil one does nothing.
type enforcer struct {
	filter               filter
	client               kubernetes.Interface
	logger               *slog.Logger
	policies, namespaces cache.Store
	kick                 chan struct{} // holds one: any number of changes are one reason to look again
	changedRules         chan struct{} // likewise

	mu      sync.Mutex
	pods    map[types.UID]policy.Pod
	wanted  uint64 // counts changes
	applied uint64 // the change up to which rules are in force
	err     error  // of the last attempt
	told    chan struct{}
}

// startPolicies begins to enforce NetworkPolicies, if the runtime can.
func (n *Node) startPolicies(ctx context.Context) error {
	f, ok := n.runtime.(filter)
	if !ok || f.PolicyError() != nil {
		return nil // Unenforced says so
	}
	e := &enforcer{filter: f, client: n.client, logger: n.options.Logger, kick: make(chan struct{}, 1), changedRules: make(chan struct{}, 1),
		pods: map[types.UID]policy.Pod{}, told: make(chan struct{})}
	var synced []cache.InformerSynced
	e.policies = e.keep(n.ctx, n.client.NetworkingV1().RESTClient(), "networkpolicies", &networkingv1.NetworkPolicy{}, &synced)
	e.namespaces = e.keep(n.ctx, n.client.CoreV1().RESTClient(), "namespaces", &v1.Namespace{}, &synced)
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return fault.Wrap(fault.Unavailable, "node.Start: list network policies", ctx.Err())
	}
	n.enforcer = e
	go e.run(n.ctx)
	go e.cut(n.ctx)
	return nil
}

// keep holds all objects of a resource at hand.
func (e *enforcer) keep(ctx context.Context, c rest.Interface, resource string, kind apiruntime.Object, synced *[]cache.InformerSynced) cache.Store {
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(c, resource, metav1.NamespaceAll, fields.Everything()), ObjectType: kind,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { e.changed() }, UpdateFunc: func(any, any) { e.changed() }, DeleteFunc: func(any) { e.changed() },
		},
	})
	go controller.RunWithContext(ctx)
	*synced = append(*synced, controller.HasSynced)
	return store
}

func (e *enforcer) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ask()
}

// ask has the rules made anew; it does not wait.
func (e *enforcer) ask() {
	e.wanted++
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// cover makes the rules know a pod and waits until they are in force. Until then nothing reaches the pod and it reaches
// nobody. After catchUp no policy that was made before is missing.
func (e *enforcer) cover(ctx context.Context, pod *v1.Pod, address netip.Addr) error {
	if e == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	e.mu.Lock()
	e.pods[pod.UID] = policy.Pod{Namespace: pod.Namespace, Labels: pod.Labels, Address: address, Ports: policy.NamedPorts(pod)}
	e.ask()
	target := e.wanted
	e.mu.Unlock()
	return fault.Wrap(fault.Unavailable, "node: network policies of the pod", e.await(ctx, target))
}

func (e *enforcer) await(ctx context.Context, target uint64) error {
	for {
		e.mu.Lock()
		applied, err, told := e.applied, e.err, e.told
		e.mu.Unlock()
		if applied >= target {
			return nil
		}
		select {
		case <-told:
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

// catchUp waits until no policy is missing that closes the pod: those at hand close it in both directions, so that others
// could only open it, as in every workspace; or else they are no older than those that the API has now, which takes the
// API server about 0.1 s to be sure of.
func (e *enforcer) catchUp(ctx context.Context, pod *v1.Pod) error {
	if e == nil || policy.Closed(e.listed(), policy.Pod{Namespace: pod.Namespace, Labels: pod.Labels}) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return fault.Wrap(fault.Unavailable, "node: network policies of the pod", e.newest(ctx, pod.Namespace))
}

func (e *enforcer) newest(ctx context.Context, namespace string) error {
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		list, err := e.client.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if e.has(list.Items) {
			return nil
		}
		select {
		case <-time.After(delay): // the watch is on its way; what it brings may be gone again by then, so ask again
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *enforcer) has(list []networkingv1.NetworkPolicy) bool {
	for i := range list {
		object, found, err := e.policies.GetByKey(list[i].Namespace + "/" + list[i].Name)
		if err != nil || !found {
			return false
		}
		have, ok := object.(*networkingv1.NetworkPolicy)
		if !ok || revision(have.ResourceVersion) < revision(list[i].ResourceVersion) {
			return false
		}
	}
	return true
}

func revision(text string) uint64 {
	number, _ := strconv.ParseUint(text, 10, 64)
	return number
}

// update takes over the labels of a pod that is covered.
func (e *enforcer) update(pod *v1.Pod) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.pods[pod.UID]; ok && !maps.Equal(p.Labels, pod.Labels) {
		p.Labels = pod.Labels
		e.pods[pod.UID] = p
		e.ask()
	}
}

// forget takes a pod out of the rules. It does not wait: its processes have ended.
func (e *enforcer) forget(uid types.UID) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.pods[uid]; ok {
		delete(e.pods, uid)
		e.ask()
	}
}

// retryRules is the time until rules that could not be put in force are tried again.
const retryRules = time.Second

// run makes the rules anew after every change, until ctx ends. Changes during an attempt are taken together.
func (e *enforcer) run(ctx context.Context) {
	var last policy.Rules
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.kick:
		}
		rules, change := e.compile()
		same := last != nil && reflect.DeepEqual(rules, last)
		var err error
		if !same {
			err = e.filter.SetRules(rules)
		}
		e.report(change, err)
		switch {
		case err != nil:
			e.logger.Error("network policies could not be put in force: pods stay as they were, new ones wait", "error", err)
			time.AfterFunc(retryRules, e.changed)
		case !same:
			last = rules
			select {
			case e.changedRules <- struct{}{}:
			default:
			}
		}
	}
}

// cutInterval is the least time between two looks at all connections, which take some 20 ms of the kernel's.
const cutInterval = time.Second

// cut ends what rules no longer allow, apart from run so that no pod's start waits for it.
func (e *enforcer) cut(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.changedRules:
		}
		if err := e.filter.CutConnections(); err != nil {
			e.logger.Warn("connections that network policies no longer allow may go on", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(cutInterval):
		}
	}
}

// report tells those who wait.
func (e *enforcer) report(change uint64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err = err; err == nil {
		e.applied = change
	}
	close(e.told)
	e.told = make(chan struct{})
}

func (e *enforcer) compile() (policy.Rules, uint64) {
	e.mu.Lock()
	change := e.wanted
	pods := make([]policy.Pod, 0, len(e.pods))
	for _, p := range e.pods {
		pods = append(pods, p)
	}
	e.mu.Unlock()
	namespaces := map[string]map[string]string{}
	for _, object := range e.namespaces.List() {
		if ns, ok := object.(*v1.Namespace); ok {
			namespaces[ns.Name] = ns.Labels
		}
	}
	return policy.Compile(e.listed(), pods, namespaces), change
}

// listed is the policies at hand.
func (e *enforcer) listed() []*networkingv1.NetworkPolicy {
	var policies []*networkingv1.NetworkPolicy
	for _, object := range e.policies.List() {
		if p, ok := object.(*networkingv1.NetworkPolicy); ok {
			policies = append(policies, p)
		}
	}
	return policies
}
