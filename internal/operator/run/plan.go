// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// Stable reasons of a run's status.
const (
	ReasonEnvironment = "Environment" // the environment is being made, or cannot be
	ReasonQuota       = "Queued"      // waits for quota or room
	ReasonStarting    = "Starting"
	ReasonRunning     = "Running"
	ReasonSucceeded   = "Succeeded"
	ReasonCancelled   = "Cancelled"
	ReasonRestarting  = "Restarting" // an attempt ended; the next begins once its pods are gone
	ReasonTimeout     = "Timeout"
	ReasonOutOfMemory = "OutOfMemory"
	ReasonLost        = "PodsLost" // pods vanished again and again
	ReasonNoOutput    = "NoOutput"
	ReasonExitCode    = "ExitCode" // the command failed and did not say why
)

// action is what the station does next.
type action int

const (
	nothing         action = iota
	waitEnvironment        // come back while the environment is made
	askQueue               // ready to start, if the queue agrees
	waitQueue              // it does not, yet
	startAttempt           // make the next attempt's Job
	watch                  // the attempt is under way
	stopAttempt            // end the attempt's pods; another attempt, or the end, follows
	removeAttempt          // the same once more, in case it was interrupted
	waitPods               // for the pods of an attempt to be gone
	finish                 // record and tell the result
	clean                  // remove what a finished run leaves
)

// decision is what to do and what to say.
type decision struct {
	act     action
	phase   string
	reason  string
	message string
	field   string
	counts  bool // the ended attempt counts as a failure of the code
}

// maxLost bounds the attempts that end through no fault of the code.
const maxLost = 20

// decide is the station's whole logic. Earlier rules win.
func decide(o observation) decision {
	r, job := o.run, o.job()
	switch {
	case finished(r) && len(o.jobs) > 0:
		return decision{act: clean}
	case finished(r):
		return decision{act: nothing}
	case o.committed() && o.settled():
		return decision{act: finish, phase: v1alpha1.RunSucceeded, reason: ReasonSucceeded, message: produced(o)}
	case o.committed():
		return decision{act: watch, phase: v1alpha1.RunRunning, reason: ReasonRunning, message: "the output is stored; the pods are ending"}
	case r.Spec.Cancel:
		return decideCancel(o)
	case job != nil && r.Status.Reason == ReasonRestarting && attemptOf(job) == r.Status.Attempt:
		return decision{act: removeAttempt, phase: r.Status.Phase, reason: ReasonRestarting, message: r.Status.Message}
	case job != nil:
		return decideAttempt(o, job)
	}
	return decideBetween(o)
}

// decideCancel stops an attempt, waits for its pods and ends.
func decideCancel(o observation) decision {
	st := o.run.Status
	switch {
	case o.job() != nil && st.Reason == ReasonCancelled:
		return decision{act: removeAttempt, phase: st.Phase, reason: ReasonCancelled, message: st.Message}
	case o.job() != nil:
		return decision{act: stopAttempt, phase: st.Phase, reason: ReasonCancelled, message: "stops its pods"}
	case o.live() > 0:
		return decision{act: waitPods, phase: st.Phase, reason: ReasonCancelled, message: "waits for its pods to end"}
	}
	return decision{act: finish, phase: v1alpha1.RunCancelled, reason: ReasonCancelled, message: "it was cancelled"}
}

// decideBetween is for a run whose newest attempt, if any, has no Job any more.
func decideBetween(o observation) decision {
	st := o.run.Status
	switch {
	case o.live() > 0:
		return decision{act: waitPods, phase: v1alpha1.RunStarting, reason: ReasonRestarting, message: st.Message}
	case o.attempt() > 0 && st.Reason != ReasonRestarting && st.Phase != v1alpha1.RunQueued:
		return afterEnd(o, ending{lost: true, message: "its Job was removed"})
	}
	return decideStart(o)
}

// decideStart is for a run none of whose attempts is alive.
func decideStart(o observation) decision {
	switch {
	case o.envErr != nil:
		return decision{act: finish, phase: v1alpha1.RunFailed, reason: ReasonEnvironment, field: "environment", message: o.envErr.Error()}
	case !o.env.Ready:
		message := o.env.Message
		if message == "" {
			message = "the environment is being made"
		}
		return decision{act: waitEnvironment, phase: v1alpha1.RunQueued, reason: ReasonEnvironment, message: message}
	}
	return decision{act: askQueue}
}

// decideAttempt is for a run whose newest attempt has a Job.
func decideAttempt(o observation, job *batchv1.Job) decision {
	if end := why(o); end != nil {
		return afterEnd(o, *end)
	}
	switch {
	case o.evict != "":
		return decision{act: stopAttempt, phase: v1alpha1.RunQueued, reason: ReasonRestarting, message: "makes room for run " + o.evict + ", which has a higher priority"}
	case !o.now.Before(o.deadline()):
		return decision{act: finish, phase: v1alpha1.RunFailed, reason: ReasonTimeout, field: "timeout",
			message: fmt.Sprintf("attempt %d took longer than %s; raise timeout or make it faster", o.attempt(), o.deadline().Sub(job.CreationTimestamp.Time))}
	case conditionTrue(job, batchv1.JobComplete):
		return decision{act: finish, phase: v1alpha1.RunFailed, reason: ReasonNoOutput, message: "all ranks ended well, but their output never arrived; run it again"}
	case conditionTrue(job, batchv1.JobFailed):
		return afterEnd(o, ending{lost: true, message: "its Job failed"})
	}
	return progressOf(o)
}

// progressOf tells how far an attempt is.
func progressOf(o observation) decision {
	running, pending := 0, ""
	for _, p := range o.current() {
		switch {
		case p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodSucceeded:
			running++
		case pending == "":
			pending = waitingFor(p)
		}
	}
	workers := max(int(o.run.Spec.Workers), 1)
	if running >= workers {
		message := ""
		if o.attempt() > 1 {
			message = fmt.Sprintf("attempt %d", o.attempt())
		}
		return decision{act: watch, phase: v1alpha1.RunRunning, reason: ReasonRunning, message: message}
	}
	message := fmt.Sprintf("%d of %d pods run", running, workers)
	if pending != "" {
		message += ": " + pending
	}
	return decision{act: watch, phase: v1alpha1.RunStarting, reason: ReasonStarting, message: message}
}

// afterEnd chooses between another attempt and failure.
func afterEnd(o observation, end ending) decision {
	r := o.run
	again := decision{act: stopAttempt, phase: v1alpha1.RunStarting, reason: ReasonRestarting, counts: !end.lost,
		message: fmt.Sprintf("attempt %d ended: %s; starts again from the last checkpoint", o.attempt(), end.message)}
	failed := decision{act: finish, phase: v1alpha1.RunFailed, reason: end.reason, field: end.field, message: end.message, counts: !end.lost}
	switch {
	case end.lost && int(o.attempt()-r.Status.Failures) > maxLost:
		failed.reason, failed.message = ReasonLost, fmt.Sprintf("%s, %d times; look at the node", end.message, maxLost)
		return failed
	case end.lost, end.again && r.Status.Failures < r.Spec.Retries:
		return again
	case end.again && r.Spec.Retries > 0:
		failed.message = fmt.Sprintf("%s (attempt %d, no retries left)", end.message, o.attempt())
	}
	return failed
}

// committed says that the newest attempt's output is stored.
func (o observation) committed() bool {
	return o.report.Output != "" && int32(o.report.Attempt) == o.attempt()
}

// settled says that nothing of the newest attempt runs any more.
func (o observation) settled() bool {
	for _, p := range o.current() {
		if !ended(p) && p.DeletionTimestamp == nil {
			return false
		}
	}
	return true
}

func produced(o observation) string {
	return fmt.Sprintf("%d files, %d bytes", o.report.Files, o.report.Bytes)
}

// describe writes the decision into the status.
func describe(r *v1alpha1.Run, o observation, d decision) {
	st := &r.Status
	switch d.act {
	case nothing, clean:
		return
	case startAttempt:
		st.Attempt = o.attempt() + 1
		st.Environment, st.Progress = string(o.env.Digest), ""
	case watch, stopAttempt, finish:
		st.Attempt = o.attempt()
		st.Progress = shown(o, st.Progress)
	}
	if st.StartedAt == nil && (d.act == startAttempt || d.act == watch) {
		st.StartedAt = &metav1.Time{Time: o.now.Truncate(1e9)}
	}
	if d.counts {
		st.Failures++
	}
	st.Phase, st.Reason, st.Message, st.Field = d.phase, d.reason, shorten(d.message), d.field
	if d.act == finish {
		st.FinishedAt, st.Recorded = &metav1.Time{Time: o.now.Truncate(1e9)}, true
		if d.phase == v1alpha1.RunSucceeded {
			st.Output, st.Progress = string(o.report.Output), ""
		}
	}
}

// shown is the progress text: a share and a few words.
func shown(o observation, before string) string {
	if int32(o.report.Attempt) != o.attempt() {
		return ""
	}
	p := o.report.Progress
	if p.Fraction == 0 && p.Message == "" {
		return before
	}
	return strings.TrimSpace(strconv.FormatFloat(p.Fraction, 'f', 2, 64) + " " + p.Message)
}

// maxMessage keeps the object far below 5 KB.
const maxMessage = 1500

func shorten(s string) string {
	if len(s) > maxMessage {
		return strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

func conditionTrue(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// final says that trying again cannot help an error of this kind.
func final(kind fault.Kind) bool {
	switch kind {
	case fault.Invalid, fault.NotFound, fault.Forbidden, fault.TooLarge, fault.Corrupt:
		return true
	}
	return false
}
