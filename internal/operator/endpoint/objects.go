// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// ServicePort is where a replica listens, inside its pod.
const ServicePort = 8080

func deploymentName(e *v1alpha1.Endpoint, number int64) string {
	return fmt.Sprintf("%s-v%d", e.Name, number)
}

// deploy makes the Deployment of a version as declared.
func (s *Station) deploy(ctx context.Context, e *v1alpha1.Endpoint, number int64) error {
	want := s.deployment(e, number)
	var have appsv1.Deployment
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, &have)
	if apierrors.IsNotFound(err) {
		err := s.Client.Create(ctx, want)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	} else if err != nil {
		return err
	}
	wantPod, havePod := want.Spec.Template.Spec.Containers[0], have.Spec.Template.Spec.Containers[0]
	if *have.Spec.Replicas == *want.Spec.Replicas && equality.Semantic.DeepEqual(wantPod.Resources, havePod.Resources) &&
		equality.Semantic.DeepEqual(wantPod.Env, havePod.Env) && equality.Semantic.DeepEqual(wantPod.Command, havePod.Command) {
		return nil
	}
	before := have.DeepCopy()
	have.Spec.Replicas = want.Spec.Replicas
	container := &have.Spec.Template.Spec.Containers[0]
	container.Resources, container.Env, container.Command = wantPod.Resources, wantPod.Env, wantPod.Command
	return s.Client.Patch(ctx, &have, client.MergeFrom(before))
}

func (s *Station) deployment(e *v1alpha1.Endpoint, number int64) *appsv1.Deployment {
	labels := map[string]string{
		v1alpha1.LabelEndpoint: e.Name, v1alpha1.LabelModelVersion: fmt.Sprint(number),
	}
	replicas, surge := e.Spec.Scale.Min, intstr.FromInt32(1)
	none := intstr.FromInt32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, Name: deploymentName(e, number), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind("Endpoint"))},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &none},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: s.pod(e, number)},
		},
	}
}

func (s *Station) pod(e *v1alpha1.Endpoint, number int64) corev1.PodSpec {
	yes, no := true, false
	grace := int64(Drain.Seconds())
	hour := int64(3600)
	resources := requirements(e.Spec.Resources)
	return corev1.PodSpec{
		ServiceAccountName:            "endpoints",
		AutomountServiceAccountToken:  &no,
		EnableServiceLinks:            &no,
		TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "serve", Image: s.Image,
			Command: []string{"/fathom/bin/fathom-step", "serve"},
			Env: []corev1.EnvVar{
				{Name: "FATHOM_MODEL_NAME", Value: e.Spec.Model},
				{Name: "FATHOM_MODEL_VERSION", Value: fmt.Sprint(number)},
				{Name: "FATHOM_MODEL_URL", Value: fmt.Sprintf("%s/api/workspaces/%s/modelversions/%s-%d/files",
					s.Door(), e.Namespace, e.Spec.Model, number)},
				{Name: "FATHOM_TOKEN_FILE", Value: "/fathom/identity/token"},
				{Name: "FATHOM_CA_FILE", Value: "/fathom/identity/ca.crt"},
				{Name: "FATHOM_SERVE_PORT", Value: fmt.Sprint(ServicePort)},
				{Name: "FATHOM_SERVE_HOST", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}}},
				{Name: "FATHOM_CONCURRENCY", Value: fmt.Sprint(e.Spec.Scale.Concurrency)},
				{Name: "GOMEMLIMIT", Value: fmt.Sprint(resources.Limits.Memory().Value() * 3 / 4)},
			},
			Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: ServicePort}},
			Resources: resources,
			ReadinessProbe: &corev1.Probe{
				ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Path: "/v2/health/ready", Port: intstr.FromInt32(ServicePort),
				}},
				PeriodSeconds: 1, FailureThreshold: 3,
			},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "identity", MountPath: "/fathom/identity", ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{{Name: "identity", VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "fathom", ExpirationSeconds: &hour}},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: "fathom-ca"},
					Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
				}},
			}},
		}}},
	}
}

func requirements(r v1alpha1.Resources) corev1.ResourceRequirements {
	cpu, memory := resource.MustParse("50m"), resource.MustParse("512Mi")
	if r.CPU != nil {
		cpu = *r.CPU
	}
	if r.Memory != nil {
		memory = *r.Memory
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
	}
}

// captureDataset declares the dataset that collects the endpoint's traffic.
func (s *Station) captureDataset(ctx context.Context, e *v1alpha1.Endpoint) error {
	d := &v1alpha1.Dataset{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, Name: e.Name + "-requests",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind("Endpoint"))},
		},
		Spec: v1alpha1.DatasetSpec{From: v1alpha1.Source{Capture: &v1alpha1.CaptureSource{Endpoint: e.Name}}},
	}
	var have v1alpha1.Dataset
	err := s.Client.Get(ctx, client.ObjectKeyFromObject(d), &have)
	if !apierrors.IsNotFound(err) {
		return err
	}
	if err := s.Client.Create(ctx, d); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
