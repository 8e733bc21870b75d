// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"strings"
	"time"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"fathom.dev/fathom/internal/fault"
)

// controllers that run. Left out are those for clouds, several nodes, attachable disks, autoscaling and certificate
// requests: each watches objects that nobody makes here.
var controllers = []string{
	names.ServiceAccountController,
	names.RootCACertificatePublisherController,
	names.NamespaceController,
	names.GarbageCollectorController,
	names.ResourceQuotaController,
	names.ClusterRoleAggregationController,
	names.JobController,
	names.CronJobController,
	names.TTLAfterFinishedController,
	names.DeploymentController,
	names.ReplicaSetController,
	names.StatefulSetController,
	names.DaemonSetController,
	names.DisruptionController,
	names.PodGarbageCollectorController,
	names.EndpointsController,
	names.EndpointSliceController,
	names.NodeLifecycleController, // removes the not-ready taint with which nodes are born
	names.EphemeralVolumeController,
	names.PersistentVolumeBinderController,
	names.PersistentVolumeClaimProtectionController,
	names.PersistentVolumeProtectionController,
}

func (cp *ControlPlane) controllerArguments() []string {
	return []string{
		"--kubeconfig=" + cp.identityKubeconfig(ControllerManager),
		"--controllers=" + strings.Join(controllers, ","),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + cp.state.key("service-accounts.key"),
		"--root-ca-file=" + cp.state.key("ca.crt"),
		"--secure-port=0",
		"--leader-elect=false",
		"--profiling=false",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--terminated-pod-gc-threshold=500",
	}
}

func (cp *ControlPlane) startControllers() error {
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fault.Wrap(fault.Internal, "kube: kube-controller-manager", err)
	}
	flags := opts.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err := parse(flags, cp.controllerArguments()); err != nil {
		return err
	}
	opts.ControllerShutdownTimeout = 3 * time.Second
	cp.parts = append(cp.parts, cp.run("kube-controller-manager", func(ctx context.Context) error {
		config, err := opts.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
		if err != nil {
			return err
		}
		return app.Run(ctx, config.Complete())
	}))
	return nil
}

func (cp *ControlPlane) startScheduler() error {
	opts := scheduleroptions.NewOptions()
	arguments := []string{"--config=" + cp.state.key("scheduler.yaml"), "--secure-port=0"}
	if err := parse(*opts.Flags, arguments); err != nil {
		return err
	}
	cp.parts = append(cp.parts, cp.run("kube-scheduler", func(ctx context.Context) error {
		config, sched, err := scheduler.Setup(ctx, opts)
		if err != nil {
			return err
		}
		return scheduler.Run(ctx, config, sched)
	}))
	return nil
}
