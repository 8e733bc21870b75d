// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
)

// LabelAttempt is the number of the attempt that a Job or pod belongs to.
const LabelAttempt = "fathom.dev/attempt"

const defaultTimeout = time.Hour

// observation is everything that a decision depends on.
type observation struct {
	run    *v1alpha1.Run
	report gang.Report
	jobs   []batchv1.Job // of all attempts that have not been removed yet
	pods   []corev1.Pod  // of all attempts
	env    Environment
	envErr error  // why the environment cannot be made
	evict  string // the run for which this one must make room; empty when it need not
	now    time.Time
}

func (s *Station) observe(ctx context.Context, r *v1alpha1.Run) (observation, error) {
	o := observation{run: r, now: s.Now(), evict: s.queue.evicted(r.UID)}
	var jobs batchv1.JobList
	var pods corev1.PodList
	mine := []client.ListOption{client.InNamespace(r.Namespace), client.MatchingLabels{v1alpha1.LabelRun: r.Name}}
	if err := s.Client.List(ctx, &jobs, mine...); err != nil {
		return o, err
	}
	if err := s.Client.List(ctx, &pods, mine...); err != nil {
		return o, err
	}
	o.jobs, o.pods = jobs.Items, pods.Items
	if finished(r) {
		return o, nil
	}
	if err := s.lookAgain(ctx, r, &o); err != nil {
		return o, err
	}
	var err error
	if o.report, err = s.Report(nameOf(r)); err != nil {
		return o, err
	}
	if r.Spec.Requirements != "" && o.job() == nil {
		o.env, err = s.Environment(ctx, ref.Digest(r.Spec.Requirements))
		if fault.Is(err, fault.Unavailable) {
			return o, err
		}
		o.envErr = err
	} else {
		o.env = Environment{Ready: true, Digest: ref.Digest(r.Status.Environment)}
	}
	return o, nil
}

// lookAgain makes sure that a Job which the status speaks of is really gone, and not just not in the cache yet.
func (s *Station) lookAgain(ctx context.Context, r *v1alpha1.Run, o *observation) error {
	if r.Status.Attempt == 0 || r.Status.Reason == ReasonRestarting || s.Live == nil {
		return nil
	}
	for i := range o.jobs {
		if attemptOf(&o.jobs[i]) >= r.Status.Attempt {
			return nil
		}
	}
	var job batchv1.Job
	err := s.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: JobName(r.Name, r.Status.Attempt)}, &job)
	if err == nil {
		o.jobs = append(o.jobs, job)
	}
	return client.IgnoreNotFound(err)
}

func finished(r *v1alpha1.Run) bool {
	switch r.Status.Phase {
	case v1alpha1.RunSucceeded, v1alpha1.RunFailed, v1alpha1.RunCancelled:
		return true
	}
	return false
}

// attempt is the newest that was started: a Job may exist before the status says so.
func (o observation) attempt() int32 {
	n := o.run.Status.Attempt
	for i := range o.jobs {
		n = max(n, attemptOf(&o.jobs[i]))
	}
	return n
}

// job is that of the newest attempt; nil when there is none or it is being removed.
func (o observation) job() *batchv1.Job {
	for i := range o.jobs {
		if j := &o.jobs[i]; attemptOf(j) == o.attempt() && j.DeletionTimestamp == nil {
			return j
		}
	}
	return nil
}

// live counts pods, of any attempt, that may still be running something.
func (o observation) live() int {
	n := 0
	for i := range o.pods {
		if !ended(&o.pods[i]) {
			n++
		}
	}
	return n
}

// current are the pods of the newest attempt.
func (o observation) current() []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range o.pods {
		if attemptOf(&o.pods[i]) == o.attempt() {
			pods = append(pods, &o.pods[i])
		}
	}
	return pods
}

// deadline is when the attempt has taken too long.
func (o observation) deadline() time.Time {
	timeout := defaultTimeout
	if t := o.run.Spec.Timeout; t != nil && t.Duration > 0 {
		timeout = t.Duration
	}
	if job := o.job(); job != nil {
		return job.CreationTimestamp.Add(timeout)
	}
	return o.now.Add(timeout)
}

func attemptOf(object client.Object) int32 {
	n, _ := strconv.ParseInt(object.GetLabels()[LabelAttempt], 10, 32)
	return int32(n)
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
