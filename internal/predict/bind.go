// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// The conventions by which models take features.
const (
	Matrix  = "matrix"  // one numeric tensor [rows, features]
	Columns = "columns" // one tensor [rows, 1] or [rows] a feature, called as the feature
)

// Feature is a column that a model was trained on.
type Feature struct {
	Name string
	// Text says that its values are texts, not numbers.
	Text bool
}

// Column holds one feature's values: Texts of a text feature, else Numbers, where NaN is a missing value.
type Column struct {
	Name    string
	Numbers []float64
	Texts   []string
}

func (c Column) rows() int {
	if c.Texts != nil {
		return len(c.Texts)
	}
	return len(c.Numbers)
}

// Target says what a table's answers are: classes in the order in which probabilities are wanted, or none for a regression.
type Target struct {
	Classes []string
}

// Scorer scores tables with a session. It is safe for many goroutines.
type Scorer struct {
	// Convention is Matrix or Columns.
	Convention string
	// Label and Scores name the outputs that are read: the predicted class ("" if the model has none), and the
	// probabilities or the regression's value.
	Label, Scores string

	session  *Session
	features []Feature
	target   Target
	inputs   []boundInput
}

// Features are the columns the model takes, in order.
func (b *Scorer) Features() []Feature { return b.features }

// boundInput says which column an input takes; -1 is all of them.
type boundInput struct {
	spec   Spec
	column int
}

// Bind matches a model's inputs and outputs with features, in the order of the training file, and a target. A model that names
// its own features (see [Signature.Features]) takes those; one tensor of as many numbers as there are numeric features takes
// these, without the texts. Errors: Invalid, naming the input or output that does not fit and what to export instead.
func (s *Session) Bind(features []Feature, target Target) (*Scorer, error) {
	scorer := &Scorer{session: s, features: features, target: target}
	if len(s.signature.Features) > 0 {
		scorer.features = nil
		for _, name := range s.signature.Features {
			at := slices.IndexFunc(features, func(f Feature) bool { return f.Name == name })
			if at < 0 {
				return nil, bindError("the model's metadata names a feature %q, but the training file has no such column", clip(name))
			}
			scorer.features = append(scorer.features, features[at])
		}
	}
	if err := scorer.bindInputs(); err != nil {
		return nil, err
	}
	if err := scorer.bindOutputs(); err != nil {
		return nil, err
	}
	return scorer, nil
}

func (b *Scorer) bindInputs() error {
	inputs := b.session.signature.Inputs
	if len(inputs) == 1 {
		in := inputs[0]
		if at := b.feature(in.Name); at < 0 || (width(in) != 1 && len(in.Shape) != 1) {
			b.Convention, b.inputs = Matrix, []boundInput{{spec: in, column: -1}}
			b.numbersOnly(in)
			return b.checkMatrix(in)
		}
	}
	b.Convention = Columns
	for _, in := range inputs {
		at := b.feature(in.Name)
		if at < 0 {
			return bindError("the model has an input %q, but no feature is called so; features are %s", in.Name, b.list()).
				WithHint("name each input after its column, or use one float input for all of them")
		}
		if err := checkColumn(in, b.features[at]); err != nil {
			return err
		}
		b.inputs = append(b.inputs, boundInput{spec: in, column: at})
	}
	return nil
}

// numbersOnly leaves text features out where a model of numbers takes as many values as there are numeric features: it was
// trained on those alone.
func (b *Scorer) numbersOnly(in Spec) {
	var kept []Feature
	for _, f := range b.features {
		if !f.Text {
			kept = append(kept, f)
		}
	}
	free := len(in.Shape) == 2 && width(in) == -1
	if in.Type.Numeric() && len(kept) > 0 && (free || width(in) == int64(len(kept))) {
		b.features = kept
	}
}

// width is the size of the second axis: 1 for a rank of 1, -1 if free.
func width(in Spec) int64 {
	if len(in.Shape) < 2 {
		return 1
	}
	return in.Shape[1]
}

func (b *Scorer) checkMatrix(in Spec) error {
	texts := 0
	for _, f := range b.features {
		if f.Text {
			texts++
		}
	}
	all := len(b.features)
	switch {
	case in.Type != Bytes && texts > 0:
		return bindError("the model takes one tensor of numbers, but feature %q holds texts", b.firstText()).
			WithHint("export one input a column (skl2onnx: an entry of initial_types for each), or name the column in data.ignore")
	case in.Type == Bytes && texts < all, in.Type == Bool:
		return bindError("input %s cannot take the features, which are numbers", in)
	case in.anyRank:
		return nil
	case len(in.Shape) != 2 && !(len(in.Shape) == 1 && all == 1):
		return bindError("input %s does not have the shape [rows, %d]", in, all)
	case width(in) >= 0 && width(in) != int64(all):
		return bindError("the model takes %d values a row, but the training file has %d features: %s", width(in), all, b.list()).
			WithHint("train on all columns of train.parquet but target and subject, in their order, or write the names of those used into " +
				"the model: metadata property \"features\", a JSON list")
	}
	return nil
}

func checkColumn(in Spec, f Feature) error {
	switch {
	case f.Text != (in.Type == Bytes):
		return bindError("input %s does not fit the values of column %q", in, f.Name).
			WithHint("texts need a string input, numbers a float or integer one")
	case in.anyRank:
		return nil
	case len(in.Shape) == 0 || len(in.Shape) > 2 || (width(in) != 1 && width(in) != -1):
		return bindError("input %s does not have the shape [rows, 1] of one column", in)
	}
	return nil
}

// bindOutputs chooses the output with the answer by name, else takes the only one that can be it.
func (b *Scorer) bindOutputs() error {
	outputs := b.session.signature.Outputs
	var floats, labels []Spec
	for _, out := range outputs {
		if out.Type.Float() || out.Type == Map {
			floats = append(floats, out)
		} else {
			labels = append(labels, out)
		}
	}
	scores, found := prefer(floats, b.preferred())
	switch {
	case found:
	case len(floats) == 0 && len(b.target.Classes) > 0:
		return bindError("the model gives no probabilities, only %s", specs(outputs)).
			WithHint("export with probabilities (skl2onnx: options={'zipmap': False})")
	case len(floats) == 0 && len(labels) == 1 && len(b.target.Classes) == 0 && labels[0].Type.Numeric():
		scores = labels[0]
	case len(floats) == 0:
		return bindError("none of the outputs %s is a number", specs(outputs))
	default:
		return bindError("it is unclear which of the outputs %s is the answer", specs(outputs)).
			WithHint("name it %q", b.preferred()[0])
	}
	b.Scores = scores.Name
	if label, ok := prefer(labels, []string{"label", "output_label", "class"}); ok && label.Name != b.Scores {
		b.Label = label.Name
	}
	return nil
}

func (b *Scorer) preferred() []string {
	if len(b.target.Classes) > 0 {
		return []string{"probabilities", "output_probability", "probability", "scores"}
	}
	return []string{"variable", "prediction", "predictions", "output"}
}

// prefer takes the output with the first known name, else the only one.
func prefer(list []Spec, names []string) (Spec, bool) {
	for _, name := range names {
		if spec, found := find(list, name); found {
			return spec, true
		}
	}
	if len(list) == 1 {
		return list[0], true
	}
	return Spec{}, false
}

// feature finds a feature by input name: exactly, else ignoring what is no letter or digit, since exporters replace it.
func (b *Scorer) feature(name string) int {
	for i, f := range b.features {
		if f.Name == name {
			return i
		}
	}
	found := -1
	for i, f := range b.features {
		if simple(f.Name) == simple(name) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

func simple(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 {
			return r
		}
		return '_'
	}, name)
}

func (b *Scorer) firstText() string {
	for _, f := range b.features {
		if f.Text {
			return f.Name
		}
	}
	return ""
}

// list names the features, the first 30 of them.
func (b *Scorer) list() string {
	var all []string
	for i, f := range b.features {
		if i == 30 {
			all = append(all, "…")
			break
		}
		all = append(all, f.Name)
	}
	return strings.Join(all, ", ")
}

func bindError(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "predict.Bind", format, args...)
}
