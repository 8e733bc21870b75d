// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"math"
)

// Sample is a named set of values.
type Sample struct {
	Name   string
	Values []float64
}

// Histogram counts the values of each sample in equal intervals, drawn over one another. bins 0 chooses about as many as
// the square root of the largest sample, at most 30; the intervals begin and end at round numbers.
func Histogram(l Labels, samples []Sample, bins int) SVG {
	var all []float64
	var names []string
	most := 0
	for _, s := range samples {
		all = append(all, s.Values...)
		names = append(names, s.Name)
		most = max(most, len(s.Values))
	}
	low, high, ok := span(all)
	if !ok {
		low, high = 0, 1
	}
	if l.Description == "" {
		l.Description = fmt.Sprintf("%d values between %s and %s.", len(all), Number(low), Number(high))
	}
	if bins <= 0 {
		bins = min(30, max(5, int(math.Sqrt(float64(most)))))
	}
	edges := numbers(low, high, bins)
	size := (edges.high - edges.low) / float64(len(edges.ticks)-1)
	counts, top := count(samples, edges.low, size, len(edges.ticks)-1)
	x := numbers(edges.low, edges.high, 6)
	x.low, x.high = edges.low, edges.high
	x.ticks = within(x)
	if l.Y == "" {
		l.Y = "count"
	}
	p := newPlot(l, x, numbers(0, top, 4), names, width, tall)
	class := " b"
	if len(samples) > 1 {
		class = " o"
	}
	for s := range samples {
		for i, n := range counts[s] {
			if n == 0 {
				continue
			}
			from, to := edges.low+float64(i)*size, edges.low+float64(i+1)*size
			title := fmt.Sprintf("%s to %s: %d", Number(round(from, size)), Number(round(to, size)), n)
			if len(samples) > 1 {
				title = names[s] + ", " + title
			}
			y := p.y.at(float64(n))
			p.rect(series(s)+class, p.x.at(from)+0.5, y, p.x.at(to)-p.x.at(from)-1, p.bottom-y, title)
		}
	}
	return p.done(l, 620)
}

func count(samples []Sample, low, size float64, bins int) (counts [][]int, top float64) {
	top = 1
	for _, s := range samples {
		n := make([]int, bins)
		for _, v := range s.Values {
			if !finite(v) {
				continue
			}
			i := min(bins-1, max(0, int(math.Floor((v-low)/size+1e-9))))
			n[i]++
			top = math.Max(top, float64(n[i]))
		}
		counts = append(counts, n)
	}
	return counts, top
}

// round takes the noise of floating point out of an interval's end.
func round(v, size float64) float64 {
	power := math.Pow(10, 3-math.Floor(math.Log10(size)))
	return math.Round(v*power) / power
}
