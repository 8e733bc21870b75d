// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// Bounds of an archived log, in bytes: of one pod's part, and of the whole with all attempts.
const (
	maxPodLog = 16 << 20
	maxLog    = 64 << 20
)

// archive appends what the attempt's pods wrote to the run's log and names the result in the status.
func (s *Station) archive(ctx context.Context, r *v1alpha1.Run, o observation) error {
	pods := o.current()
	if len(pods) == 0 {
		return nil
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	var log bytes.Buffer
	if err := s.earlier(ctx, r, &log); err != nil {
		return err
	}
	for _, p := range pods {
		if len(pods) > 1 || o.attempt() > 1 {
			fmt.Fprintf(&log, "--- attempt %d, rank %d ---\n", o.attempt(), rankOf(p))
		}
		if err := s.podLog(ctx, p, &log); err != nil {
			fmt.Fprintf(&log, "(the log could not be read: %v)\n", err)
		}
	}
	text := log.Bytes()
	if len(text) > maxLog {
		text = text[len(text)-maxLog:]
	}
	digest, _, err := s.Lake.PutBlob(ctx, bytes.NewReader(text), "")
	if err != nil {
		return err
	}
	r.Status.Log = string(digest)
	return nil
}

// earlier begins with the attempts before this one.
func (s *Station) earlier(ctx context.Context, r *v1alpha1.Run, log *bytes.Buffer) error {
	if r.Status.Log == "" {
		return nil
	}
	f, _, err := s.Lake.OpenBlob(ctx, ref.Digest(r.Status.Log))
	if fault.Is(err, fault.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(log, io.LimitReader(f, maxLog))
	return fault.Wrap(fault.Internal, "log of run "+r.Name, err)
}

func (s *Station) podLog(ctx context.Context, p *corev1.Pod, log *bytes.Buffer) error {
	f, err := s.Logs(ctx, p.Namespace, p.Name, container)
	if fault.Is(err, fault.NotFound) {
		return nil // it never started
	} else if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(log, io.LimitReader(f, maxPodLog))
	if log.Len() > 0 && log.Bytes()[log.Len()-1] != '\n' {
		log.WriteByte('\n')
	}
	return err
}

// close keeps the log and writes the run's history. Doing it twice, after a crash, does no harm.
func (s *Station) close(ctx context.Context, r *v1alpha1.Run, o observation, d decision) error {
	if o.job() != nil { // without, the attempt was archived when it was stopped
		if err := s.archive(ctx, r, o); err != nil {
			return err
		}
	}
	row := record(r, o, d)
	if s.Isolation != nil {
		row.Host["isolation"] = s.Isolation()
	}
	return s.Lake.RecordRun(ctx, row)
}

func record(r *v1alpha1.Run, o observation, d decision) lake.RunRecord {
	row := lake.RunRecord{
		UID: string(r.UID), Workspace: r.Namespace, Name: r.Name, Step: r.Spec.Step, ForKind: r.Spec.For.Kind, ForName: r.Spec.For.Name,
		Fingerprint: r.Spec.Fingerprint, Code: ref.Digest(r.Spec.Code), Environment: ref.Digest(r.Status.Environment),
		Attempt: int(o.attempt()), Phase: d.phase, Reason: d.reason, Message: d.message, Finished: o.now, Log: ref.Digest(r.Status.Log),
		Identified: r.Spec.Identified,
		Host:       map[string]string{"workers": fmt.Sprint(max(r.Spec.Workers, 1))},
	}
	if d.phase == v1alpha1.RunSucceeded {
		row.Output = o.report.Output
	}
	if r.Status.StartedAt != nil {
		row.Started = r.Status.StartedAt.Time
	}
	for _, p := range o.current() {
		if p.Spec.NodeName != "" {
			row.Host["node"] = p.Spec.NodeName
		}
	}
	for _, in := range r.Spec.Inputs {
		if in.Dataset != "" {
			name := ref.Name{Workspace: r.Namespace, Name: in.Dataset}
			row.Inputs = append(row.Inputs, lake.Input{Role: lake.RoleInput, Artifact: lake.DatasetArtifact(name, int(in.Version), "")})
		}
	}
	return row
}
