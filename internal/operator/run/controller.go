// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"io"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// Lake is where logs and the history of runs are kept.
type Lake interface {
	PutBlob(ctx context.Context, r io.Reader, expected ref.Digest) (ref.Digest, int64, error)
	OpenBlob(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error)
	// RecordRun stores a finished run's row; the same UID again is no second row.
	RecordRun(ctx context.Context, r lake.RunRecord) error
}

// Environment is the state of a language environment.
type Environment struct {
	Digest  ref.Digest // of the environment; valid once Ready
	Ready   bool
	Message string // while it is being made: what is going on
}

// Options is what the station works with. All fields without a default are required.
type Options struct {
	Client client.Client
	// Live reads past the cache. Default: the manager's API reader.
	Live client.Reader
	Lake Lake
	// Door is the base URL of the doors as pods reach them, for example https://fathom.internal:8443.
	Door func() string
	// Environment starts to make the environment of a requirements file, if need be, and answers at once. Invalid says that the file is
	// wrong, naming its line.
	Environment func(ctx context.Context, requirements ref.Digest) (Environment, error)
	// Report is what the staging door knows of a run, Forget lets it forget.
	Report func(run ref.Name) (gang.Report, error)
	Forget func(run ref.Name) error
	// Isolation is how far pods are kept apart while the run ends, for its history; nil: it is not known.
	Isolation func() string
	// Logs reads all that a container has written so far; NotFound when there is no log.
	Logs func(ctx context.Context, namespace, pod, container string) (io.ReadCloser, error)
	// Env adds variables for the user's code, such as MLFLOW_TRACKING_URI. Nil adds none.
	Env func(run *v1alpha1.Run) map[string]string
	// Changed tells that the door or the environments have news of a run. Nil: they are asked every second.
	Changed <-chan event.GenericEvent
	Now     func() time.Time
	// Image of the pods. Default: host.
	Image string
	// Grace between SIGTERM and SIGKILL. Default: 15 s.
	Grace time.Duration
	// Preempt lets runs of higher priority stop others.
	Preempt bool
}

// Station reconciles Runs.
type Station struct {
	Options
	queue admission

	mu   sync.Mutex
	told map[types.UID]time.Time // when progress was last written
}

// New makes the station.
func New(o Options) *Station {
	if o.Image == "" {
		o.Image = "host"
	}
	if o.Grace == 0 {
		o.Grace = 15 * time.Second
	}
	if o.Env == nil {
		o.Env = func(*v1alpha1.Run) map[string]string { return nil }
	}
	return &Station{Options: o, told: map[types.UID]time.Time{}, queue: admission{
		client: o.Client, now: o.Now, preempt: o.Preempt,
		asked: map[types.UID]bool{}, assumed: map[types.UID]bool{}, evict: map[types.UID]string{},
	}}
}

// concurrency is how many runs are worked on at a time: nearly all of it is waiting for the API's writes, which the store
// syncs together.
const concurrency = 16

// SetupWithManager registers the station: it looks at a Run when the Run, its Job or one of its pods changes, when the
// door has news, and when room becomes free for it.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	freed := handler.EnqueueRequestsFromMapFunc(s.freed)
	if s.Live == nil {
		s.Live = m.GetAPIReader()
	}
	b := ctrl.NewControllerManagedBy(m).Named("run").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		For(&v1alpha1.Run{}).
		Owns(&batchv1.Job{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(runOfPod)).
		Watches(&v1alpha1.Run{}, freed).
		Watches(&v1alpha1.Workspace{}, freed).
		Watches(&corev1.Node{}, freed)
	if s.Changed != nil {
		b = b.WatchesRawSource(source.Channel(s.Changed, &handler.EnqueueRequestForObject{}))
	}
	return b.Complete(reconcile.Func(s.look))
}

// look reads the Run. One that was removed, perhaps before its end, leaves nothing behind.
func (s *Station) look(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var r v1alpha1.Run
	err := s.Client.Get(ctx, request.NamespacedName, &r)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, s.Forget(ref.Name{Workspace: request.Namespace, Name: request.Name})
	} else if err != nil {
		return reconcile.Result{}, err
	}
	return s.Reconcile(ctx, &r)
}

func runOfPod(_ context.Context, o client.Object) []reconcile.Request {
	if name := o.GetLabels()[v1alpha1.LabelRun]; name != "" {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	}
	return nil
}

// Reconcile observes, decides, acts, and writes the status at most once.
func (s *Station) Reconcile(ctx context.Context, r *v1alpha1.Run) (ctrl.Result, error) {
	if r.DeletionTimestamp != nil {
		s.queue.leave(r.UID)
		return ctrl.Result{}, nil
	}
	before := r.DeepCopy()
	o, err := s.observe(ctx, r)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := decide(o)
	if d.act == askQueue {
		if d, err = s.ask(ctx, r, o); err != nil {
			return ctrl.Result{}, err
		}
	}
	err = s.before(ctx, r, o, d)
	if d.act == startAttempt && apierrors.IsInvalid(err) { // trying again would not help
		d = decision{act: finish, phase: v1alpha1.RunFailed, reason: v1alpha1.ReasonInvalid, message: "its pods cannot be made: " + err.Error()}
		err = s.before(ctx, r, o, d)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	describe(r, o, d)
	if wait := s.throttle(before, r); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if !equality.Semantic.DeepEqual(before.Status, r.Status) {
		if err := s.Client.Status().Patch(ctx, r, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return ctrl.Result{RequeueAfter: s.again(o, d)}, s.after(ctx, r, o, d)
}

// before does what must be true when the status says so.
func (s *Station) before(ctx context.Context, r *v1alpha1.Run, o observation, d decision) error {
	switch d.act {
	case startAttempt:
		return s.start(ctx, r, o)
	case stopAttempt:
		return s.archive(ctx, r, o)
	case finish:
		return s.close(ctx, r, o, d)
	}
	return nil
}

// after does what may only follow from a status that is written.
func (s *Station) after(ctx context.Context, r *v1alpha1.Run, o observation, d decision) error {
	switch d.act {
	case stopAttempt, removeAttempt:
		s.queue.leave(r.UID)
		return s.removeJobs(ctx, o)
	case clean:
		s.queue.leave(r.UID)
		s.mu.Lock()
		delete(s.told, r.UID)
		s.mu.Unlock()
		if err := s.Forget(nameOf(r)); err != nil {
			return err
		}
		return s.removeJobs(ctx, o)
	}
	return nil
}

// removeJobs deletes the run's Jobs; the garbage collector ends their pods, with their grace period.
func (s *Station) removeJobs(ctx context.Context, o observation) error {
	for i := range o.jobs {
		job := &o.jobs[i]
		if job.DeletionTimestamp != nil {
			continue
		}
		err := s.Client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &job.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return err
		}
	}
	return nil
}

// progressEvery is how often progress alone is worth a write.
const progressEvery = 2 * time.Second

// throttle says how long to wait before a change of nothing but progress is written.
func (s *Station) throttle(before, after *v1alpha1.Run) time.Duration {
	if before.Status.Progress == after.Status.Progress {
		return 0
	}
	rest := after.Status
	rest.Progress = before.Status.Progress
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := progressEvery - s.Now().Sub(s.told[after.UID])
	if equality.Semantic.DeepEqual(before.Status, rest) && wait > 0 {
		return wait
	}
	s.told[after.UID] = s.Now()
	return 0
}

// again is when to look next if nothing happens.
func (s *Station) again(o observation, d decision) time.Duration {
	switch {
	case d.act == waitQueue:
		return 30 * time.Second // the message names what holds the quota; refresh it now and then
	case d.act == waitEnvironment, d.act == watch && s.Changed == nil:
		return time.Second
	case d.act == watch:
		return max(time.Second, o.deadline().Sub(o.now))
	}
	return 0
}

func nameOf(r *v1alpha1.Run) ref.Name { return ref.Name{Workspace: r.Namespace, Name: r.Name} }
