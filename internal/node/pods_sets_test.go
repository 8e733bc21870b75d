// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node"
	"fathom.dev/fathom/internal/testenv"
)

// statefulSet: each replica has a name and a volume of its own, keeps both over a rolling update, and they start in order.
func statefulSet(c *cluster) {
	ctx, labels := c.Context(), map[string]string{"app": "store"}
	template := func(text string) v1.PodTemplateSpec {
		pod := shell("", "hostname >> /data/lives; echo "+text+" >> /data/lives; exec sleep 1000", grace(0), func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyAlways
			p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "data", MountPath: "/data"}}
			p.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{
				Exec: &v1.ExecAction{Command: []string{"grep", "-q", text, "/data/lives"}}}} // it may be replaced once it has written
		})
		return v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "store"}, Spec: appsv1.StatefulSetSpec{
		Replicas: ptr(int32(2)), ServiceName: "store", Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template("first"),
		VolumeClaimTemplates: []v1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: v1.PersistentVolumeClaimSpec{
			AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources:   v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Mi")}}}}},
	}}
	api := c.client.AppsV1().StatefulSets(c.namespace)
	if _, err := api.Create(ctx, set, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	updated := func(ctx context.Context) (bool, error) {
		s, err := api.Get(ctx, "store", metav1.GetOptions{})
		return err == nil && s.Status.ObservedGeneration == s.Generation && s.Status.ReadyReplicas == 2 && s.Status.UpdatedReplicas == 2 && s.Status.CurrentRevision == s.Status.UpdateRevision, err
	}
	testenv.Eventually(c.T, "two replicas", updated)
	current, err := api.Get(ctx, "store", metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	current.Spec.Template = template("second")
	if _, err := api.Update(ctx, current, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
	testenv.Eventually(c.T, "the update", updated)
	for i := range 2 {
		name := fmt.Sprint("store-", i)
		host := name
		if !c.sandboxed() {
			host = strings.TrimSpace(c.exec(name, "hostname")) // the machine's
		}
		if got, want := c.exec(name, "cat /data/lives"), host+"\nfirst\n"+host+"\nsecond\n"; got != want {
			c.Errorf("%s remembers %q; want %q", name, got, want)
		}
	}
	if err := api.Delete(ctx, "store", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}

// restricted: pods run in a namespace with the strictest Pod Security, a quota and default limits.
func restricted(c *cluster) {
	ctx := c.Context()
	c.label("pod-security.kubernetes.io/enforce", "restricted")
	limits := &v1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1.LimitRangeSpec{Limits: []v1.LimitRangeItem{{Type: v1.LimitTypeContainer,
		Default: v1.ResourceList{v1.ResourceMemory: resource.MustParse("64Mi")}, DefaultRequest: v1.ResourceList{v1.ResourceMemory: resource.MustParse("32Mi")}}}}}
	if _, err := c.client.CoreV1().LimitRanges(c.namespace).Create(ctx, limits, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	quota := &v1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: v1.ResourceQuotaSpec{Hard: v1.ResourceList{v1.ResourceRequestsMemory: resource.MustParse("40Mi")}}}
	if _, err := c.client.CoreV1().ResourceQuotas(c.namespace).Create(ctx, quota, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	testenv.Eventually(c.T, "the quota to count", func(ctx context.Context) (bool, error) {
		q, err := c.client.CoreV1().ResourceQuotas(c.namespace).Get(ctx, "one", metav1.GetOptions{})
		return err == nil && len(q.Status.Hard) > 0, err
	})
	strict := func(p *v1.Pod) {
		p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: ptr(true), SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeRuntimeDefault}}
		p.Spec.Containers[0].SecurityContext = &v1.SecurityContext{AllowPrivilegeEscalation: ptr(false), Capabilities: &v1.Capabilities{Drop: []v1.Capability{"ALL"}}}
	}
	facts := withVolume("facts", "/facts", v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{
		{Path: "memory", ResourceFieldRef: &v1.ResourceFieldSelector{ContainerName: "main", Resource: "limits.memory"}}}}})
	if _, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, shell("lax", "true"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		c.Errorf("a pod without restrictions: %v; want Forbidden", err)
	}
	testenv.Eventually(c.T, "a restricted pod", func(ctx context.Context) (bool, error) { // the namespace's default limits may not be known yet
		pod := shell("strict", "cat /facts/memory; echo; sleep 1000", strict, facts, grace(0))
		_, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err == nil, nil
	})
	c.awaitLog("strict", "67108864") // 64 MiB
	if _, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, shell("more", "true", strict), metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota") {
		c.Errorf("a pod beyond the quota: %v; want Forbidden", err)
	}
	pod := c.await("strict", "running", running)
	for _, s := range pod.Status.Conditions {
		if s.Type == node.FullyHonoured && c.sandboxed() {
			c.Errorf("a restricted pod is not honoured in all: %s", s.Message)
		}
	}
	c.delete("strict", ptr(int64(0)))
}
