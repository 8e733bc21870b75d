// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/gang"
)

const container = "run"

// exitUnavailable is how fathom-launch says that trying again may help.
const exitUnavailable = 75

// ending is why an attempt ended.
type ending struct {
	lost    bool // pods vanished: not the code's fault
	again   bool // another attempt may help
	reason  string
	message string
	field   string
}

// why finds out how the newest attempt ended; nil while it has not. What a rank told the door first is the likely cause:
// the others fail because they lose it. Without that, the pod that ended first is.
func why(o observation) *ending {
	var failed []*corev1.Pod
	gone := 0
	for _, p := range o.current() {
		if p.Status.Phase == corev1.PodFailed {
			failed = append(failed, p)
		} else if p.DeletionTimestamp != nil {
			gone++
		}
	}
	if len(failed) == 0 {
		if gone > 0 {
			return &ending{lost: true, message: fmt.Sprintf("%d of its pods were removed", gone)}
		}
		return nil
	}
	slices.SortStableFunc(failed, func(a, b *corev1.Pod) int {
		x, y := terminated(a), terminated(b)
		return cmp.Or(x.FinishedAt.Compare(y.FinishedAt.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, p := range failed {
		if e := lost(p); e != nil {
			return e
		}
	}
	for _, p := range failed {
		if t := terminated(p); t.Reason == "OOMKilled" {
			return outOfMemory(rankOf(p))
		}
	}
	if int32(o.report.Attempt) == o.attempt() && len(o.report.Failures) > 0 {
		return told(o, o.report.Failures[0])
	}
	first := failed[0]
	t := terminated(first)
	return told(o, gang.Failure{Rank: rankOf(first), Termination: gang.Termination{ExitCode: int(t.ExitCode), Message: t.Message}})
}

// lost recognises a pod that ended with its node, or with Fathom.
func lost(p *corev1.Pod) *ending {
	reason := p.Status.Reason
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			reason = c.Reason
		}
	}
	t := terminated(p)
	if reason == "" && (t.Reason == "ContainerStatusUnknown" || t.Reason == "Lost") {
		reason = t.Reason
	}
	switch {
	case reason != "" && reason != "DeadlineExceeded" && reason != "Error" && reason != "OOMKilled" && reason != "Completed":
	case len(p.Status.ContainerStatuses) == 0:
		reason = "NeverStarted"
	default:
		return nil
	}
	message := fmt.Sprintf("the pod of rank %d was lost (%s)", rankOf(p), reason)
	if p.Status.Message != "" {
		message += ": " + p.Status.Message
	}
	return &ending{lost: true, message: message}
}

func outOfMemory(rank int) *ending {
	return &ending{reason: ReasonOutOfMemory, field: "resources.memory",
		message: fmt.Sprintf("rank %d needed more memory than its limit; raise resources.memory", rank)}
}

// told turns a rank's termination into words.
func told(o observation, f gang.Failure) *ending {
	if f.Reason == "OOMKilled" {
		return outOfMemory(f.Rank)
	}
	if strings.HasSuffix(f.Reason, "Failed") && f.ExitCode == exitUnavailable { // fathom-launch could not reach us
		return &ending{lost: true, message: fmt.Sprintf("rank %d: %s", f.Rank, f.Message)}
	}
	e := &ending{reason: f.Reason, field: f.Field, message: f.Message, again: !final(f.Kind) && f.ExitCode != 127}
	if e.reason == "" {
		e.reason = ReasonExitCode
	}
	if e.message == "" && o.run.Spec.Identified {
		e.message = "the code reads identified data, so its last line is only in the log, for those who may read such data"
	} else if e.message == "" {
		e.message = lastLine(f.Tail)
	}
	if e.field != "" && !strings.HasPrefix("spec."+e.message, e.field) { // the message may name it already
		e.message = e.field + ": " + e.message
	}
	prefix := fmt.Sprintf("exit code %d", f.ExitCode)
	if f.Signal != "" {
		prefix = "ended by signal: " + f.Signal
	}
	if o.run.Spec.Workers > 1 {
		prefix = fmt.Sprintf("rank %d: %s", f.Rank, prefix)
	}
	if f.Kind == "" || o.run.Spec.Workers > 1 { // a step that explains itself needs no exit code beside
		e.message = strings.TrimSuffix(prefix+": "+e.message, ": ")
	}
	return e
}

// lastLine is the last that a program wrote, which for Python is the exception.
func lastLine(tail string) string {
	lines := strings.Split(strings.TrimSpace(tail), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	if len(line) > 500 {
		line = strings.ToValidUTF8(line[:500], "") + "…"
	}
	if strings.HasPrefix(line, "ModuleNotFoundError: ") {
		line += "; name its package in the requirements file of environment.python"
	}
	return line
}

// terminated is how a pod's container ended; zero when that is not known.
func terminated(p *corev1.Pod) corev1.ContainerStateTerminated {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			return *c.State.Terminated
		}
	}
	return corev1.ContainerStateTerminated{}
}

func rankOf(p *corev1.Pod) int {
	text := p.Annotations[batchv1.JobCompletionIndexAnnotation]
	if label := p.Labels[batchv1.JobCompletionIndexAnnotation]; label != "" {
		text = label
	}
	n, _ := strconv.Atoi(text)
	return n
}

// waitingFor says what a pod that does not run yet is waiting for.
func waitingFor(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Message != "" {
			return w.Message
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Type == corev1.PodScheduled {
			return c.Message
		}
	}
	return ""
}
