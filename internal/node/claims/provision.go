// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"os"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"fathom.dev/fathom/internal/fault"
)

// provisionerAnnotation is what the binder writes into a claim whose class names a provisioner.
const provisionerAnnotation = "volume.kubernetes.io/storage-provisioner"

// provisionedBy marks the volumes that are ours.
const provisionedBy = "pv.kubernetes.io/provisioned-by"

// key is a claim or, without namespace, a volume.
type key struct{ namespace, name string }

type provisioner struct {
	options         Options
	claims, volumes cache.Store
	queue           workqueue.TypedRateLimitingInterface[key]
}

// Start makes the StorageClasses and serves claims until ctx ends.
func Start(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fault.Wrap(fault.Internal, "node.claims", err)
	}
	for _, class := range classes() {
		if _, err := o.Client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fault.Wrap(fault.Unavailable, "node.claims: StorageClass "+class.Name, err)
		}
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[key](100*time.Millisecond, time.Minute)
	p := &provisioner{options: o, queue: workqueue.NewTypedRateLimitingQueue(limiter)}
	p.claims = p.watch(ctx, "persistentvolumeclaims", &v1.PersistentVolumeClaim{})
	p.volumes = p.watch(ctx, "persistentvolumes", &v1.PersistentVolume{})
	context.AfterFunc(ctx, p.queue.ShutDown)
	go p.run(ctx)
	return nil
}

func classes() []*storagev1.StorageClass {
	class := func(name string, policy v1.PersistentVolumeReclaimPolicy, isDefault string) *storagev1.StorageClass {
		immediate := storagev1.VolumeBindingImmediate
		return &storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": isDefault}},
			Provisioner: Provisioner, ReclaimPolicy: &policy, VolumeBindingMode: &immediate,
		}
	}
	return []*storagev1.StorageClass{class(ClassLocal, v1.PersistentVolumeReclaimRetain, "true"), class(ClassScratch, v1.PersistentVolumeReclaimDelete, "false")}
}

func (p *provisioner) watch(ctx context.Context, resource string, kind runtime.Object) cache.Store {
	add := func(o any) {
		if object, ok := o.(metav1.Object); ok {
			p.queue.Add(key{object.GetNamespace(), object.GetName()})
		}
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(p.options.Client.CoreV1().RESTClient(), resource, metav1.NamespaceAll, fields.Everything()),
		ObjectType:    kind,
		Handler:       cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }},
	})
	go controller.RunWithContext(ctx)
	return store
}

func (p *provisioner) run(ctx context.Context) {
	for {
		k, stopped := p.queue.Get()
		if stopped {
			return
		}
		if err := p.reconcile(ctx, k); err != nil && ctx.Err() == nil {
			p.options.Logger.Warn("volume could not be served", "namespace", k.namespace, "name", k.name, "error", err)
			p.queue.AddRateLimited(k)
		} else {
			p.queue.Forget(k)
		}
		p.queue.Done(k)
	}
}

func (p *provisioner) reconcile(ctx context.Context, k key) error {
	if k.namespace == "" {
		object, found, err := p.volumes.GetByKey(k.name)
		if err != nil || !found {
			return err
		}
		return p.reclaim(ctx, object.(*v1.PersistentVolume))
	}
	object, found, err := p.claims.GetByKey(k.namespace + "/" + k.name)
	if err != nil || !found {
		return err
	}
	return p.provision(ctx, object.(*v1.PersistentVolumeClaim))
}

// provision makes the volume of a claim that waits for one.
func (p *provisioner) provision(ctx context.Context, claim *v1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[provisionerAnnotation] != Provisioner || claim.Spec.StorageClassName == nil {
		return nil
	}
	if why := impossible(claim); why != "" {
		p.options.Event(claim, v1.EventTypeWarning, "ProvisioningFailed", why)
		return nil
	}
	class, err := p.options.Client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	volume := p.volume(claim, class)
	if err := makeDirectory(Directory(p.options.Dir, volume)); err != nil {
		p.options.Event(claim, v1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return err
	}
	_, err = p.options.Client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		p.options.Event(claim, v1.EventTypeNormal, "ProvisioningSucceeded", "volume "+volume.Name+" is a directory of node "+p.options.NodeName)
	}
	return err
}

// impossible says why there cannot be a volume as the claim wants it.
func impossible(claim *v1.PersistentVolumeClaim) string {
	switch s := claim.Spec; {
	case s.VolumeMode != nil && *s.VolumeMode == v1.PersistentVolumeBlock:
		return "volumes of the local node are directories, not block devices: set volumeMode Filesystem"
	case s.DataSource != nil || s.DataSourceRef != nil:
		return "volumes of the local node begin empty: remove dataSource"
	case s.Selector != nil:
		return "volumes are made for their claim: remove selector, or make the PersistentVolume yourself"
	}
	return ""
}

func (p *provisioner) volume(claim *v1.PersistentVolumeClaim, class *storagev1.StorageClass) *v1.PersistentVolume {
	policy := v1.PersistentVolumeReclaimRetain
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	mode := v1.PersistentVolumeFilesystem
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID), Annotations: map[string]string{provisionedBy: Provisioner}},
		Spec: v1.PersistentVolumeSpec{
			Capacity:    v1.ResourceList{v1.ResourceStorage: claim.Spec.Resources.Requests[v1.ResourceStorage]},
			AccessModes: claim.Spec.AccessModes, VolumeMode: &mode, StorageClassName: class.Name, PersistentVolumeReclaimPolicy: policy,
			ClaimRef: &v1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.options.NodeName}}},
			}}}},
		},
	}
	volume.Spec.Local = &v1.LocalVolumeSource{Path: Directory(p.options.Dir, volume)}
	return volume
}

// Directory is where a volume lies. It follows from the volume's name alone, so that a state directory can be moved and
// nobody can make a volume of another place of the host.
func Directory(dir string, volume *v1.PersistentVolume) string {
	return filepath.Join(dir, volume.Name)
}

func makeDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o777); err != nil && !os.IsExist(err) { //nolint:gosec // as a kubelet's; the parents are closed
		return fault.Wrap(fault.Internal, "node.claims", err)
	}
	return fault.Wrap(fault.Internal, "node.claims", os.Chmod(dir, 0o777)) //nolint:gosec // as above
}

// reclaim removes a volume whose claim is gone, if it is not to be kept.
func (p *provisioner) reclaim(ctx context.Context, volume *v1.PersistentVolume) error {
	if volume.Annotations[provisionedBy] != Provisioner || volume.Status.Phase != v1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != v1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := os.RemoveAll(Directory(p.options.Dir, volume)); err != nil {
		p.options.Event(volume, v1.EventTypeWarning, "VolumeFailedDelete", err.Error())
		return fault.Wrap(fault.Internal, "node.claims", err)
	}
	err := p.options.Client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(volume.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Mine tells why a pod cannot have a volume of that claim here, nil when it can.
func Mine(claim *v1.PersistentVolumeClaim, volume *v1.PersistentVolume) error {
	const op = "node.claims"
	switch {
	case volume.Annotations[provisionedBy] != Provisioner || volume.Spec.Local == nil:
		return fault.New(fault.Invalid, op, "PersistentVolume %s is not one of the local node's", volume.Name).
			WithHint("use a claim of StorageClass %s", ClassLocal)
	case volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID:
		return fault.New(fault.Invalid, op, "PersistentVolume %s belongs to another claim than %s", volume.Name, claim.Name)
	}
	return nil
}
