// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
)

// Accounts of a workspace under which pods run; the Workspace station makes them.
const (
	accountSteps = "steps"
	accountCode  = "code"
)

// stem is what a run's objects are named after: short enough that "<stem>-<attempt>-<rank>" is a host name.
func stem(run string) string {
	const longest = 50
	if len(run) <= longest {
		return run
	}
	sum := sha256.Sum256([]byte(run))
	return strings.TrimRight(run[:longest-9], "-") + "-" + hex.EncodeToString(sum[:4])
}

// JobName is the name of an attempt's Job, to which "-<rank>" is a pod's host name.
func JobName(run string, attempt int32) string { return stem(run) + "-" + strconv.Itoa(int(attempt)) }

// ServiceName is the name of the headless Service of a run with several ranks. It begins with a letter, as it must.
func ServiceName(run string) string { return "run-" + stem(run) }

// Gang describes the ranks of an attempt, for the staging door.
func Gang(r *v1alpha1.Run, attempt int32) gang.Gang {
	return gang.Gang{
		Framework: r.Spec.Framework, Workers: max(int(r.Spec.Workers), 1), Workspace: r.Namespace,
		Name: JobName(r.Name, attempt), Service: ServiceName(r.Name), Hostfile: "/fathom/run/hostfile",
	}
}

// trusted says that a step runs Fathom's own code only.
func trusted(r *v1alpha1.Run) bool {
	if r.Spec.Step == v1alpha1.StepRender {
		return true // its code is a page, which is read, not run
	}
	return r.Spec.Step != v1alpha1.StepCode && r.Spec.Step != v1alpha1.StepTrain && r.Spec.Code == ""
}

// start makes the next attempt's Job and, before the first of a gang, what its ranks find each other with. What is there
// already is left as it is.
func (s *Station) start(ctx context.Context, r *v1alpha1.Run, o observation) error {
	if r.Spec.Secret != "" && !trusted(r) {
		return fault.New(fault.Internal, "run "+r.Name, "a secret for a step that is not trusted")
	}
	if r.Spec.Workers > 1 && o.attempt() == 0 {
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() error { return s.create(ctx, service(r)) })
		both.Go(func() error { return s.create(ctx, policy(r)) })
		if err := both.Wait(); err != nil {
			return err
		}
	}
	return s.create(ctx, s.job(r, o.attempt()+1, o.env))
}

func (s *Station) create(ctx context.Context, object client.Object) error {
	err := s.Client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func labels(r *v1alpha1.Run) map[string]string { return map[string]string{v1alpha1.LabelRun: r.Name} }

func meta(r *v1alpha1.Run, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: r.Namespace, Name: name, Labels: labels(r),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r, v1alpha1.GroupVersion.WithKind("Run"))},
	}
}

// service gives every rank a name, also before it is ready: ranks wait for each other.
func service(r *v1alpha1.Run) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(r, ServiceName(r.Name)), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Selector: labels(r), PublishNotReadyAddresses: true,
	}}
}

// policy lets the ranks of one run talk to each other and to nobody else's.
func policy(r *v1alpha1.Run) *networkingv1.NetworkPolicy {
	peers := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: labels(r)}}}
	return &networkingv1.NetworkPolicy{ObjectMeta: meta(r, ServiceName(r.Name)), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: labels(r)},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: peers}},
		Egress:      []networkingv1.NetworkPolicyEgressRule{{To: peers}},
	}}
}

// job is one attempt. It never restarts a rank by itself: a gang is restarted whole, as another attempt.
func (s *Station) job(r *v1alpha1.Run, attempt int32, env Environment) *batchv1.Job {
	workers, never := max(r.Spec.Workers, 1), int32(0)
	indexed := batchv1.IndexedCompletion
	backstop := int64((defaultTimeout).Seconds())
	if t := r.Spec.Timeout; t != nil && t.Duration > 0 {
		backstop = int64(t.Seconds())
	}
	backstop += 120 // the station ends the attempt first, with a reason and the logs
	m := meta(r, JobName(r.Name, attempt))
	m.Labels[LabelAttempt] = strconv.Itoa(int(attempt))
	m.Labels[v1alpha1.LabelFor] = strings.ToLower(r.Spec.For.Kind) + "." + r.Spec.For.Name
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(m.Labels)}, Spec: s.pod(r, backstop)}
	if env.Digest != "" {
		pod.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: string(env.Digest)}
	}
	return &batchv1.Job{ObjectMeta: m, Spec: batchv1.JobSpec{
		Completions: &workers, Parallelism: &workers, CompletionMode: &indexed, BackoffLimit: &never,
		ActiveDeadlineSeconds: &backstop, Template: pod,
	}}
}

func (s *Station) pod(r *v1alpha1.Run, lifetime int64) corev1.PodSpec {
	yes, no := true, false
	grace := int64(s.Grace.Seconds())
	token := max(lifetime, 3600) // clients such as MLflow's read it once
	account := accountCode
	if trusted(r) {
		account = accountSteps
	}
	spec := corev1.PodSpec{
		ServiceAccountName: account, AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: container, Image: s.Image, Command: []string{"/fathom/bin/fathom-launch"},
			Env: s.env(r), Resources: requirements(r),
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "identity", MountPath: "/fathom/identity", ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{{Name: "identity", VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "fathom", ExpirationSeconds: &token}},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: "fathom-ca"},
					Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
				}},
			}},
		}}},
	}
	if r.Spec.Workers > 1 {
		spec.Subdomain = ServiceName(r.Name)
	}
	mount := func(name string, source corev1.VolumeSource) {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, corev1.VolumeMount{
			Name: name, MountPath: "/fathom/" + name, ReadOnly: source.Secret != nil,
		})
	}
	for _, folder := range []string{"code", "inputs", "output", "checkpoints", "run"} {
		mount(folder, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	}
	if r.Spec.Secret != "" {
		mount("secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: r.Spec.Secret}})
	}
	return spec
}

// env is the same for all ranks; what differs comes from the staging door.
func (s *Station) env(r *v1alpha1.Run) []corev1.EnvVar {
	vars := map[string]string{
		"FATHOM_RUN": r.Name, "FATHOM_WORKSPACE": r.Namespace,
		"FATHOM_RUN_URL":    s.Door() + "/runs/" + r.Namespace + "/" + r.Name,
		"FATHOM_TOKEN_FILE": "/fathom/identity/token", "FATHOM_CA_FILE": "/fathom/identity/ca.crt",
		"FATHOM_CODE": "/fathom/code", "FATHOM_INPUTS": "/fathom/inputs", "FATHOM_OUTPUT": "/fathom/output",
		"FATHOM_CHECKPOINTS": "/fathom/checkpoints", "FATHOM_PARAMS": "/fathom/run/params.json",
		"FATHOM_PROGRESS": "/fathom/run/progress", "FATHOM_TERMINATION": "/fathom/run/termination.json",
		"FATHOM_HOSTFILE": "/fathom/run/hostfile",
	}
	if r.Spec.Secret != "" {
		vars["FATHOM_SECRET"] = "/fathom/secret"
	}
	if r.Spec.TrackingRun != "" {
		vars["MLFLOW_RUN_ID"] = r.Spec.TrackingRun
	}
	if !trusted(r) {
		for k, v := range s.Env(r) {
			if _, ours := vars[k]; !ours {
				vars[k] = v
			}
		}
	}
	env := make([]corev1.EnvVar, 0, len(vars))
	for k, v := range vars {
		env = append(env, corev1.EnvVar{Name: k, Value: v})
	}
	slices.SortFunc(env, func(a, b corev1.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
	return env
}

// perRank is what one rank asks for unless the run says otherwise: 1 core and 1 GiB for users' code; a quarter of a core and
// 512 MiB for Fathom's own steps, which are short and spill to disk.
func perRank(r *v1alpha1.Run) (cpu, memory resource.Quantity) {
	cpu, memory = resource.MustParse("1"), resource.MustParse("1Gi")
	if trusted(r) {
		cpu, memory = resource.MustParse("250m"), resource.MustParse("512Mi")
	}
	if r.Spec.Resources.CPU != nil {
		cpu = *r.Spec.Resources.CPU
	}
	if r.Spec.Resources.Memory != nil {
		memory = *r.Spec.Resources.Memory
	}
	return cpu, memory
}

// requirements asks for what the queue has counted. CPU that nobody uses may be used beyond it; memory may not.
func requirements(r *v1alpha1.Run) corev1.ResourceRequirements {
	cpu, memory := perRank(r)
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
	}
}
