// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/fault"
)

// objects reads the API objects that pods refer to. A node may read them one by one only, and only while a pod of its
// own refers to them.
type objects struct {
	client kubernetes.Interface

	mu      sync.Mutex
	watches map[objectKey]*objectWatch
}

type objectKey struct{ kind, namespace, name string }

type objectWatch struct {
	stop      context.CancelFunc
	listeners map[*func()]struct{}
}

func newObjects(client kubernetes.Interface) *objects {
	return &objects{client: client, watches: map[objectKey]*objectWatch{}}
}

// authorizerLag is how long the API server's node authorizer may take to learn of a pod that has just been bound.
const authorizerLag = 2 * time.Second

// patiently repeats a read that is forbidden while the authorizer may not know the pod yet.
func patiently[T any](ctx context.Context, read func() (T, error)) (T, error) {
	delay := 2 * time.Millisecond
	for waited := time.Duration(0); ; waited += delay {
		object, err := read()
		if err == nil || !apierrors.IsForbidden(err) || waited > authorizerLag {
			return object, err
		}
		select {
		case <-ctx.Done():
			return object, errors.Join(err, ctx.Err())
		case <-time.After(delay):
		}
		delay = min(2*delay, 200*time.Millisecond)
	}
}

// ConfigMap reads one.
func (o *objects) ConfigMap(ctx context.Context, namespace, name string) (*v1.ConfigMap, error) {
	return patiently(ctx, func() (*v1.ConfigMap, error) {
		return o.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	})
}

// Secret reads one.
func (o *objects) Secret(ctx context.Context, namespace, name string) (*v1.Secret, error) {
	return patiently(ctx, func() (*v1.Secret, error) {
		return o.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	})
}

// Claim reads one.
func (o *objects) Claim(ctx context.Context, namespace, name string) (*v1.PersistentVolumeClaim, error) {
	return patiently(ctx, func() (*v1.PersistentVolumeClaim, error) {
		return o.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
	})
}

// Volume reads a persistent one.
func (o *objects) Volume(ctx context.Context, name string) (*v1.PersistentVolume, error) {
	return patiently(ctx, func() (*v1.PersistentVolume, error) {
		return o.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	})
}

// Token asks for a token that is bound to the pod and ends with it.
func (o *objects) Token(ctx context.Context, pod *v1.Pod, audience string, seconds int64) (string, time.Time, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	answer, err := patiently(ctx, func() (*authenticationv1.TokenRequest, error) {
		return o.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	})
	if err != nil {
		return "", time.Time{}, fault.Wrap(fault.Unavailable, "node: token for service account "+account, err)
	}
	return answer.Status.Token, answer.Status.ExpirationTimestamp.Time, nil
}

// references lists the ConfigMaps and Secrets that a pod's volumes are made of.
func references(pod *v1.Pod) []objectKey {
	var keys []objectKey
	add := func(kind, name string) { keys = append(keys, objectKey{kind, pod.Namespace, name}) }
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			add("ConfigMap", v.ConfigMap.Name)
		case v.Secret != nil:
			add("Secret", v.Secret.SecretName)
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.ConfigMap != nil {
					add("ConfigMap", s.ConfigMap.Name)
				}
				if s.Secret != nil {
					add("Secret", s.Secret.Name)
				}
			}
		}
	}
	return keys
}

// Watch calls changed whenever one of the objects is made, changed or removed, until the returned function is called.
// Pods that refer to the same object share one watch.
func (o *objects) Watch(keys []objectKey, changed func()) (stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		w := o.watches[key]
		if w == nil {
			ctx, cancel := context.WithCancel(context.Background())
			w = &objectWatch{stop: cancel, listeners: map[*func()]struct{}{}}
			o.watches[key] = w
			go o.follow(ctx, key)
		}
		w.listeners[&changed] = struct{}{}
	}
	return func() { o.unwatch(keys, &changed) }
}

func (o *objects) unwatch(keys []objectKey, listener *func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		if w := o.watches[key]; w != nil {
			delete(w.listeners, listener)
			if len(w.listeners) == 0 {
				w.stop()
				delete(o.watches, key)
			}
		}
	}
}

func (o *objects) tell(key objectKey) {
	o.mu.Lock()
	var listeners []func()
	if w := o.watches[key]; w != nil {
		for l := range w.listeners {
			listeners = append(listeners, *l)
		}
	}
	o.mu.Unlock()
	for _, l := range listeners {
		l()
	}
}

// follow watches one object until ctx ends. Every watch begins with the object's present state, so nothing that
// happens between two watches is missed.
func (o *objects) follow(ctx context.Context, key objectKey) {
	for delay := 100 * time.Millisecond; ctx.Err() == nil; delay = min(2*delay, 30*time.Second) {
		if w, err := o.open(ctx, key); err == nil {
			delay = 100 * time.Millisecond
			for range w.ResultChan() {
				o.tell(key)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
}

func (o *objects) open(ctx context.Context, key objectKey) (watch.Interface, error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", key.name).String()}
	if key.kind == "Secret" {
		return o.client.CoreV1().Secrets(key.namespace).Watch(ctx, options)
	}
	return o.client.CoreV1().ConfigMaps(key.namespace).Watch(ctx, options)
}
