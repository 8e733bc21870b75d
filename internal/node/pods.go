// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/output"
)

// startPods watches the pods bound to this node and gives each a worker.
func (n *Node) startPods(ctx context.Context) error {
	selector := fields.OneTermEqualSelector("spec.nodeName", n.options.Name)
	source := cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, selector)
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &v1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { n.podSeen(o.(*v1.Pod)) },
			UpdateFunc: func(_, o any) { n.podSeen(o.(*v1.Pod)) },
			DeleteFunc: n.podRemoved,
		},
	})
	go controller.RunWithContext(n.ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return fault.Wrap(fault.Unavailable, "node.Start: list pods", ctx.Err())
	}
	n.abandonUnwanted()
	n.removeUnknownDirs()
	return nil
}

// podSeen hands a pod to its worker. An update may bring a new pod under an old name: workers are kept by UID.
func (n *Node) podSeen(pod *v1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	for uid, w := range n.workers {
		if uid != pod.UID && w.pod0().Namespace == pod.Namespace && w.pod0().Name == pod.Name {
			w.send(w.removed)
		}
	}
	if w, ok := n.workers[pod.UID]; ok {
		w.send(func() { w.update(pod) })
		return
	}
	w := newWorker(n, pod)
	w.adopting = !isFinal(pod.Status.Phase) && w.refusal == "" && slices.Contains(n.runtime.Kept(), string(pod.UID))
	n.workers[pod.UID] = w
	go w.run()
}

func (n *Node) podRemoved(o any) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	pod, ok := o.(*v1.Pod)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if w, ok := n.workers[pod.UID]; ok {
		w.send(w.removed)
	}
}

// pod0 is the pod as last shown; its identity never changes.
func (w *worker) pod0() *v1.Pod { return w.shown.Load().pod }

// forget removes everything of a pod whose object and processes are gone.
func (n *Node) forget(w *worker) {
	if n.options.PodRemoved != nil {
		n.options.PodRemoved(w.pod, n.Logs(string(w.pod.UID)))
	}
	_ = os.RemoveAll(w.dir)
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.workers, w.pod.UID)
}

// removeUnknownDirs removes what is left of pods that were removed while the node was down.
func (n *Node) removeUnknownDirs() {
	entries, _ := os.ReadDir(filepath.Join(n.options.Dir, "pods"))
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range entries {
		if _, ok := n.workers[types.UID(e.Name())]; !ok {
			_ = os.RemoveAll(n.podDir(e.Name()))
		}
	}
}

// LogPath is the log file of an attempt (restart count) of a container, in the format of package output. It exists from
// the container's start until the pod's object is removed.
func (n *Node) LogPath(uid, container string, attempt int) string {
	return output.Path(n.podDir(uid), container, attempt)
}

// Logs lists the log files of a pod.
func (n *Node) Logs(uid string) []Log {
	files, _ := filepath.Glob(filepath.Join(n.podDir(uid), "logs", "*", "*.log"))
	list := make([]Log, 0, len(files))
	for _, f := range files {
		attempt, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(f), ".log"))
		if err == nil {
			list = append(list, Log{Container: filepath.Base(filepath.Dir(f)), Attempt: attempt, Path: f})
		}
	}
	return list
}

func (n *Node) startEvents() {
	broadcaster := record.NewBroadcaster(record.WithContext(n.ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: n.client.CoreV1().Events("")})
	n.recorder = broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: "fathom-node", Host: n.options.Name})
	n.stops = append(n.stops, broadcaster.Shutdown)
}
