// SPDX-License-Identifier: Apache-2.0

// Package fields knows, for every field of a pod's specification, what the local node does about it: honours it, reports
// that it does not, or refuses the pod.
//
// The table lies in pod.go, container.go and volume.go, by type and JSON name. A test walks the types, so that a field
// that a new version of Kubernetes brings cannot be forgotten; docs/node.md shows the same table.
package fields

import "reflect"

// Treatment is what the node does about a field.
type Treatment string

const (
	// Honoured as by a cluster's node.
	Honoured Treatment = "honoured"
	// Elsewhere: by the API server, a controller or the scheduler; nothing is left for the node.
	Elsewhere Treatment = "by the control plane"
	// Stated: not honoured for any pod. It is set by default, so the Node object says it once.
	Stated Treatment = "not honoured, said by the Node"
	// Reported: not honoured. The pod runs and a condition of it says so.
	Reported Treatment = "reported"
	// Refused: the pod fails with a message that names the field.
	Refused Treatment = "refused"
)

// Rule is the table's entry for a field.
type Rule struct {
	// Sandbox and Process are the treatments at the two levels of isolation.
	Sandbox, Process Treatment
	// Note says what is done, or not, in a few words; may be empty.
	Note string
	// inside: the field's type has entries of its own.
	inside bool
	// asks tells whether a value asks for what is not honoured; default: every value but the zero one.
	asks func(v reflect.Value) bool
}

func honoured(note string) Rule  { return Rule{Sandbox: Honoured, Process: Honoured, Note: note} }
func elsewhere(note string) Rule { return Rule{Sandbox: Elsewhere, Process: Elsewhere, Note: note} }
func stated(note string) Rule    { return Rule{Sandbox: Stated, Process: Stated, Note: note} }
func reported(note string) Rule  { return Rule{Sandbox: Reported, Process: Reported, Note: note} }
func refused(note string) Rule   { return Rule{Sandbox: Refused, Process: Refused, Note: note} }

// sandboxed is honoured in sandboxes and reported for plain processes.
func sandboxed(note string) Rule { return Rule{Sandbox: Honoured, Process: Reported, Note: note} }

// within says that the entries of the field's own type decide.
func within() Rule { return Rule{Sandbox: Honoured, Process: Honoured, inside: true} }

// but names values that need no honouring, or are honoured.
func (r Rule) but(values ...string) Rule {
	return r.when(func(v reflect.Value) bool {
		for _, harmless := range values {
			if v.String() == harmless {
				return false
			}
		}
		return !v.IsZero()
	})
}

// when restricts the entry to some values; pointers are followed first.
func (r Rule) when(asks func(v reflect.Value) bool) Rule {
	r.asks = asks
	return r
}

func (r Rule) at(sandbox bool) Treatment {
	if sandbox {
		return r.Sandbox
	}
	return r.Process
}
