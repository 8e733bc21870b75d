// SPDX-License-Identifier: Apache-2.0

package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

// news carries what happens outside the Kubernetes API to the stations. Nobody waits: stations look again by themselves
// should a message be dropped.
type news struct {
	buckets chan event.GenericEvent
	runs    chan event.GenericEvent
}

const newsRoom = 1024 // messages that may wait

func newNews() *news {
	return &news{buckets: make(chan event.GenericEvent, newsRoom), runs: make(chan event.GenericEvent, newsRoom)}
}

// bucketChanged tells that files of a workspace changed.
func (n *news) bucketChanged(workspace string) {
	send(n.buckets, event.GenericEvent{Object: &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: workspace}}})
}

// runChanged tells that a run's pods said something.
func (n *news) runChanged(run ref.Name) {
	send(n.runs, event.GenericEvent{Object: &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: run.Workspace, Name: run.Name}}})
}

func send(to chan event.GenericEvent, e event.GenericEvent) {
	select {
	case to <- e:
	default:
	}
}
