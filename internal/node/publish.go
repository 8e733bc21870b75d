// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// publisher writes a pod's status to the API: the latest one only, one write at a time, never blocking the worker.
type publisher struct {
	client typedv1.CoreV1Interface
	logger *slog.Logger

	mu      sync.Mutex
	pod     *v1.Pod       // identity of the pod
	base    v1.PodStatus  // what the API holds, as far as known
	wanted  *v1.PodStatus // nil when the API holds the wanted status
	remove  bool          // delete the object once the status is written
	writing bool
	gone    bool
	idle    *sync.Cond
}

func newPublisher(client typedv1.CoreV1Interface, logger *slog.Logger, pod *v1.Pod) *publisher {
	p := &publisher{client: client, logger: logger, pod: pod, base: *pod.Status.DeepCopy()}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// Publish asks for a status; a status equal to the last is not written again.
func (p *publisher) Publish(status v1.PodStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted == nil && equality.Semantic.DeepEqual(p.base, status) {
		return
	}
	p.wanted = status.DeepCopy()
	p.kick()
}

// Remove deletes the pod object after the last status has been written.
func (p *publisher) Remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove = true
	p.kick()
}

// Gone tells that the object no longer exists.
func (p *publisher) Gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.idle.Broadcast()
}

// Flush waits until everything wanted has been written, or ctx ends.
func (p *publisher) Flush(ctx context.Context) {
	stop := context.AfterFunc(ctx, p.idle.Broadcast)
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing && !p.gone && ctx.Err() == nil {
		p.idle.Wait()
	}
}

func (p *publisher) kick() {
	if !p.writing && !p.gone {
		p.writing = true
		go p.run()
	}
}

func (p *publisher) run() {
	delay := 20 * time.Millisecond
	for {
		p.mu.Lock()
		status, remove := p.wanted, p.remove
		if p.gone || status == nil && !remove {
			p.writing = false
			p.idle.Broadcast()
			p.mu.Unlock()
			return
		}
		base := p.base
		p.mu.Unlock()

		err := p.write(base, status, remove)
		switch {
		case err == nil:
			p.wrote(status, remove)
			delay = 20 * time.Millisecond
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
			p.Gone() // removed, or another pod has its name
		default:
			p.logger.Warn("pod status could not be written", "namespace", p.pod.Namespace, "pod", p.pod.Name, "error", err)
			time.Sleep(delay)
			delay = min(2*delay, 5*time.Second)
		}
	}
}

func (p *publisher) wrote(status *v1.PodStatus, remove bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if status != nil {
		p.base = *status
		if p.wanted == status {
			p.wanted = nil
		}
	} else if remove {
		p.remove = false
	}
}

func (p *publisher) write(base v1.PodStatus, status *v1.PodStatus, remove bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if status == nil && remove {
		now := int64(0)
		return p.client.Pods(p.pod.Namespace).Delete(ctx, p.pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(p.pod.UID))})
	}
	patch, err := statusPatch(p.pod.UID, base, *status)
	if err != nil {
		return err
	}
	_, err = p.client.Pods(p.pod.Namespace).Patch(ctx, p.pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// statusPatch changes only what differs, so that what others write into the status stays; the UID keeps it from a
// later pod of the same name.
func statusPatch(uid types.UID, from, to v1.PodStatus) ([]byte, error) {
	identity := metav1.ObjectMeta{UID: uid}
	old, err := json.Marshal(v1.Pod{Status: from})
	if err != nil {
		return nil, err
	}
	fresh, err := json.Marshal(v1.Pod{ObjectMeta: identity, Status: to})
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(old, fresh, v1.Pod{})
}
