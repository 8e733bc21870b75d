// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node/claims"
	"fathom.dev/fathom/internal/testenv"
)

func (c *cluster) claim(name string, change ...func(*v1.PersistentVolumeClaim)) {
	c.Helper()
	claim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.PersistentVolumeClaimSpec{
		AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
		Resources:   v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	for _, f := range change {
		f(claim)
	}
	if _, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Create(c.Context(), claim, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) awaitClaim(name, what string, ok func(*v1.PersistentVolumeClaim) bool) *v1.PersistentVolumeClaim {
	c.Helper()
	var last *v1.PersistentVolumeClaim
	testenv.Eventually(c.T, "claim "+name+" to be "+what, func(ctx context.Context) (bool, error) {
		var err error
		last, err = c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && ok(last), nil
	})
	return last
}

func bound(p *v1.PersistentVolumeClaim) bool { return p.Status.Phase == v1.ClaimBound }

func withClaim(name string, readOnly bool) func(*v1.Pod) {
	return withVolume("data", "/data", v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: name, ReadOnly: readOnly}})
}

// podClaim: what one pod writes the next finds; a read-only use cannot change it; the directory outlives the claim.
func podClaim(c *cluster) {
	c.claim("data")
	claim := c.awaitClaim("data", "bound", bound)
	if size := claim.Status.Capacity[v1.ResourceStorage]; size.String() != "1Gi" || *claim.Spec.StorageClassName != claims.ClassLocal {
		c.Errorf("claim of class %s has capacity %s", *claim.Spec.StorageClassName, size.String())
	}
	c.run(shell("first", "mkdir -p /data/dir; echo one > /data/dir/file", withClaim("data", false)))
	c.run(shell("second", "echo two >> /data/dir/file; cat /data/dir/file", withClaim("data", false)))
	if got := c.log("second", v1.PodLogOptions{}); got != "one\ntwo\n" {
		c.Errorf("the second pod read %q", got)
	}
	if c.sandboxed() {
		pod := c.run(shell("reader", "cat /data/dir/file; echo three >> /data/dir/file", withClaim("data", true)))
		if pod.Status.Phase != v1.PodFailed {
			c.Error("a pod could write through a read-only claim")
		}
	}
	pv := c.volumeOf(claim)
	if err := c.client.CoreV1().Pods(c.namespace).DeleteCollection(c.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil { // they count as users
		c.Fatal(err)
	}
	if err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Delete(c.Context(), "data", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	testenv.Eventually(c.T, "the volume to be released", func(ctx context.Context) (bool, error) {
		now, err := c.client.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		return err == nil && now.Status.Phase == v1.VolumeReleased, err
	})
	if text, err := os.ReadFile(pv.Spec.Local.Path + "/dir/file"); err != nil || string(text) != "one\ntwo\n" {
		c.Errorf("after the claim the volume holds %q, %v", text, err)
	}
}

func (c *cluster) volumeOf(claim *v1.PersistentVolumeClaim) *v1.PersistentVolume {
	c.Helper()
	pv, err := c.client.CoreV1().PersistentVolumes().Get(c.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return pv
}

// podScratchClaim: an ephemeral volume goes with its pod.
func podScratchClaim(c *cluster) {
	class := claims.ClassScratch
	c.run(shell("scratching", "echo x > /data/file", withVolume("data", "/data", v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{
		VolumeClaimTemplate: &v1.PersistentVolumeClaimTemplate{Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Mi")}},
		}}}})))
	pv := c.volumeOf(c.awaitClaim("scratching-data", "bound", bound))
	if !exists(pv.Spec.Local.Path + "/file") {
		c.Error("the pod's file is not in the volume")
	}
	c.delete("scratching", ptr(int64(0)))
	testenv.Eventually(c.T, "the volume to be gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err) && !exists(pv.Spec.Local.Path), nil
	})
}

// podClaimGroup: everything in the volume belongs to the pod's group, whoever wrote it.
func podClaimGroup(c *cluster) {
	if !c.sandboxed() {
		return // reported
	}
	c.claim("shared")
	as := func(user int64) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: &user, RunAsGroup: ptr(int64(2000)), FSGroup: ptr(int64(3000))}
		}
	}
	c.run(shell("alice", "umask 077; echo one > /data/file; stat -c %g /data", withClaim("shared", false), as(1001)))
	pod := c.run(shell("bob", "cat /data/file; echo two >> /data/file", withClaim("shared", false), as(1002)))
	if got := c.log("bob", v1.PodLogOptions{}); pod.Status.Phase != v1.PodSucceeded || got != "one\n" {
		c.Errorf("another user of the group read %q, pod\n%s", got, describe(pod))
	}
}

// podForeignVolume: nobody shows a pod a path of the host by making a volume of it.
func podForeignVolume(c *cluster) {
	name := "foreign-" + c.namespace
	pv := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": claims.Provisioner}},
		Spec: v1.PersistentVolumeSpec{Capacity: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: "/etc"}}, StorageClassName: "none",
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpExists}}}}}}}}
	if _, err := c.client.CoreV1().PersistentVolumes().Create(c.Context(), pv, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	c.claim("foreign", func(p *v1.PersistentVolumeClaim) {
		class := "none"
		p.Spec.StorageClassName, p.Spec.VolumeName = &class, name
	})
	c.awaitClaim("foreign", "bound", bound)
	c.create(shell("looking", "ls /data", withClaim("foreign", false), grace(0)))
	c.await("looking", "waiting", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) > 0 && s[0].State.Waiting != nil && strings.Contains(s[0].State.Waiting.Message, "PersistentVolume "+name)
	})
	c.delete("looking", ptr(int64(0)))
}

func podBlockClaim(c *cluster) {
	block := v1.PersistentVolumeBlock
	c.claim("block", func(p *v1.PersistentVolumeClaim) { p.Spec.VolumeMode = &block })
	c.awaitEvent("block", "ProvisioningFailed")
}
