// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
)

// Action is what a station does next.
type Action string

// The actions.
const (
	Keep    Action = "Keep"    // up to date: nothing to do
	Adopt   Action = "Adopt"   // a version with the wanted fingerprint exists: make it current, run nothing
	Wait    Action = "Wait"    // something else must happen first
	Start   Action = "Start"   // start a run
	Watch   Action = "Watch"   // a run is under way
	Commit  Action = "Commit"  // the run has succeeded: store its output as a version
	Refuse  Action = "Refuse"  // the declaration is wrong
	Fail    Action = "Fail"    // the run failed: wait for a change or a retry
	Replace Action = "Replace" // a run for another fingerprint is under way: cancel it
)

// RunState is what is known of the run of the wanted or of another fingerprint.
type RunState struct {
	Name        string
	Fingerprint string
	Phase       string // a phase of v1alpha1.Run; "" when there is no run
	Reason      string
	Message     string
	Progress    string
}

// Observation is what a station saw of one versioned object.
type Observation struct {
	// Refusal is why the declaration cannot work; empty when it can.
	Refusal string
	// Waiting names what must be ready first, each with its reason, for example "dataset voice: Failed".
	Waiting []string
	// Wanted is the fingerprint asked for now, Current the one of the current version ("" before the first).
	Wanted, Current string
	// CurrentVersion is the number of the current version.
	CurrentVersion int64
	// ExistingVersion is the number of a stored version with the wanted fingerprint; 0 when there is none.
	ExistingVersion int64
	// Run is the run for the wanted fingerprint; Other a live run for another one.
	Run, Other *RunState
	// Paused is why no new version may be started yet although one is wanted; empty when it may.
	Paused string
	// Resting is why the current version is as declared although a newer one could be made, such as a cooldown.
	Resting string
}

// Decision is what to do and what to tell people.
type Decision struct {
	Action  Action
	Reason  string // stable reason of the Ready condition
	Message string
}

// Decide chooses the next action for an object that is made in versions. Earlier rules win.
func Decide(o Observation) Decision {
	switch {
	case o.Refusal != "":
		return Decision{Refuse, "Invalid", o.Refusal}
	case len(o.Waiting) > 0:
		return Decision{Wait, "Waiting", "waits for " + strings.Join(o.Waiting, ", ")}
	case o.Wanted == o.Current && o.CurrentVersion > 0:
		return Decision{Keep, "Ready", fmt.Sprintf("version %d is up to date", o.CurrentVersion)}
	case o.ExistingVersion > 0:
		return Decision{Adopt, "Ready", fmt.Sprintf("version %d has the same fingerprint and is used again", o.ExistingVersion)}
	case o.Other != nil:
		return Decision{Replace, "Running", fmt.Sprintf("stops run %s: its inputs have changed", o.Other.Name)}
	case o.Run != nil:
		return decideRun(o.Run)
	case o.Resting != "" && o.CurrentVersion > 0:
		return Decision{Wait, "Ready", fmt.Sprintf("version %d is in use; %s", o.CurrentVersion, o.Resting)}
	case o.Paused != "":
		return Decision{Wait, "Waiting", o.Paused}
	}
	return Decision{Start, "Running", "starts a run"}
}

func decideRun(r *RunState) Decision {
	switch r.Phase {
	case "Succeeded":
		return Decision{Commit, "Running", "stores the output of run " + r.Name}
	case "Failed", "Cancelled":
		return Decision{Fail, "Failed", failure(r)}
	}
	return Decision{Watch, "Running", progress(r)}
}

func failure(r *RunState) string {
	message := strings.TrimSpace(r.Message)
	if message == "" {
		message = strings.ToLower(r.Phase)
	}
	return fmt.Sprintf("%s (run %s; see `fathom logs %s`, then change the object or `fathom retry` it)", message, r.Name, r.Name)
}

func progress(r *RunState) string {
	text := fmt.Sprintf("run %s: %s", r.Name, strings.ToLower(orPending(r.Phase)))
	for _, more := range []string{r.Progress, r.Message} {
		if more != "" {
			text += ", " + more
		}
	}
	return text
}

func orPending(phase string) string {
	if phase == "" {
		return "pending"
	}
	return phase
}
