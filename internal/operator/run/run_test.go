// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// world is an API without controllers or nodes; the test plays both.
type world struct {
	t       *testing.T
	c       client.Client
	s       *Station
	now     time.Time
	report  gang.Report
	env     Environment
	envErr  error
	blobs   map[ref.Digest]string
	rows    []lake.RunRecord
	forgot  int
	writes  int
	podLogs map[string]string
}

func (w *world) PutBlob(_ context.Context, r io.Reader, _ ref.Digest) (ref.Digest, int64, error) {
	b, err := io.ReadAll(r)
	w.blobs[ref.DigestOf(b)] = string(b)
	return ref.DigestOf(b), int64(len(b)), err
}

type text struct{ *bytes.Reader }

func (text) Close() error { return nil }

func (w *world) OpenBlob(_ context.Context, d ref.Digest) (io.ReadSeekCloser, int64, error) {
	return text{bytes.NewReader([]byte(w.blobs[d]))}, int64(len(w.blobs[d])), nil
}

func (w *world) RecordRun(_ context.Context, r lake.RunRecord) error {
	w.rows = append(w.rows, r)
	return nil
}

func newWorld(t *testing.T, runs ...*v1alpha1.Run) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), blobs: map[ref.Digest]string{}, podLogs: map[string]string{}}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{
		&v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "w"}, Spec: v1alpha1.WorkspaceSpec{Quota: v1alpha1.Quota{CPU: quantity("4")}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{"cpu": *quantity("8"), "memory": *quantity("32Gi")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}},
	}
	for _, r := range runs {
		objects = append(objects, r)
	}
	count := func() { w.writes++ }
	w.c = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Run{}, &batchv1.Job{}, &corev1.Pod{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				count()
				o.SetCreationTimestamp(metav1.NewTime(w.now))
				return c.Create(ctx, o, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				count()
				return c.Delete(ctx, o, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				count()
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	w.env = Environment{Ready: true, Digest: "sha256:env"}
	w.s = New(Options{
		Client: w.c, Live: w.c, Lake: w, Now: func() time.Time { return w.now }, Door: func() string { return "https://door" },
		Environment: func(context.Context, ref.Digest) (Environment, error) { return w.env, w.envErr },
		Report:      func(ref.Name) (gang.Report, error) { return w.report, nil },
		Forget:      func(ref.Name) error { w.forgot++; return nil },
		Logs: func(_ context.Context, _, pod, _ string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(w.podLogs[pod])), nil
		},
	})
	return w
}

func quantity(s string) *resource.Quantity { q := resource.MustParse(s); return &q }

func newRun(name string, workers int32) *v1alpha1.Run {
	return &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{Namespace: "w", Name: name, UID: "uid-" + "0"},
		Spec: v1alpha1.RunSpec{For: v1alpha1.RunFor{Kind: "Model", Name: "m"}, Step: v1alpha1.StepTrain, Workers: workers,
			Command: []string{"python", "train.py"}, Retries: 1},
	}
}

// reconcile looks at a run once and checks that this costs no more than two writes, Service and policy of a gang aside.
func (w *world) reconcile(name string) *v1alpha1.Run {
	w.t.Helper()
	r := w.run(name)
	w.writes = 0
	if _, err := w.s.Reconcile(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
	if w.writes > 2 && !(r.Status.Attempt == 1 && r.Spec.Workers > 1) {
		w.t.Errorf("%d writes", w.writes)
	}
	return w.run(name)
}

func (w *world) run(name string) *v1alpha1.Run {
	w.t.Helper()
	var r v1alpha1.Run
	if err := w.c.Get(context.Background(), client.ObjectKey{Namespace: "w", Name: name}, &r); err != nil {
		w.t.Fatal(err)
	}
	return &r
}

// pods plays the Job controller and the node: rank i gets phases[i] and codes[i].
func (w *world) pods(run string, attempt int32, phase corev1.PodPhase, codes ...int32) {
	w.t.Helper()
	var job batchv1.Job
	if err := w.c.Get(context.Background(), client.ObjectKey{Namespace: "w", Name: JobName(run, attempt)}, &job); err != nil {
		w.t.Fatal(err)
	}
	for rank, code := range codes {
		name := fmt.Sprintf("%s-%d-xyz", job.Name, rank)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "w", Name: name, Labels: job.Spec.Template.Labels,
			Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(rank)}}, Spec: job.Spec.Template.Spec}
		pod.Spec.NodeName = "n"
		_ = w.c.Delete(context.Background(), pod.DeepCopy())
		pod.Status = status(phase, code, w.now.Add(time.Duration(rank)))
		if code < 0 {
			pod.Status = status(corev1.PodRunning, 0, w.now)
		}
		if err := w.c.Create(context.Background(), pod); err != nil {
			w.t.Fatal(err)
		}
		w.podLogs[name] = fmt.Sprintf("rank %d of attempt %d\n", rank, attempt)
	}
}

func status(phase corev1.PodPhase, code int32, at time.Time) corev1.PodStatus {
	s := corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: container}}}
	if phase == corev1.PodFailed || phase == corev1.PodSucceeded {
		s.ContainerStatuses[0].State.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(at)}
	}
	return s
}

// gone removes all pods of a run.
func (w *world) gone(run string) {
	w.t.Helper()
	if err := w.c.DeleteAllOf(context.Background(), &corev1.Pod{}, client.InNamespace("w"), client.MatchingLabels{v1alpha1.LabelRun: run}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) jobs() int {
	var jobs batchv1.JobList
	if err := w.c.List(context.Background(), &jobs); err != nil {
		w.t.Fatal(err)
	}
	return len(jobs.Items)
}

func expect(t *testing.T, r *v1alpha1.Run, phase, reason, message string) {
	t.Helper()
	if r.Status.Phase != phase || r.Status.Reason != reason || !strings.Contains(r.Status.Message, message) {
		t.Fatalf("%s %s %q, want %s %s %q", r.Status.Phase, r.Status.Reason, r.Status.Message, phase, reason, message)
	}
}

func TestSucceeds(t *testing.T) {
	w := newWorld(t, newRun("r", 1))
	expect(t, w.reconcile("r"), v1alpha1.RunStarting, ReasonStarting, "")
	expect(t, w.reconcile("r"), v1alpha1.RunStarting, ReasonStarting, "0 of 1 pods run")
	w.pods("r", 1, corev1.PodRunning, 0)
	expect(t, w.reconcile("r"), v1alpha1.RunRunning, ReasonRunning, "")
	w.report = gang.Report{Attempt: 1, Progress: gang.Progress{Fraction: 0.5, Message: "half"}}
	if got := w.reconcile("r").Status.Progress; got != "0.50 half" {
		t.Errorf("progress %q", got)
	}
	w.report.Output, w.report.Files = ref.DigestOf(nil), 3
	expect(t, w.reconcile("r"), v1alpha1.RunRunning, ReasonRunning, "stored") // the pod has not ended
	w.pods("r", 1, corev1.PodSucceeded, 0)
	r := w.reconcile("r")
	expect(t, r, v1alpha1.RunSucceeded, ReasonSucceeded, "3 files")
	if r.Status.Output != string(ref.DigestOf(nil)) || !r.Status.Recorded || r.Status.FinishedAt == nil || w.blobs[ref.Digest(r.Status.Log)] != "rank 0 of attempt 1\n" {
		t.Errorf("status %+v", r.Status)
	}
	w.reconcile("r")
	if w.jobs() != 0 || w.forgot != 1 || len(w.rows) != 1 || w.rows[0].Phase != "Succeeded" || w.rows[0].Output == "" {
		t.Errorf("%d jobs, forgot %d, rows %+v", w.jobs(), w.forgot, w.rows)
	}
	if w.reconcile("r"); w.writes != 0 {
		t.Errorf("a finished run costs %d writes", w.writes)
	}
}

func TestGangRestartsWhole(t *testing.T) {
	w := newWorld(t, newRun("r", 3))
	w.reconcile("r")
	w.pods("r", 1, corev1.PodRunning, 0, 0, 0)
	w.reconcile("r")
	w.pods("r", 1, corev1.PodFailed, -1, 137, -1)
	w.report = gang.Report{Attempt: 1, Failures: []gang.Failure{{Rank: 1, Termination: gang.Termination{ExitCode: 137, Signal: "killed"}}}}
	r := w.reconcile("r")
	expect(t, r, v1alpha1.RunStarting, ReasonRestarting, "attempt 1 ended: rank 1: ended by signal: killed; starts again from the last checkpoint")
	if w.jobs() != 0 || r.Status.Failures != 1 {
		t.Fatalf("%d jobs, %d failures", w.jobs(), r.Status.Failures)
	}
	expect(t, w.reconcile("r"), v1alpha1.RunStarting, ReasonRestarting, "attempt 1 ended")
	if w.jobs() != 0 {
		t.Fatal("a new attempt began while pods of the old one live")
	}
	w.gone("r")
	if r := w.reconcile("r"); r.Status.Attempt != 2 || w.jobs() != 1 {
		t.Fatalf("attempt %d, %d jobs", r.Status.Attempt, w.jobs())
	}
	w.report = gang.Report{}
	w.pods("r", 2, corev1.PodFailed, 1, -1, -1)
	expect(t, w.reconcile("r"), v1alpha1.RunFailed, ReasonExitCode, "rank 0: exit code 1 (attempt 2, no retries left)")
	if log := w.blobs[ref.Digest(w.run("r").Status.Log)]; !strings.HasPrefix(log, "--- attempt 1, rank 0 ---\nrank 0 of attempt 1\n") || !strings.Contains(log, "--- attempt 2, rank 2 ---") {
		t.Errorf("log %q", log)
	}
}

func TestEndings(t *testing.T) {
	failed := func(change func(*corev1.Pod)) func(*world) {
		return func(w *world) {
			w.pods("r", 1, corev1.PodFailed, 1)
			var p corev1.Pod
			if err := w.c.Get(context.Background(), client.ObjectKey{Namespace: "w", Name: "r-1-0-xyz"}, &p); err != nil {
				w.t.Fatal(err)
			}
			change(&p)
			if err := w.c.Status().Update(context.Background(), &p); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	tells := func(term gang.Termination) func(*world) {
		return func(w *world) {
			w.pods("r", 1, corev1.PodFailed, int32(term.ExitCode))
			w.report = gang.Report{Attempt: 1, Failures: []gang.Failure{{Termination: term}}}
		}
	}
	tests := []struct {
		name, phase, reason, message string
		happens                      func(*world)
		failures                     int32
	}{
		{"node restarted", v1alpha1.RunStarting, ReasonRestarting, "lost (NodeLost)", failed(func(p *corev1.Pod) { p.Status.Reason = "NodeLost" }), 0},
		{"out of memory", v1alpha1.RunFailed, ReasonOutOfMemory, "raise resources.memory",
			failed(func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State.Terminated.Reason = "OOMKilled" }), 1},
		{"job removed", v1alpha1.RunStarting, ReasonRestarting, "its Job was removed", func(w *world) {
			_ = w.c.DeleteAllOf(context.Background(), &batchv1.Job{}, client.InNamespace("w"))
		}, 0},
		{"step explains", v1alpha1.RunFailed, "UnknownColumn", "no column x", tells(gang.Termination{Kind: fault.Invalid, Reason: "UnknownColumn", Message: "no column x", ExitCode: 1}), 1},
		{"python exception", v1alpha1.RunStarting, ReasonRestarting, "exit code 1: ValueError: boom", tells(gang.Termination{ExitCode: 1, Tail: "Traceback\nValueError: boom\n"}), 1},
		{"exception about identified data", v1alpha1.RunStarting, ReasonRestarting, "its last line is only in the log", func(w *world) {
			r := w.run("r")
			r.Spec.Identified = true
			_ = w.c.Update(context.Background(), r)
			tells(gang.Termination{ExitCode: 1, Tail: "KeyError: 'Ada Lovelace'\n"})(w)
		}, 1},
		{"no such program", v1alpha1.RunFailed, "CommandFailed", "no program", tells(gang.Termination{Kind: fault.NotFound, Reason: "CommandFailed", Message: "there is no program x", ExitCode: 127}), 1},
		{"door was away", v1alpha1.RunStarting, ReasonRestarting, "connection refused", tells(gang.Termination{Kind: fault.Unavailable, Reason: "StagingFailed", Message: "connection refused", ExitCode: 75}), 0},
		{"too long", v1alpha1.RunFailed, ReasonTimeout, "raise timeout", func(w *world) { w.now = w.now.Add(2 * time.Hour) }, 0},
		{"completed without output", v1alpha1.RunFailed, ReasonNoOutput, "", func(w *world) {
			var job batchv1.Job
			_ = w.c.Get(context.Background(), client.ObjectKey{Namespace: "w", Name: "r-1"}, &job)
			job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
			_ = w.c.Status().Update(context.Background(), &job)
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newRun("r", 1))
			w.reconcile("r")
			tt.happens(w)
			r := w.reconcile("r")
			expect(t, r, tt.phase, tt.reason, tt.message)
			if r.Status.Failures != tt.failures {
				t.Errorf("%d failures, want %d", r.Status.Failures, tt.failures)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	run := newRun("r", 1)
	w := newWorld(t, run)
	w.reconcile("r")
	w.pods("r", 1, corev1.PodRunning, 0)
	w.reconcile("r")
	r := w.run("r")
	r.Spec.Cancel = true
	if err := w.c.Update(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	expect(t, w.reconcile("r"), v1alpha1.RunRunning, ReasonCancelled, "stops")
	expect(t, w.reconcile("r"), v1alpha1.RunRunning, ReasonCancelled, "waits for its pods")
	w.gone("r")
	expect(t, w.reconcile("r"), v1alpha1.RunCancelled, ReasonCancelled, "")
	if w.run("r").Status.Log == "" || w.jobs() != 0 {
		t.Error("no log, or a Job is left")
	}
}

func TestEnvironment(t *testing.T) {
	run := newRun("r", 1)
	run.Spec.Requirements = string(ref.DigestOf(nil))
	w := newWorld(t, run)
	w.env = Environment{Message: "downloads numpy"}
	expect(t, w.reconcile("r"), v1alpha1.RunQueued, ReasonEnvironment, "downloads numpy")
	w.env = Environment{Ready: true, Digest: "sha256:e"}
	if r := w.reconcile("r"); r.Status.Environment != "sha256:e" || w.jobs() != 1 {
		t.Errorf("environment %q, %d jobs", r.Status.Environment, w.jobs())
	}
	run = newRun("r", 1)
	run.Spec.Requirements = string(ref.DigestOf(nil))
	w = newWorld(t, run)
	w.envErr = fault.New(fault.Invalid, "environment", "requirements.txt line 3: no such package")
	expect(t, w.reconcile("r"), v1alpha1.RunFailed, ReasonEnvironment, "line 3")
}

func TestQueue(t *testing.T) {
	a, b := newRun("a", 3), newRun("b", 2)
	a.UID, b.UID = "uid-a", "uid-b"
	w := newWorld(t, a, b)
	expect(t, w.reconcile("a"), v1alpha1.RunStarting, ReasonStarting, "")
	expect(t, w.reconcile("b"), v1alpha1.RunQueued, ReasonQuota, "waits for 2 cpu: workspace w uses 3 of its quota of 4 (a)")
	w.pods("a", 1, corev1.PodSucceeded, 0, 0, 0)
	w.report = gang.Report{Attempt: 1, Output: ref.DigestOf(nil)}
	done := w.reconcile("a")
	expect(t, done, v1alpha1.RunSucceeded, ReasonSucceeded, "")
	w.report = gang.Report{}
	if requests := w.s.freed(context.Background(), done); len(requests) != 1 || requests[0].Name != "b" {
		t.Fatalf("woken: %v", requests)
	}
	expect(t, w.reconcile("b"), v1alpha1.RunStarting, ReasonStarting, "")
}

func TestPreempt(t *testing.T) {
	low, high := newRun("low", 3), newRun("high", 3)
	low.UID, high.UID, high.Spec.Priority = "uid-low", "uid-high", 9
	w := newWorld(t, low)
	w.s.queue.preempt = true
	w.reconcile("low")
	w.pods("low", 1, corev1.PodRunning, 0, 0, 0)
	expect(t, w.reconcile("low"), v1alpha1.RunRunning, ReasonRunning, "")
	if err := w.c.Create(context.Background(), high); err != nil {
		t.Fatal(err)
	}
	expect(t, w.reconcile("high"), v1alpha1.RunQueued, ReasonQuota, "waits for 3 cpu")
	expect(t, w.reconcile("low"), v1alpha1.RunQueued, ReasonRestarting, "makes room for run high")
	w.gone("low")
	w.now = w.now.Add(2 * time.Second)
	expect(t, w.reconcile("high"), v1alpha1.RunStarting, ReasonStarting, "")
	expect(t, w.reconcile("low"), v1alpha1.RunQueued, ReasonQuota, "(high)")
	if r := w.run("low"); r.Status.Failures != 0 || r.Status.Attempt != 1 {
		t.Errorf("status %+v", r.Status)
	}
}

// The run that came first starts first, whichever is looked at first.
func TestOrderDoesNotDependOnEvents(t *testing.T) {
	first, second := newRun("first", 3), newRun("second", 3)
	first.UID, second.UID = "uid-2", "uid-1"
	second.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 5, 0, time.UTC))
	first.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	w := newWorld(t, first, second)
	expect(t, w.reconcile("second"), v1alpha1.RunQueued, ReasonQuota, "(first)")
	expect(t, w.reconcile("first"), v1alpha1.RunStarting, ReasonStarting, "")
}

func TestRemovedRunIsForgotten(t *testing.T) {
	w := newWorld(t)
	request := reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "w", Name: "r"}}
	if _, err := w.s.look(context.Background(), request); err != nil || w.forgot != 1 {
		t.Errorf("forgot %d, %v", w.forgot, err)
	}
}

func TestNamesFitHosts(t *testing.T) {
	long := strings.Repeat("a", 40) + "-12345678-fold-100"
	for _, run := range []string{"r", long} {
		if host := JobName(run, 999) + "-9999"; len(host) > 63 {
			t.Errorf("%s has %d characters", host, len(host))
		}
		if len(ServiceName(run)) > 63 {
			t.Errorf("%s is too long", ServiceName(run))
		}
	}
	if JobName(long, 1) == JobName(strings.Repeat("a", 40)+"-12345678-fold-101", 1) {
		t.Error("two runs share a Job")
	}
}
