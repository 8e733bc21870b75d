// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"context"
	"math"
	"slices"
	"strconv"

	"fathom.dev/fathom/internal/fault"
)

// Scores are a model's answers to a table's rows.
type Scores struct {
	// Probabilities are [rows × classes] in the order of Target.Classes; nil for a regression.
	Probabilities []float64
	// Values are the regression's predictions; nil for classes.
	Values []float64
	// Labels are the classes the model itself chose, as text; nil if it gives none.
	Labels []string
}

// chunk is how many rows are scored at once.
const chunk = 4096

// Score computes the answers for columns, which must hold every feature, in any order, with the same number of rows. Errors:
// Invalid for missing columns, and for answers that are none: NaN, not one a row, no probabilities, unknown classes.
func (b *Scorer) Score(ctx context.Context, columns []Column) (Scores, error) {
	ordered, rows, err := b.order(columns)
	if err != nil {
		return Scores{}, err
	}
	step, fixed := chunk, b.fixedBatch()
	if fixed > 0 {
		step = fixed
	}
	var all Scores
	for from := 0; from < rows; from += step {
		to := min(from+step, rows)
		part, err := b.scoreRows(ctx, ordered, from, to, fixed)
		if err != nil {
			return Scores{}, err
		}
		all.Probabilities = append(all.Probabilities, part.Probabilities...)
		all.Values = append(all.Values, part.Values...)
		all.Labels = append(all.Labels, part.Labels...)
	}
	return all, nil
}

// order sorts the columns by feature.
func (b *Scorer) order(columns []Column) ([]Column, int, error) {
	byName := make(map[string]Column, len(columns))
	for _, c := range columns {
		byName[c.Name] = c
	}
	ordered, rows := make([]Column, len(b.features)), -1
	for i, f := range b.features {
		c, found := byName[f.Name]
		switch {
		case !found:
			return nil, 0, scoreError("column %q is missing", f.Name)
		case f.Text != (c.Texts != nil):
			return nil, 0, scoreError("column %q holds values of the wrong type", f.Name)
		case rows >= 0 && c.rows() != rows:
			return nil, 0, scoreError("column %q has %d rows, others %d", f.Name, c.rows(), rows)
		}
		ordered[i], rows = c, c.rows()
	}
	return ordered, max(rows, 0), nil
}

// fixedBatch is the number of rows a model insists on, 0 if any.
func (b *Scorer) fixedBatch() int {
	spec := b.inputs[0].spec
	if len(spec.Shape) == 0 || spec.Shape[0] < 1 || (len(spec.Shape) == 1 && b.Convention == Matrix && len(b.features) > 1) {
		return 0
	}
	return int(spec.Shape[0])
}

// scoreRows runs rows [from, to). A model with a fixed batch gets the last row repeated to fill it.
func (b *Scorer) scoreRows(ctx context.Context, columns []Column, from, to, fixed int) (Scores, error) {
	index := make([]int, 0, max(to-from, fixed))
	for i := from; i < to; i++ {
		index = append(index, i)
	}
	for len(index) < fixed {
		index = append(index, to-1)
	}
	inputs := make([]Tensor, len(b.inputs))
	for i, in := range b.inputs {
		var err error
		if inputs[i], err = in.tensor(columns, index); err != nil {
			return Scores{}, err
		}
	}
	outputs, err := b.session.Run(ctx, inputs)
	if err != nil {
		return Scores{}, err
	}
	return b.read(outputs, to-from, len(index))
}

// tensor builds one input from the rows that index lists.
func (in boundInput) tensor(columns []Column, index []int) (Tensor, error) {
	use := columns
	if in.column >= 0 {
		use = columns[in.column : in.column+1]
	}
	t := Tensor{Name: in.spec.Name, Type: in.spec.Type, Shape: []int64{int64(len(index)), int64(len(use))}}
	if len(in.spec.Shape) == 1 && !in.spec.anyRank {
		t.Shape = t.Shape[:1]
	}
	t.Data = zeroes(t.Type, int64(len(index)*len(use)))
	for j, c := range use {
		for i, row := range index {
			if err := put(t.Data, t.Type, i*len(use)+j, c, row); err != nil {
				return Tensor{}, err
			}
		}
	}
	return t, nil
}

// put writes one cell in the tensor's type.
func put(data any, t Type, at int, c Column, row int) error {
	if texts, isText := data.([]string); isText {
		texts[at] = c.Texts[row]
		return nil
	}
	v := c.Numbers[row]
	switch d := data.(type) {
	case []float32:
		d[at] = float32(v)
		return nil
	case []float64:
		d[at] = v
		return nil
	case []bool:
		d[at] = v != 0
		return nil
	}
	if t == FP16 || t == BF16 {
		return scoreError("an input of type %s cannot take column %q; use float32", t, c.Name)
	}
	if v != math.Trunc(v) || math.IsInf(v, 0) {
		return scoreError("column %q has the value %v in row %d, but the model takes %s", c.Name, v, row, t).
			WithHint("give the input a float type")
	}
	if putWhole(data, at, v) != v {
		return scoreError("column %q has the value %v in row %d, which does not fit %s", c.Name, v, row, t)
	}
	return nil
}

// putWhole writes a whole number and returns what is there now.
func putWhole(data any, at int, v float64) float64 {
	switch d := data.(type) {
	case []int64:
		d[at] = int64(v)
		return float64(d[at])
	case []int32:
		d[at] = int32(v)
		return float64(d[at])
	case []int16:
		d[at] = int16(v)
		return float64(d[at])
	case []int8:
		d[at] = int8(v)
		return float64(d[at])
	case []uint64:
		d[at] = uint64(v)
		return float64(d[at])
	case []uint32:
		d[at] = uint32(v)
		return float64(d[at])
	case []uint16:
		d[at] = uint16(v)
		return float64(d[at])
	case []uint8:
		d[at] = uint8(v)
		return float64(d[at])
	}
	return math.NaN()
}

// read takes the answers of the first rows of batch rows out of the outputs.
func (b *Scorer) read(outputs []Tensor, rows, batch int) (Scores, error) {
	var scores Scores
	for _, out := range outputs {
		var err error
		switch out.Name {
		case b.Scores:
			err = b.readScores(out, rows, batch, &scores)
		case b.Label:
			scores.Labels, err = labels(out, rows)
		}
		if err != nil {
			return Scores{}, err
		}
	}
	return scores, nil
}

func (b *Scorer) readScores(out Tensor, rows, batch int, scores *Scores) error {
	values, err := out.Floats()
	if err != nil {
		return err
	}
	per := 0
	if batch > 0 {
		per = len(values) / batch
	}
	if per*batch != len(values) || per == 0 || (len(out.Shape) > 0 && out.Shape[0] != int64(batch)) {
		return scoreError("output %q has shape %v for %d rows", out.Name, out.Shape, batch).
			WithHint("the first axis of inputs and outputs must be the rows, of free size")
	}
	for i, v := range values[:rows*per] {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return scoreError("output %q is %v in row %d of those scored", out.Name, v, i/per).
				WithHint("fill missing values inside the model, for example with SimpleImputer in its pipeline")
		}
	}
	if len(b.target.Classes) == 0 {
		if per != 1 {
			return scoreError("output %q gives %d values a row, a regression must give one", out.Name, per)
		}
		scores.Values = append([]float64(nil), values[:rows]...)
		return nil
	}
	scores.Probabilities, err = b.probabilities(out.Name, values[:rows*per], per)
	return err
}

// probabilities brings columns into the target's order: by the labels the model carries, else taken as sorted alike.
func (b *Scorer) probabilities(name string, values []float64, per int) ([]float64, error) {
	classes := b.target.Classes
	if per == 1 && len(classes) == 2 {
		values, per = both(values), 2
	}
	order, err := b.columnsOf(name, per)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(values)/per*len(classes))
	for i := 0; i < len(values)/per; i++ {
		sum := 0.0
		for j, v := range values[i*per : (i+1)*per] {
			if v < -1e-6 || v > 1+1e-6 {
				return nil, scoreError("output %q has the value %v, which is no probability", name, v).
					WithHint("end the model with a sigmoid or softmax, or export its probabilities")
			}
			sum += v
			out[i*len(classes)+order[j]] = min(max(v, 0), 1)
		}
		if math.Abs(sum-1) > 1e-3 {
			return nil, scoreError("the values of output %q add up to %v in one row, not to 1", name, sum).
				WithHint("end the model with a softmax, or export its probabilities")
		}
	}
	return out, nil
}

// columnsOf says which of the target's classes each column of the output is.
func (b *Scorer) columnsOf(name string, per int) ([]int, error) {
	own, classes := b.session.signature.Classes, b.target.Classes
	order := make([]int, per)
	if len(own) == per {
		matched := 0
		for j, class := range own {
			if at := slices.IndexFunc(classes, func(c string) bool { return sameClass(c, class) }); at >= 0 {
				order[j] = at
				matched++
			}
		}
		if matched == per {
			return order, nil
		}
		if !numbered(own) {
			return nil, scoreError("the model knows the classes %v, the target has %v", own, classes)
		}
	}
	if per != len(classes) {
		return nil, scoreError("output %q has %d columns, but the target has the %d classes %v", name, per, len(classes), classes)
	}
	for j := range order {
		order[j] = j
	}
	return order, nil
}

// numbered reports whether labels are 0, 1, 2…: encoded by the exporter, so they say nothing but the order.
func numbered(labels []string) bool {
	for i, label := range labels {
		if label != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// sameClass compares labels as text or as numbers: "1", "1.0" and, of booleans, "true" are one class.
func sameClass(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := classNumber(a)
	y, okY := classNumber(b)
	return okX && okY && x == y
}

func classNumber(s string) (float64, bool) {
	switch s {
	case "true", "True":
		return 1, true
	case "false", "False":
		return 0, true
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

func both(positive []float64) []float64 {
	out := make([]float64, 0, 2*len(positive))
	for _, p := range positive {
		out = append(out, 1-p, p)
	}
	return out
}

// labels reads predicted classes as text. Models that answer one label for many rows answer nothing.
func labels(out Tensor, rows int) ([]string, error) {
	if out.Len() < rows {
		return nil, nil
	}
	if texts, isText := out.Data.([]string); isText {
		return append([]string(nil), texts[:rows]...), nil
	}
	if flags, isBool := out.Data.([]bool); isBool {
		texts := make([]string, rows)
		for i := range texts {
			texts[i] = strconv.FormatBool(flags[i])
		}
		return texts, nil
	}
	values, err := out.Floats()
	if err != nil {
		return nil, err
	}
	texts := make([]string, rows)
	for i := range texts {
		texts[i] = strconv.FormatFloat(values[i], 'g', -1, 64)
	}
	return texts, nil
}

func scoreError(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "predict.Score", format, args...)
}
