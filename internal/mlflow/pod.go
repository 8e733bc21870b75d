// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"net/http"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/tracking"
)

// Pods train on a part of the rows, so one must not learn from another what is held out from it. A pod therefore sees
// of the tracking server only its own run, the runs it makes below that, and the models that these log: nothing that
// another pod can write is readable for it. Each route says what it lets pods do; one that says nothing refuses them.

// podRule decides about a request of a pod: message points to what the request decoded to.
type podRule func(p *pod, message any) error

// pod is a caller that is limited to one run.
type pod struct {
	context.Context
	ws  *tracking.Workspace
	own string // the run; empty for none
	r   *http.Request
}

// Tags that relate runs to each other and to Fathom's. Pods do not change them.
const (
	parentTag     = "mlflow.parentRunId"
	reservedTags  = "fathom."
	refusedToPods = "a pod uses the tracking server for its own run only"
)

func refused(format string, args ...any) error {
	return fault.New(fault.Forbidden, "", format, args...).WithHint(refusedToPods)
}

// limit makes the handler of a line: whoever is limited to a run has to keep the line's rule.
func (d *door) limit(line route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := d.podOf(r)
		if err != nil {
			fail(w, r, err)
			return
		}
		check := func(any) error { return nil }
		if p != nil {
			check = func(message any) error { return d.recorded(line, r, p.check(line, message)) }
			if line.pods == nil { // also before the body is read
				fail(w, r, check(nil))
				return
			}
		}
		line.handler.serve(w, r, check)
	}
}

// podOf finds out whether the caller is limited; nil if not.
func (d *door) podOf(r *http.Request) (*pod, error) {
	if d.scope == nil {
		return nil, nil
	}
	own, limited, err := d.scope(r.Context(), r.PathValue("workspace"), identity.UserFrom(r.Context()))
	if err != nil || !limited {
		return nil, err
	}
	ws, err := d.store.In(r.Context(), r.PathValue("workspace"))
	return &pod{r.Context(), ws, own, r}, err
}

func (p *pod) check(line route, message any) error {
	if line.pods == nil {
		return refused("%s %s is not for pods", line.method, line.path)
	}
	return line.pods(p, message)
}

// recorded leaves a line in the audit log about a refusal: honest code does not try.
func (d *door) recorded(line route, r *http.Request, refusal error) error {
	if !fault.Is(refusal, fault.Forbidden) || d.record == nil {
		return refusal
	}
	a, err := action(line)(r)
	if err == nil {
		a.Data = true
		err = d.record(identity.UserFrom(r.Context()), a, r, refusal)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "audit", "the refusal could not be recorded: %v", err)
	}
	return refusal
}

// all is every one of the rules.
func all(rules ...podRule) podRule {
	return func(p *pod, message any) error {
		for _, rule := range rules {
			if err := rule(p, message); err != nil {
				return err
			}
		}
		return nil
	}
}

// anyPod is for answers that are the same for everybody.
func anyPod(*pod, any) error { return nil }

// misfit is a rule on a route whose message it cannot judge: a mistake in the table.
func misfit(message any) error {
	return fault.New(fault.Internal, "mlflow", "no rule for pods fits %T", message)
}

// ownRun wants the run that the message names to be the pod's.
func ownRun(p *pod, message any) error {
	named, ok := message.(interface{ run() (string, error) })
	if !ok {
		return misfit(message)
	}
	id, err := named.run()
	if err != nil {
		return err
	}
	return p.owns(id)
}

// owns is nil for the pod's run and the runs below it. What is not there and what is another's get the same answer.
func (p *pod) owns(id string) error {
	if p.own == "" {
		return refused("this pod's run has no tracking run")
	}
	if id == p.own {
		return nil
	}
	run, err := p.ws.Run(p, id)
	if err == nil && parentOf(fromTags(run.Tags)) == p.own {
		return nil
	}
	if fault.Is(err, fault.Unavailable) {
		return err
	}
	return refused("run %.64q is not the one of this pod, %s", id, p.own)
}

func parentOf(tags []pair) string {
	for _, t := range tags {
		if t.Key == parentTag {
			return t.Value
		}
	}
	return ""
}

// freeTags wants none of the tags that Fathom relies on.
func freeTags(_ *pod, message any) error {
	tagged, ok := message.(interface{ tagKeys() []string })
	if !ok {
		return misfit(message)
	}
	for _, key := range tagged.tagKeys() {
		if key == parentTag || strings.HasPrefix(key, reservedTags) {
			return refused("a pod may not change the tag %.64q", key)
		}
	}
	return nil
}

func (m *runPairMessage) tagKeys() []string { return []string{m.Key} }

func (m *batchMessage) tagKeys() []string { return keys(m.Tags) }

func keys(tags []pair) []string {
	list := make([]string, len(tags))
	for i, t := range tags {
		list[i] = t.Key
	}
	return list
}

// ownChild wants a new run below the pod's, in its experiment: how autologging records the trials of a search.
func ownChild(p *pod, message any) error {
	in, ok := message.(*createRunMessage)
	if !ok {
		return misfit(message)
	}
	parents := 0
	for _, t := range in.Tags {
		switch {
		case t.Key == parentTag && t.Value == p.own && p.own != "":
			parents++
		case t.Key == parentTag || strings.HasPrefix(t.Key, reservedTags):
			return refused("a pod may not set the tag %.64q", t.Key)
		}
	}
	if parents != 1 {
		return refused("a pod's new run must be nested in its own, %s; MLFLOW_RUN_ID names it", p.own)
	}
	return p.inExperiment(in.Experiment)
}

// experiment is the one of the pod's run.
func (p *pod) experiment() (string, error) {
	if p.own == "" {
		return "", p.owns("")
	}
	run, err := p.ws.Run(p, p.own)
	return run.Experiment, err
}

func (p *pod) inExperiment(id string) error {
	own, err := p.experiment()
	if err == nil && id != own {
		err = refused("experiment %.64q is not the one of this pod's run, %s", id, own)
	}
	return err
}

// ownExperiment wants the experiment of the pod's run, by id or name.
func ownExperiment(p *pod, message any) error {
	switch in := message.(type) {
	case *experimentIDMessage:
		return p.inExperiment(in.ID)
	case *experimentNameMessage:
		id, err := p.experiment()
		if err != nil {
			return err
		}
		e, err := p.ws.Experiment(p, id)
		if err == nil && e.Name != in.Name {
			err = refused("experiment %.64q is not the one of this pod's run, %q", in.Name, e.Name)
		}
		return err
	}
	return misfit(message)
}

// ownNewModel wants a new logged model to be one of the pod's run.
func ownNewModel(p *pod, message any) error {
	in, ok := message.(*createLoggedModelMessage)
	if !ok {
		return misfit(message)
	}
	if err := p.owns(in.Run); err != nil {
		return err
	}
	return p.inExperiment(in.Experiment)
}

// ownModel wants the logged model in the path to be one of the pod's run.
func ownModel(p *pod, _ any) error {
	_, err := p.model(p.r.PathValue("model"))
	return err
}

// model finds a logged model of the pod's run.
func (p *pod) model(id string) (tracking.LoggedModel, error) {
	m, err := p.ws.LoggedModel(p, id)
	if fault.Is(err, fault.Unavailable) {
		return m, err
	}
	if err != nil || m.Run == "" || p.owns(m.Run) != nil {
		return m, refused("logged model %.64q is not one of this pod's run", id)
	}
	return m, nil
}

// ownModels wants all logged models that the message names to be of the pod's run.
func ownModels(p *pod, message any) error {
	naming, ok := message.(interface{ models() []string })
	if !ok {
		return misfit(message)
	}
	known := map[string]bool{"": true}
	for _, id := range naming.models() {
		if known[id] {
			continue
		}
		known[id] = true
		if _, err := p.model(id); err != nil {
			return err
		}
	}
	return nil
}

func (m *oneMetricMessage) models() []string { return []string{m.Model} }

func (m *batchMessage) models() []string {
	list := make([]string, len(m.Metrics))
	for i := range m.Metrics {
		list[i] = m.Metrics[i].Model
	}
	return list
}

func (m *inputsMessage) models() []string  { return used(m.Models) }
func (m *outputsMessage) models() []string { return used(m.Models) }

func used(uses []modelUseMessage) []string {
	list := make([]string, len(uses))
	for i, use := range uses {
		list[i] = use.Model
	}
	return list
}

// ownPath wants artifacts below the root of the pod's run, of a run below it, or of a logged model of these. Roots have
// the id of what they belong to in them.
func ownPath(p *pod, message any) error {
	in, ok := message.(*pathMessage)
	if !ok {
		return misfit(message)
	}
	for part := range strings.SplitSeq(in.Path, "/") {
		var location string
		switch {
		case strings.HasPrefix(part, "m-"):
			if m, err := p.model(part); err == nil {
				location = m.Location
			}
		case len(part) == len(p.own) && p.own != "" && p.owns(part) == nil:
			run, err := p.ws.Run(p, part)
			if err != nil {
				return err
			}
			location = run.Location
		}
		root, err := tracking.ArtifactRoot(location)
		if err == nil && (in.Path == root || strings.HasPrefix(in.Path, root+"/")) {
			return nil
		}
	}
	return refused("the artifacts at %.200q are not of this pod's run", in.Path)
}
