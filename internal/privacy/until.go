// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"slices"
	"time"
)

// Changes tells for every patient of a consents table when the answer of [Judge] next turns from permit to no permit or
// back, after asOf and as far as the table tells; whoever is not in the answer keeps theirs. Moments are whole seconds, in
// UTC: the first one at which the new answer holds. A change of the reason alone does not count.
func Changes(rows []Provision, purpose string, asOf time.Time) map[string]time.Time {
	wanted := codes(purpose)
	changes := map[string]time.Time{}
	for patient, consents := range byPatient(rows) {
		slices.SortFunc(consents, newestFirst)
		now, _ := newest(consents, wanted, asOf)
		for _, at := range moments(consents, asOf) {
			if then, _ := newest(consents, wanted, at); then.Permit != now.Permit {
				changes[patient] = at
				break
			}
		}
	}
	return changes
}

// moments are the whole seconds after asOf from which a consent counts, or a provision begins or has ended.
func moments(consents []consent, asOf time.Time) []time.Time {
	var list []time.Time
	add := func(t time.Time) {
		if whole := t.UTC().Truncate(time.Second); !whole.Equal(t) {
			t = whole.Add(time.Second)
		}
		if t.After(asOf) {
			list = append(list, t.UTC())
		}
	}
	for _, c := range consents {
		add(c.base.Given)
		for _, p := range append([]Provision{c.base}, c.nested...) {
			add(p.Start)
			if !p.End.IsZero() {
				add(p.End.Add(time.Nanosecond)) // the end is included
			}
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}
