// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/ref"
)

// podLog reads what a container has written so far, through the Kubernetes API, so that it works on any node.
func (p *platform) podLog(ctx context.Context, namespace, pod, container string) (io.ReadCloser, error) {
	return p.streamLog(ctx, namespace, pod, container, false)
}

func (p *platform) streamLog(ctx context.Context, namespace, pod, container string, follow bool) (io.ReadCloser, error) {
	api, err := p.api(kube.Operator)
	if err != nil {
		return nil, err
	}
	options := &corev1.PodLogOptions{Container: container, Follow: follow}
	stream, err := api.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
	if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
		return nil, fault.New(fault.NotFound, "log of pod "+pod, "there is none")
	}
	return stream, fault.Wrap(fault.Unavailable, "log of pod "+pod, err)
}

// runLog copies a run's log: from its pods while it lives, from the archive afterwards.
func (p *platform) runLog(ctx context.Context, name ref.Name, follow bool, out io.Writer) error {
	var r v1alpha1.Run
	err := p.objects.Get(ctx, types.NamespacedName{Namespace: name.Workspace, Name: name.Name}, &r)
	switch {
	case apierrors.IsNotFound(err):
		record, err := p.lake.Run(ctx, name.Workspace, name.Name)
		if err != nil {
			return err
		}
		return p.archived(ctx, record.Log, out)
	case err != nil:
		return err
	case r.Status.Log != "":
		return p.archived(ctx, ref.Digest(r.Status.Log), out)
	}
	var pods corev1.PodList
	err = p.objects.List(ctx, &pods, client.InNamespace(name.Workspace), client.MatchingLabels{v1alpha1.LabelRun: name.Name})
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return fault.New(fault.NotFound, "log of run "+name.Name, "no pod has started yet: %s", r.Status.Message)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for i := range pods.Items {
		pod := &pods.Items[i]
		if len(pods.Items) > 1 {
			fmt.Fprintf(out, "== %s\n", pod.Name)
		}
		stream, err := p.streamLog(ctx, pod.Namespace, pod.Name, pod.Spec.Containers[0].Name, follow)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, stream)
		if err = cmp.Or(err, stream.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (p *platform) archived(ctx context.Context, digest ref.Digest, out io.Writer) error {
	if digest == "" {
		return fault.New(fault.NotFound, "log", "the run left none")
	}
	f, _, err := p.lake.OpenBlob(ctx, digest)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}

// putObject stores an uploaded file in a workspace's bucket.
func (p *platform) putObject(ctx context.Context, bucket, key string, body io.Reader) error {
	if err := p.s3.Put(ctx, bucket, key, body); err != nil {
		return err
	}
	p.news.bucketChanged(bucket)
	return nil
}
