// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// Member tells which run, attempt and rank a pod is, for the staging door. It reads from cached and, if the pod is not
// there yet, from live. NotFound: there is no such pod (any more); Forbidden: it is no pod of a run.
func Member(ctx context.Context, cached, live client.Reader, workspace, name, uid string) (run string, attempt, rank int, err error) {
	key := types.NamespacedName{Namespace: workspace, Name: name}
	var pod corev1.Pod
	if err = cached.Get(ctx, key, &pod); apierrors.IsNotFound(err) || err == nil && string(pod.UID) != uid {
		err = live.Get(ctx, key, &pod)
	}
	switch {
	case apierrors.IsNotFound(err):
		return "", 0, 0, fault.New(fault.NotFound, "pod "+name, "it is gone")
	case err != nil:
		return "", 0, 0, fault.Wrap(fault.Unavailable, "pod "+name, err)
	case string(pod.UID) != uid:
		return "", 0, 0, fault.New(fault.NotFound, "pod "+name, "the token belongs to an earlier pod of this name")
	}
	run, attempt32 := pod.Labels[v1alpha1.LabelRun], attemptOf(&pod)
	for _, owner := range pod.OwnerReferences { // labels alone could be written by whoever makes a pod
		if run != "" && owner.Kind == "Job" && owner.Controller != nil && *owner.Controller && owner.Name == JobName(run, attempt32) {
			return run, int(attempt32), rankOf(&pod), nil
		}
	}
	return "", 0, 0, fault.New(fault.Forbidden, "pod "+name, "it is not a pod of a run")
}
