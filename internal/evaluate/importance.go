// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"

	"gonum.org/v1/gonum/stat"
)

// Score gives a model's answers to the rows of a table held out in a fold: probabilities [rows × classes], or one number a
// row of a regression.
type Score func(ctx context.Context, fold int, columns []Column) ([]float64, error)

// importanceRows bounds the rows that are scored again and again.
const importanceRows = 10_000

// Permuted are the rows whose features are shuffled.
type Permuted struct {
	Predictions Predictions
	Fold        []int
	Folds       int
	Features    []Column
	Repeats     int
	Seed        uint64

	rows [][]int // of each fold
}

// Permute shuffles one feature at a time over all rows, lets each row's own fold's model (which never saw it) score it again,
// and reports how much the pooled metric falls: roc_auc, log_loss for several classes, r2. Beyond 10,000 rows it takes a
// random 10,000. It ends with ctx.
func Permute(ctx context.Context, in Permuted, score Score) (*Importances, error) {
	in = in.sample()
	in.rows = make([][]int, in.Folds)
	for row, f := range in.Fold {
		in.rows[f] = append(in.rows[f], row)
	}
	metric := map[Task]string{Binary: ROCAUC, Multiclass: LogLoss, Regression: R2}[in.Predictions.Task]
	base, baseFolds, err := in.value(metric, in.Predictions)
	if err != nil {
		return nil, err
	}
	if math.IsNaN(base) {
		return nil, nil
	}
	sign := 1.0
	if !GreaterIsBetter(metric) {
		sign = -1
	}
	out := &Importances{Metric: metric, Repeats: in.Repeats, Features: []Importance{}}
	random := rand.New(rand.NewPCG(in.Seed, 0x7065726d))
	for j := range in.Features {
		one := Importance{Feature: in.Features[j].Name}
		drops, byFold := []float64{}, make([][]float64, in.Folds)
		for range in.Repeats {
			shuffled, err := in.rescore(ctx, score, j, random.Perm(in.Predictions.Len()))
			if err != nil {
				return nil, err
			}
			v, folds, err := in.value(metric, shuffled)
			if err != nil {
				return nil, err
			}
			drops = append(drops, sign*(base-v))
			for f := range folds {
				if d := sign * (baseFolds[f] - folds[f]); !math.IsNaN(d) {
					byFold[f] = append(byFold[f], d)
				}
			}
		}
		one.Drop, one.SD = stat.Mean(drops, nil), deviation(drops)
		one.Folds = foldMeans(byFold)
		out.Features = append(out.Features, one)
	}
	sort.SliceStable(out.Features, func(a, b int) bool { return out.Features[a].Drop > out.Features[b].Drop })
	return out, nil
}

// foldMeans is nil when a fold alone has no metric, as in leave-one-out.
func foldMeans(byFold [][]float64) []float64 {
	means := make([]float64, len(byFold))
	for f, drops := range byFold {
		if len(drops) == 0 {
			return nil
		}
		means[f] = stat.Mean(drops, nil)
	}
	return means
}

func (in Permuted) sample() Permuted {
	n := in.Predictions.Len()
	if n <= importanceRows {
		return in
	}
	rows := rand.New(rand.NewPCG(in.Seed, 0x726f7773)).Perm(n)[:importanceRows]
	sort.Ints(rows)
	in.Predictions, in.Fold = in.Predictions.Pick(rows), pick(in.Fold, rows)
	features := make([]Column, len(in.Features))
	for j, c := range in.Features {
		features[j] = c.Pick(rows)
	}
	in.Features = features
	return in
}

// value is the pooled metric and that of each fold, NaN where not defined.
func (in Permuted) value(metric string, p Predictions) (float64, []float64, error) {
	if err := p.check(); err != nil {
		return 0, nil, err
	}
	folds := make([]float64, in.Folds)
	for f := range folds {
		folds[f] = math.NaN()
		if rows := in.rows[f]; len(rows) > 0 {
			part := p.Pick(rows)
			folds[f] = newMeter(part, 0.5).measure(part.weights())[metric]
		}
	}
	return newMeter(p, 0.5).measure(p.weights())[metric], folds, nil
}

// rescore scores all rows with feature j shuffled.
func (in Permuted) rescore(ctx context.Context, score Score, j int, permutation []int) (Predictions, error) {
	p := in.Predictions
	k := max(len(p.Classes), 1)
	answers := make([]float64, p.Len()*k)
	for f, rows := range in.rows {
		if len(rows) == 0 {
			continue
		}
		columns := make([]Column, len(in.Features))
		for i, c := range in.Features {
			from := rows
			if i == j {
				from = pick(permutation, rows)
			}
			columns[i] = c.Pick(from)
		}
		part, err := score(ctx, f, columns)
		if err != nil {
			return Predictions{}, err
		}
		for at, row := range rows {
			copy(answers[row*k:(row+1)*k], part[at*k:(at+1)*k])
		}
	}
	if p.Task == Regression {
		p.Value = answers
	} else {
		p.Probabilities = answers
	}
	return p, nil
}
