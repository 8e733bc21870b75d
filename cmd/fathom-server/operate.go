// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/operator"
	"fathom.dev/fathom/internal/operator/dataset"
	"fathom.dev/fathom/internal/operator/endpoint"
	"fathom.dev/fathom/internal/operator/model"
	"fathom.dev/fathom/internal/operator/report"
	"fathom.dev/fathom/internal/operator/run"
	"fathom.dev/fathom/internal/operator/workspace"
	"fathom.dev/fathom/internal/ref"
)

// startOperator runs all stations.
func (p *platform) startOperator(ctx context.Context) error {
	logger := logr.FromSlogHandler(p.logger.Handler())
	ctrl.SetLogger(logger)
	o := operator.Options{
		Config: p.control.RESTConfig(kube.Operator), Logger: logger,
		Workspace: workspace.Options{
			Now: time.Now, CA: p.control.CA(), Isolation: p.isolationText,
			EnsureBucket: func(_ context.Context, bucket string) error { return p.s3.EnsureBucket(bucket) },
			Storage:      p.stored,
		},
		Dataset: p.datasetOptions(),
		Model: model.Options{
			Lake: p.lake, Uploaded: p.uploads.Check, Now: time.Now, URL: p.modelURL, Tracker: tracker{p.tracking, p.lake, p.shelf(), time.Now},
		},
		Endpoint: endpoint.Options{Now: time.Now, URL: p.endpointURL, Door: p.doorForPods, Image: podImage},
		Report:   report.Options{Lake: p.lake, Check: p.steps.check, Uploaded: p.uploads.Check, Now: time.Now, URL: p.reportURL},
		Run: run.Options{
			Lake: p.lake, Door: p.doorForPods, Environment: p.environment, Report: p.ledger.Report, Forget: p.ledger.Forget,
			Logs: p.podLog, Env: p.runEnv, Isolation: p.isolationLevel, Changed: p.news.runs, Now: time.Now, Image: podImage,
		},
	}
	o.Config.QPS = -1
	m, err := operator.New(o)
	if err != nil {
		return err
	}
	p.objects, p.live, p.options = m.GetClient(), m.GetAPIReader(), o
	direct, err := client.New(o.Config, client.Options{Scheme: m.GetScheme()})
	if err != nil {
		return err
	}
	if err := operator.InstallRoles(ctx, direct); err != nil {
		return err
	}
	if err := p.announce(ctx, direct); err != nil {
		return err
	}
	if err := p.rememberUploads(ctx, direct); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- m.Start(running) }()
	p.onStop(func(context.Context) error {
		cancel()
		return <-ended
	})
	if p.targets, err = watchTargets(ctx, m.GetCache()); err != nil {
		return err
	}
	if p.changes, err = watchChanges(ctx, m.GetCache()); err != nil {
		return err
	}
	if err := p.watchEnvironments(ctx, m.GetCache()); err != nil {
		return err
	}
	if !m.GetCache().WaitForCacheSync(ctx) {
		return fault.New(fault.Unavailable, "operator", "it could not read the API")
	}
	return nil
}

// rescan is how often sources are listed without an event: files that were copied into a bucket past the doors, and
// captured traffic.
const rescan = 5 * time.Second

// podImage is the image of all pods on the local node: the host's programs, read-only.
const podImage = "host"

func (p *platform) datasetOptions() dataset.Options {
	return dataset.Options{
		Lake: p.lake, Sources: p.sources, Check: p.steps.check, Uploaded: p.uploads.Check, Now: time.Now, SourceEvents: p.news.buckets, Rescan: rescan,
		Captured: func(ctx context.Context, workspace, endpoint string) ([]lake.File, error) {
			segments, err := p.captured.Captured(ctx, workspace, endpoint)
			files := make([]lake.File, 0, len(segments))
			for _, s := range segments {
				files = append(files, lake.File{Path: s.Path, Digest: s.Digest, Size: s.Size})
			}
			return files, err
		},
	}
}

// environment answers how far a run's Python environment is; it is built in the background.
func (p *platform) environment(ctx context.Context, requirements ref.Digest) (run.Environment, error) {
	f, _, err := p.lake.OpenBlob(ctx, requirements)
	if err != nil {
		return run.Environment{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return run.Environment{}, err
	}
	state := p.envs.Ensure(text)
	if fault.Retryable(state.Err) { // it is tried again; what is wrong is worth telling meanwhile
		return run.Environment{Digest: state.Digest, Message: state.Err.Error()}, nil
	}
	if state.Err != nil {
		return run.Environment{}, state.Err
	}
	if state.Ready {
		if err := p.showEnvironment(ctx, state.Digest, requirements); err != nil {
			p.logger.Error("an environment is not shown in the registry", "digest", state.Digest, "error", err)
		}
	}
	return run.Environment{Digest: state.Digest, Ready: state.Ready, Message: state.Message}, nil
}

// runEnv is what users' code is told besides the contract of package gang.
func (p *platform) runEnv(r *v1alpha1.Run) map[string]string {
	s3 := "https://" + p.node.ForwardAddress("s3")
	return map[string]string{
		"MLFLOW_TRACKING_URI":              p.doorForPods() + "/mlflow/" + r.Namespace,
		"MLFLOW_TRACKING_SERVER_CERT_PATH": "/fathom/identity/ca.crt",
		"MLFLOW_EXPERIMENT_NAME":           r.Spec.For.Name,
		"FATHOM_TRACKING_TOKEN_FILE":       "/fathom/identity/token",
		"AWS_ENDPOINT_URL_S3":              s3,
		"AWS_ENDPOINT_URL_STS":             s3,
		"AWS_CA_BUNDLE":                    "/fathom/identity/ca.crt",
		"AWS_WEB_IDENTITY_TOKEN_FILE":      "/fathom/identity/token",
		"AWS_ROLE_ARN":                     "arn:aws:iam::000000000000:role/fathom",
		"AWS_REGION":                       "us-east-1",
		"PYTHONUNBUFFERED":                 "1",
		"PYTHONDONTWRITEBYTECODE":          "1",
	}
}

// announce tells clients of the Kubernetes API where the doors are.
func (p *platform) announce(ctx context.Context, c client.Client) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fathom-system"}}
	if err := c.Create(ctx, ns); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	where := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fathom-system", Name: "fathom-doors"},
		Data:       map[string]string{"url": p.doors.url(), "s3": "https://" + p.doors.s3.Addr().String(), "ca.crt": string(p.control.CA()), "version": version},
	}
	err := c.Create(ctx, where)
	if apierrors.IsAlreadyExists(err) {
		err = c.Update(ctx, where)
	}
	if err != nil {
		return err
	}
	return tellEveryone(ctx, c, where)
}

// tellEveryone lets all who have an identity read where the doors are; it is no secret, and nobody can ask a door without.
func tellEveryone(ctx context.Context, c client.Client, where *corev1.ConfigMap) error {
	meta := metav1.ObjectMeta{Namespace: where.Namespace, Name: where.Name}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{where.Name}, Verbs: []string{"get"}},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}},
	}
	return errors.Join(client.IgnoreAlreadyExists(c.Create(ctx, role)), client.IgnoreAlreadyExists(c.Create(ctx, binding)))
}
