// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"sort"
	"time"

	"fathom.dev/fathom/api/v1alpha1"
)

// observation is what the station saw.
type observation struct {
	refusal     string
	waiting     string
	wanted      int64 // version to serve
	current     int64 // version that gets the traffic; 0 before the first
	replicas    int32
	switchedAt  time.Time
	deployments map[int64]deployment
}

type deployment struct {
	ready, want int32
	message     string // why replicas do not come up
}

// step is what to do and to tell.
type step struct {
	bringUp   int64 // version whose Deployment must be as declared; 0 for none
	switchTo  int64 // version that gets the traffic from now on; 0 for no change
	next      int64 // version being brought up
	remove    []int64
	reason    string
	message   string
	lookAgain time.Duration
}

// decide is the rollout: bring the wanted version up beside the current one, switch when all its replicas are ready,
// remove the old one after its requests have ended. The current version serves until the switch, whatever happens.
func decide(o observation, now time.Time) step {
	switch {
	case o.refusal != "":
		return step{reason: v1alpha1.ReasonInvalid, message: o.refusal + serving(o)}
	case o.wanted == 0:
		return step{reason: v1alpha1.ReasonWaiting, message: o.waiting + serving(o)}
	}
	p := step{bringUp: o.wanted}
	d := o.deployments[o.wanted]
	up := d.want == o.replicas && d.ready >= o.replicas
	switch {
	case o.current == o.wanted && d.ready > 0:
		p.reason, p.message = v1alpha1.ReasonReady, fmt.Sprintf("serves version %d with %d of %d replicas", o.wanted, d.ready, o.replicas)
	case o.current != o.wanted && up:
		p.switchTo = o.wanted
		p.reason, p.message = v1alpha1.ReasonReady, fmt.Sprintf("serves version %d with %d of %d replicas", o.wanted, d.ready, o.replicas)
	default:
		p.next = o.wanted
		p.reason = v1alpha1.ReasonRunning
		p.message = fmt.Sprintf("brings up version %d: %d of %d replicas are ready", o.wanted, d.ready, o.replicas)
		if d.message != "" {
			p.message += " (" + d.message + ")"
		}
		p.message += serving(o)
	}
	p.remove, p.lookAgain = old(o, p, now)
	return p
}

// old lists Deployments that are neither served nor coming up, once the drain time has passed.
func old(o observation, p step, now time.Time) (remove []int64, lookAgain time.Duration) {
	current, switchedAt := o.current, o.switchedAt
	if p.switchTo != 0 {
		current, switchedAt = p.switchTo, now
	}
	left := switchedAt.Add(Drain).Sub(now)
	for number := range o.deployments {
		switch {
		case number == current || number == o.wanted:
		case left > 0:
			lookAgain = left
		default:
			remove = append(remove, number)
		}
	}
	sort.Slice(remove, func(i, j int) bool { return remove[i] < remove[j] })
	return remove, lookAgain
}

func serving(o observation) string {
	if o.current == 0 {
		return ""
	}
	return fmt.Sprintf("; version %d goes on serving", o.current)
}
