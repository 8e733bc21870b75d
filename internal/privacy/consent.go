// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Provision is one row of a consents table: a Consent, and one of its provisions.
type Provision struct {
	Consent  string // which Consent resource; rows with the same value belong together
	Patient  string
	Status   string // FHIR R4 Consent.status
	Scope    []string
	Category []string
	Given    time.Time // Consent.dateTime; zero when absent
	Updated  time.Time // meta.lastUpdated; zero when absent

	Path    string // "" for the Consent itself, "0", "0.2" for nested provisions
	Type    string // permit, deny or ""
	Purpose []string
	Code    []string
	Start   time.Time // zero: no bound
	End     time.Time // inclusive; zero: no bound
}

// Reasons why a subject does not enter. They are stable: reports and conditions carry them.
const (
	NoSubject   = "no subject"
	NoConsent   = "no consent"
	Denied      = "denied"
	Expired     = "consent expired"
	NotYetValid = "consent not yet valid"
	Withdrawn   = "consent withdrawn"
)

// Verdict is the answer for one patient.
type Verdict struct {
	Permit bool
	Reason string // why not
}

// synonyms of a purpose in the code systems that consents are written with: HL7 v3 ActReason, and the policy codes of
// the German Medical Informatics Initiative's broad consent (MDAT_wissenschaftlich_nutzen_EU_DSGVO_konform).
var synonyms = map[string][]string{
	"research":  {"hresch", "clintrch", "2.16.840.1.113883.3.1937.777.24.5.3.8"},
	"treatment": {"treat"},
}

// Judge decides for every patient of a consents table whether the purpose is permitted at a time. Whoever is not in the
// answer has no consent. Per patient the newest Consent that speaks about the purpose counts; of two of the same time the
// stricter one. Anything unclear is no permit.
func Judge(rows []Provision, purpose string, asOf time.Time) map[string]Verdict {
	wanted := codes(purpose)
	verdicts := map[string]Verdict{}
	for patient, consents := range byPatient(rows) {
		slices.SortFunc(consents, newestFirst)
		if v, ok := newest(consents, wanted, asOf); ok {
			verdicts[patient] = v
		}
	}
	return verdicts
}

func codes(purpose string) map[string]bool {
	p := strings.ToLower(strings.TrimSpace(purpose))
	wanted := map[string]bool{p: true}
	for _, s := range synonyms[p] {
		wanted[s] = true
	}
	return wanted
}

// consent is one resource: its base and its nested provisions.
type consent struct {
	base   Provision
	nested []Provision
}

func byPatient(rows []Provision) map[string][]consent {
	type id struct{ patient, consent string }
	grouped := map[id]*consent{}
	for _, r := range rows {
		r.Patient = strings.TrimSpace(r.Patient)
		if r.Patient == "" {
			continue
		}
		key := id{r.Patient, r.Consent}
		c := grouped[key]
		if c == nil {
			c = &consent{base: Provision{Status: r.Status, Scope: r.Scope, Category: r.Category, Given: r.Given, Updated: r.Updated}}
			grouped[key] = c
		}
		if r.Path == "" {
			c.base = r
		} else {
			c.nested = append(c.nested, r)
		}
	}
	out := map[string][]consent{}
	for key, c := range grouped {
		out[key.patient] = append(out[key.patient], *c)
	}
	return out
}

// newestFirst sorts by the time of consent, then of the last change.
func newestFirst(a, b consent) int {
	return cmp.Or(b.base.Given.Compare(a.base.Given), b.base.Updated.Compare(a.base.Updated))
}

// newest judges the newest consent that is in force and about the purpose, and all others of exactly its time.
func newest(consents []consent, wanted map[string]bool, asOf time.Time) (Verdict, bool) {
	var found *consent
	var answer Verdict
	for i, c := range consents {
		if c.base.Given.After(asOf) || !inForce(c.base.Status) || !c.about(wanted) {
			continue
		}
		if found != nil && newestFirst(*found, c) != 0 {
			break
		}
		v := c.judge(wanted, asOf)
		if found == nil || !v.Permit {
			answer = v
		}
		if found == nil {
			found = &consents[i]
		}
	}
	return answer, found != nil
}

// inForce leaves out what was never a decision (draft, proposed) or should not exist (entered-in-error).
func inForce(status string) bool {
	return status == "active" || status == "inactive" || status == "rejected"
}

// about reports whether the consent speaks about a purpose: by its scope or category, or in one of its provisions.
func (c consent) about(wanted map[string]bool) bool {
	if names(wanted, c.base.Scope, c.base.Category, c.base.Purpose, c.base.Code) {
		return true
	}
	return slices.ContainsFunc(c.nested, func(p Provision) bool { return names(wanted, p.Purpose, p.Code) })
}

func names(wanted map[string]bool, lists ...[]string) bool {
	for _, list := range lists {
		for _, code := range list {
			if wanted[strings.ToLower(strings.TrimSpace(code))] {
				return true
			}
		}
	}
	return false
}

// judge weighs one consent: the base decides unless a nested provision names the purpose; among nested ones a deny
// outweighs a permit.
func (c consent) judge(wanted map[string]bool, asOf time.Time) Verdict {
	switch {
	case c.base.Status == "inactive":
		return Verdict{Reason: Withdrawn}
	case c.base.Status == "rejected":
		return Verdict{Reason: Denied}
	}
	if v := within(c.base, asOf); !v.Permit {
		if c.base.Type == "deny" && !c.hasPermit(wanted) {
			return Verdict{Reason: Denied}
		}
		return v
	}
	answer := Verdict{Reason: Denied}
	if c.base.Type == "permit" && c.unrestricted(wanted) {
		answer = Verdict{Permit: true}
	}
	return c.refine(answer, wanted, asOf)
}

// refine lets the nested provisions about the purpose change the base provision's answer: a refusal in force ends it.
func (c consent) refine(answer Verdict, wanted map[string]bool, asOf time.Time) Verdict {
	for _, p := range c.nested {
		general := p.Type == "deny" && len(p.Purpose) == 0 && len(p.Code) == 0
		if !general && !names(wanted, p.Purpose, p.Code) {
			continue
		}
		v := within(p, asOf)
		switch {
		case p.Type == "deny" && v.Permit:
			return Verdict{Reason: Denied}
		case p.Type == "permit" && (v.Permit || !answer.Permit):
			answer = v
		}
	}
	return answer
}

func (c consent) hasPermit(wanted map[string]bool) bool {
	return slices.ContainsFunc(c.nested, func(p Provision) bool {
		return p.Type == "permit" && names(wanted, p.Purpose, p.Code)
	})
}

// unrestricted reports whether the base provision covers the purpose: it lists it, or it lists nothing.
func (c consent) unrestricted(wanted map[string]bool) bool {
	if len(c.base.Purpose) == 0 && len(c.base.Code) == 0 {
		return true
	}
	return names(wanted, c.base.Purpose, c.base.Code)
}

// within judges a provision's period.
func within(p Provision, asOf time.Time) Verdict {
	switch {
	case !p.Start.IsZero() && asOf.Before(p.Start):
		return Verdict{Reason: NotYetValid}
	case !p.End.IsZero() && asOf.After(p.End):
		return Verdict{Reason: Expired}
	}
	return Verdict{Permit: true}
}
