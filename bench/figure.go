// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// figure is one line of the table.
type figure struct {
	row, what, unit string
	values          []float64 // one a round
	peer            string    // floor or peer; empty for none
	peers           []float64 // one a round, of the same rounds
	more            bool      // more is better
	aim, note       string
}

// ratio is how many times better than the peer each round was, in the middle; NaN without a peer.
func (f figure) ratio() float64 {
	if len(f.peers) == 0 || len(f.peers) != len(f.values) {
		return math.NaN()
	}
	ratios := make([]float64, len(f.values))
	for i := range ratios {
		if f.more {
			ratios[i] = f.values[i] / f.peers[i]
		} else {
			ratios[i] = f.peers[i] / f.values[i]
		}
	}
	return median(ratios)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// alternate measures a and b in the order a b b a a b b a…, so that what drifts on the machine meets both alike.
func alternate(rounds int, a, b func() error) error {
	for round := range rounds {
		if err := inTurn(round, a, b); err != nil {
			return err
		}
	}
	return nil
}

// inTurn runs both, in the order that the round asks for.
func inTurn(round int, a, b func() error) error {
	if round%2 == 1 {
		a, b = b, a
	}
	if err := a(); err != nil {
		return err
	}
	return b()
}

// number writes three significant digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return ""
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func print(out io.Writer, figures []figure) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ROW\tWHAT\tMEDIAN\tMIN–MAX\tROUNDS\tFLOOR OR PEER\tITS MEDIAN\tTIMES BETTER\tAIM\tNOTE")
	for _, f := range figures {
		spread, rounds := "", ""
		if len(f.values) > 1 {
			spread = number(slices.Min(f.values)) + "–" + number(slices.Max(f.values))
		}
		middle, other := number(median(f.values)), number(median(f.peers))
		if middle != "" {
			middle, rounds = middle+" "+f.unit, fmt.Sprint(len(f.values))
		}
		if other != "" {
			other += " " + f.unit
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			f.row, f.what, middle, spread, rounds, f.peer, other, number(f.ratio()), f.aim, f.note)
	}
	return t.Flush()
}

// line is a figure for programs.
type line struct {
	Row    string    `json:"row"`
	What   string    `json:"what"`
	Unit   string    `json:"unit,omitempty"`
	Median float64   `json:"median,omitempty"`
	Values []float64 `json:"values,omitempty"`
	Peer   string    `json:"peer,omitempty"`
	Peers  []float64 `json:"peerValues,omitempty"`
	Ratio  float64   `json:"timesBetter,omitempty"`
	Aim    string    `json:"aim,omitempty"`
	Note   string    `json:"note,omitempty"`
}

func report(figures []figure) []line {
	lines := make([]line, 0, len(figures))
	known := func(v float64) float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0
		}
		return v
	}
	for _, f := range figures {
		lines = append(lines, line{f.row, f.what, f.unit, known(median(f.values)), f.values, f.peer, f.peers, known(f.ratio()), f.aim, f.note})
	}
	return lines
}
