// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/oip"
)

// layout says which column each value of a version's requests and answers becomes.
type layout struct {
	oip.Metadata
	names  []string // of the features' columns
	inputs []string // of the ONNX file's own inputs, by feature; empty for a matrix
	scored []string // of the probabilities' columns, by class
}

func newLayout(m oip.Metadata) *layout {
	l := &layout{Metadata: m}
	for _, class := range m.Classes {
		l.scored = append(l.scored, "p_"+class)
	}
	var answers columns
	l.answers(&answers, nil, 0)
	taken := slices.Clone(capture.Reserved)
	for _, c := range answers.list {
		taken = append(taken, c.Name)
	}
	for _, f := range m.Features {
		name := f.Name
		for slices.Contains(taken, name) {
			name = "feature_" + name
		}
		taken, l.names = append(taken, name), append(l.names, name)
		at := slices.IndexFunc(m.Inputs, func(in oip.Spec) bool { return plain(in.Name) == plain(f.Name) })
		if at >= 0 {
			l.inputs = append(l.inputs, m.Inputs[at].Name)
		} else {
			l.inputs = append(l.inputs, f.Name)
		}
	}
	return l
}

// plain is a name as exporters write it.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 {
			return r
		}
		return '_'
	}, name)
}

// columns are filled for one record and then used again.
type columns struct {
	list    []capture.Column
	numbers []float64 // of all columns
}

var spareColumns = sync.Pool{New: func() any { return new(columns) }}

// done gives the columns back.
func (c *columns) done() {
	if cap(c.numbers) <= 1<<12 {
		clear(c.list)
		c.list, c.numbers = c.list[:0], c.numbers[:0]
		spareColumns.Put(c)
	}
}

// features reads the request's rows; a feature that was not sent is null.
func (l *layout) features(into *columns, sent []oip.Tensor) (rows int) {
	if len(sent) > 0 && len(sent[0].Shape) > 0 {
		rows = int(sent[0].Shape[0])
	}
	matrix := len(sent) == 1 && len(l.Inputs) == 1 && sent[0].Name == l.Inputs[0].Name && len(sent[0].Shape) == 2
	for i, f := range l.Features {
		c := capture.Column{Name: l.names[i], Boolean: f.Type == "boolean"}
		if matrix {
			into.fill(&c, sent[0], rows, i, int(sent[0].Shape[1]))
		} else if at := slices.IndexFunc(sent, func(t oip.Tensor) bool { return t.Name == f.Name || t.Name == l.inputs[i] }); at >= 0 {
			into.fill(&c, sent[at], rows, 0, 1)
		}
		into.list = append(into.list, c)
	}
	return rows
}

// answers reads the outputs: "predicted" is the class as text, p_<class> its probability; a regression gives "prediction". An
// output that the client did not ask for is null.
func (l *layout) answers(into *columns, outputs []oip.Tensor, rows int) {
	scores := find(outputs, l.Scores)
	if len(l.Classes) == 0 {
		c := capture.Column{Name: "prediction"}
		into.fill(&c, scores, rows, 0, 1)
		into.list = append(into.list, c)
		return
	}
	if l.Label != "" {
		into.list = append(into.list, labels(find(outputs, l.Label), rows))
	}
	stride := len(l.Classes)
	single := len(scores.Shape) == 1 || (len(scores.Shape) == 2 && scores.Shape[1] == 1)
	for i := range l.Classes {
		c := capture.Column{Name: l.scored[i]}
		if single && stride == 2 { // the probability of the second class alone
			into.fill(&c, scores, rows, 0, 1)
			for row := range c.Numbers {
				if i == 0 {
					c.Numbers[row] = 1 - c.Numbers[row]
				}
			}
		} else {
			into.fill(&c, scores, rows, i, stride)
		}
		into.list = append(into.list, c)
	}
}

func find(list []oip.Tensor, name string) oip.Tensor {
	for _, t := range list {
		if t.Name == name {
			return t
		}
	}
	return oip.Tensor{}
}

// labels writes classes as text, whatever their type.
func labels(t oip.Tensor, rows int) capture.Column {
	c := capture.Column{Name: "predicted", Texts: []string{}}
	if t.Data == nil {
		return c
	}
	for row := range rows {
		switch d := t.Data.(type) {
		case []string:
			if row < len(d) {
				c.Texts = append(c.Texts, d[row])
			}
		case []bool:
			if row < len(d) {
				c.Texts = append(c.Texts, strconv.FormatBool(d[row]))
			}
		default:
			if v, ok := t.Float(row); ok {
				c.Texts = append(c.Texts, strconv.FormatFloat(v, 'g', -1, 64))
			}
		}
	}
	return c
}

// fill reads every stride-th value from offset on.
func (k *columns) fill(c *capture.Column, t oip.Tensor, rows, offset, stride int) {
	if t.Data == nil {
		return
	}
	if texts, isText := t.Data.([]string); isText {
		c.Texts = make([]string, 0, rows)
		for at := offset; at < len(texts) && len(c.Texts) < rows; at += stride {
			c.Texts = append(c.Texts, texts[at])
		}
		return
	}
	begin := len(k.numbers)
	for at := offset; len(k.numbers)-begin < rows; at += stride {
		v, ok := t.Float(at)
		if !ok {
			break
		}
		k.numbers = append(k.numbers, v)
	}
	c.Numbers = k.numbers[begin:] // what is appended later may move, these values stay
}
