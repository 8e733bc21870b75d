// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"math"
	"strings"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

// assembler brings a request's tensors into the form that the model takes.
type assembler struct {
	inputs []predict.Spec
	// features by name; nil when the model's features are not known.
	features map[string]place
	names    []string
	texts    []bool
	columns  bool
}

// place is where a feature goes: an input, and a column of it.
type place struct{ feature, input, column int }

func newAssembler(inputs []predict.Spec, signature evaluate.Signature) (*assembler, error) {
	a := &assembler{inputs: inputs, columns: signature.Convention == predict.Columns}
	if len(signature.Features) == 0 {
		return a, nil
	}
	if signature.Convention == predict.Matrix && len(inputs) != 1 {
		return nil, fault.New(fault.Invalid, "inference.New", "the signature says matrix, but the model has %d inputs", len(inputs))
	}
	a.features = make(map[string]place, len(signature.Features))
	for i, f := range signature.Features {
		at := place{feature: i, column: i}
		if a.columns {
			at = place{feature: i, input: inputFor(inputs, f.Name)}
		}
		a.names, a.texts = append(a.names, f.Name), append(a.texts, f.Type == "text")
		if at.input < 0 {
			continue // a feature that the model does not use may be sent all the same
		}
		a.features[f.Name] = at
		if a.columns {
			a.features[inputs[at.input].Name] = at
		}
	}
	return a, nil
}

// inputFor finds the input that takes a feature: exporters replace what is no letter or digit in its name.
func inputFor(inputs []predict.Spec, feature string) int {
	for i, in := range inputs {
		if in.Name == feature {
			return i
		}
	}
	for i, in := range inputs {
		if plain(in.Name) == plain(feature) {
			return i
		}
	}
	return -1
}

func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 {
			return r
		}
		return '_'
	}, name)
}

// assemble takes the declared inputs as they are, else builds them from features.
func (a *assembler) assemble(sent []oip.Tensor) ([]predict.Tensor, error) {
	if a.features == nil || (!a.columns && len(sent) == 1 && sent[0].Name == a.inputs[0].Name) {
		return exact(sent), nil
	}
	if !a.columns && len(sent) == 1 && len(a.names) > 1 {
		if _, known := a.features[sent[0].Name]; !known {
			return nil, a.unknown(sent[0].Name)
		}
	}
	rows, err := a.place(sent)
	if err != nil {
		return nil, err
	}
	if a.columns {
		return a.perColumn(sent, rows)
	}
	return a.matrix(sent, rows)
}

func exact(sent []oip.Tensor) []predict.Tensor {
	out := make([]predict.Tensor, len(sent))
	for i, t := range sent {
		out[i] = predict.Tensor{Name: t.Name, Type: predict.Type(t.Type), Shape: t.Shape, Data: t.Data}
	}
	return out
}

func (a *assembler) unknown(name string) error {
	e := fault.New(fault.Invalid, "", "no input or feature is called %q", clip(name))
	if a.columns {
		return e.WithHint("send one tensor [rows] for each of %s", list(a.names))
	}
	return e.WithHint("send %s, or one tensor [rows] for each of %s", a.inputs[0], list(a.names))
}

// place checks names, shapes and kinds of the features sent and returns the number of rows.
func (a *assembler) place(sent []oip.Tensor) (int64, error) {
	seen := make([]bool, len(a.names))
	rows := int64(-1)
	for _, t := range sent {
		at, known := a.features[t.Name]
		switch {
		case !known && a.isFeature(t.Name):
			continue
		case !known:
			return 0, a.unknown(t.Name)
		case seen[at.feature]:
			return 0, fault.New(fault.Invalid, "", "feature %q is given twice", t.Name)
		case len(t.Shape) != 1 && (len(t.Shape) != 2 || t.Shape[1] != 1):
			return 0, fault.New(fault.Invalid, "", "feature %q must have the shape [rows] or [rows, 1], not %v", t.Name, t.Shape)
		case a.texts[at.feature] != (t.Type == oip.Bytes):
			return 0, fault.New(fault.Invalid, "", "feature %q holds %s, not %s", t.Name, kind(a.texts[at.feature]), t.Type)
		case rows >= 0 && rows != t.Shape[0]:
			return 0, fault.New(fault.Invalid, "", "feature %q has %d rows, others %d", t.Name, t.Shape[0], rows)
		}
		seen[at.feature], rows = true, t.Shape[0]
	}
	return rows, a.complete(seen)
}

// complete refuses a request without one of the features that the model uses.
func (a *assembler) complete(seen []bool) error {
	var missing []string
	for i, name := range a.names {
		if _, used := a.features[name]; used && !seen[i] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Invalid, "", "missing: %s", list(missing)).WithHint("a missing number is null in its tensor's data")
	}
	return nil
}

func (a *assembler) isFeature(name string) bool {
	for _, f := range a.names {
		if f == name {
			return true
		}
	}
	return false
}

func kind(text bool) string {
	if text {
		return "texts (BYTES)"
	}
	return "numbers"
}

// matrix puts the features side by side.
func (a *assembler) matrix(sent []oip.Tensor, rows int64) ([]predict.Tensor, error) {
	width := int64(len(a.names))
	if rows > maxElements/width {
		return nil, fault.New(fault.TooLarge, "", "%d rows of %d features are too many for one request", rows, width)
	}
	in := a.inputs[0]
	out := predict.Tensor{Name: in.Name, Type: in.Type, Shape: []int64{rows, width}}
	if len(in.Shape) == 1 {
		out.Shape = []int64{rows}
	}
	w, err := newWriter(in.Type, rows*width)
	if err != nil {
		return nil, err
	}
	for _, t := range sent {
		column := int64(a.features[t.Name].column)
		for row := range rows {
			if err := w.put(row*width+column, t, int(row)); err != nil {
				return nil, err
			}
		}
	}
	out.Data = w.data()
	return []predict.Tensor{out}, nil
}

// perColumn gives each input its column in the type and rank it declares.
func (a *assembler) perColumn(sent []oip.Tensor, rows int64) ([]predict.Tensor, error) {
	if rows > maxElements {
		return nil, fault.New(fault.TooLarge, "", "%d rows are too many for one request", rows)
	}
	out := make([]predict.Tensor, 0, len(sent))
	for _, t := range sent {
		at, used := a.features[t.Name]
		if !used {
			continue
		}
		in := a.inputs[at.input]
		shape := []int64{rows}
		if len(in.Shape) != 1 {
			shape = append(shape, 1)
		}
		w, err := newWriter(in.Type, rows)
		if err != nil {
			return nil, err
		}
		for row := range rows {
			if err := w.put(row, t, int(row)); err != nil {
				return nil, err
			}
		}
		out = append(out, predict.Tensor{Name: in.Name, Type: in.Type, Shape: shape, Data: w.data()})
	}
	return out, nil
}

// maxElements of a tensor built from features.
const maxElements = 16 << 20

// list names up to 30.
func list(names []string) string {
	if len(names) > 30 {
		return strings.Join(names[:30], ", ") + "…"
	}
	return strings.Join(names, ", ")
}

// whole converts a number for an integer input.
func whole(t oip.Tensor, row int, low, high float64) (float64, error) {
	v, _ := t.Float(row)
	if v != math.Trunc(v) || v < low || v > high {
		return 0, fault.New(fault.Invalid, "", "feature %q must be a whole number from %.0f to %.0f, not %v in row %d", t.Name, low, high, v, row)
	}
	return v, nil
}
