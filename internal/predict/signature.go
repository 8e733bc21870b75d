// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"fmt"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// Signature is how a model is called.
type Signature struct {
	Inputs  []Spec
	Outputs []Spec
	// Classes are the class labels the model itself carries, in the order of its probabilities; empty if it carries none.
	Classes []string
	// Features are the columns that a matrix input takes, in order, where the file says so: a JSON list of names as metadata
	// property "features". Empty: all features in the training file's order.
	Features []string
	// Producer is the tool that wrote the model, "skl2onnx" for example; it may be empty.
	Producer string
}

// Spec describes one input or output.
type Spec struct {
	Name string
	Type Type
	// Shape has -1 where any size is allowed. A Map output has [-1, classes] or [-1, -1].
	Shape []int64
	// Axes are the symbolic names of the free sizes, "" where there is none. Equal names mean equal sizes.
	Axes []string
	// scalar marks a declared shape of rank 0.
	scalar bool
	// anyRank marks a tensor without a declared shape.
	anyRank bool
}

// String is for messages: "X FP32[-1 4]".
func (s Spec) String() string { return fmt.Sprintf("%s %s%v", s.Name, s.Type, s.Shape) }

func specs(list []Spec) string {
	var b []string
	for _, s := range list {
		b = append(b, s.String())
	}
	return strings.Join(b, ", ")
}

// Input finds an input by name.
func (s Signature) Input(name string) (Spec, bool) { return find(s.Inputs, name) }

// Output finds an output by name.
func (s Signature) Output(name string) (Spec, bool) { return find(s.Outputs, name) }

func find(list []Spec, name string) (Spec, bool) {
	for _, spec := range list {
		if spec.Name == name {
			return spec, true
		}
	}
	return Spec{}, false
}

// Check reports the first thing that is wrong with a request's tensors: a name that is unknown, missing or given twice, a
// type, a shape, a length of data, sizes of one axis that differ, more than maxElements values in one tensor. All Invalid
// but the last, which is TooLarge.
func (s Signature) Check(inputs []Tensor, maxElements int64) error {
	seen := make(map[string]bool, len(inputs))
	axes := map[string]int64{}
	for _, in := range inputs {
		spec, known := s.Input(in.Name)
		if !known {
			return invalid("no input is called %q; the model has %s", clip(in.Name), specs(s.Inputs))
		}
		if seen[in.Name] {
			return invalid("input %q is given twice", in.Name)
		}
		seen[in.Name] = true
		if err := spec.check(in, axes, maxElements); err != nil {
			return err
		}
	}
	for _, spec := range s.Inputs {
		if !seen[spec.Name] {
			return invalid("input %s is missing", spec)
		}
	}
	return nil
}

func (s Spec) check(in Tensor, axes map[string]int64, maxElements int64) error {
	if in.Type != s.Type {
		return invalid("input %q must be %s, not %s", s.Name, s.Type, clip(string(in.Type)))
	}
	if !in.typed() {
		return invalid("input %q is %s but its data is %T", s.Name, s.Type, in.Data)
	}
	if len(in.Shape) != len(s.Shape) && !s.anyRank {
		return invalid("input %q must have shape %v, not %v", s.Name, s.Shape, in.Shape)
	}
	for i, size := range in.Shape {
		if size < 0 {
			return invalid("input %q has a negative size in its shape %v", s.Name, in.Shape)
		}
		if s.anyRank {
			continue
		}
		if s.Shape[i] >= 0 && s.Shape[i] != size {
			return invalid("input %q must have shape %v, not %v", s.Name, s.Shape, in.Shape)
		}
		if axis := s.Axes[i]; axis != "" {
			if other, bound := axes[axis]; bound && other != size {
				return invalid("axis %q has size %d in input %q but %d in another", axis, size, s.Name, other)
			}
			axes[axis] = size
		}
	}
	want := elements(in.Shape, maxElements)
	if want < 0 {
		return fault.New(fault.TooLarge, "predict", "input %q of shape %v has more than %d values", s.Name, in.Shape, maxElements)
	}
	if got := in.Len(); int64(got) != want {
		return invalid("input %q of shape %v needs %d values, not %d", s.Name, in.Shape, want, got)
	}
	return nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "predict", format, args...)
}

// clip keeps a caller's text short in a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
