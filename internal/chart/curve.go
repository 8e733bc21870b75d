// SPDX-License-Identifier: Apache-2.0

package chart

// ROC draws true positive rate against false positive rate with the line of chance; at marks the threshold in use, nil
// for none. Note is written into the empty corner, for example the area with its interval.
func ROC(l Labels, curve []Point, at *Point, note string) SVG {
	defaults(&l, "1 − specificity (false positive rate)", "sensitivity (true positive rate)",
		"The curve of true against false positive rate over all thresholds. "+note)
	p := newPlot(l, share(), share(), nil, narrow, square)
	p.line("r", p.left, p.bottom, p.right, p.top)
	p.curve(curve, true)
	p.corner(at, note)
	return p.done(l, 440)
}

// PrecisionRecall draws precision against recall; prevalence is the precision of guessing, drawn as the line of chance.
func PrecisionRecall(l Labels, curve []Point, prevalence float64, at *Point, note string) SVG {
	defaults(&l, "recall (sensitivity)", "precision (positive predictive value)",
		"The curve of precision against recall over all thresholds. "+note)
	p := newPlot(l, share(), share(), nil, narrow, square)
	if finite(prevalence) {
		y := p.y.at(prevalence)
		p.line("r", p.left, y, p.right, y)
	}
	p.curve(curve, false)
	if at != nil {
		p.mark(0, series(1)+" b", p.x.at(at.X), p.y.at(at.Y), 5, at.Label)
	}
	p.text("", p.left+12, p.bottom-12, note)
	return p.done(l, 440)
}

// Bin compares a mean predicted probability with the observed share and its interval.
type Bin struct {
	Predicted, Observed, Low, High float64
	Rows                           int
}

// Calibration draws observed against predicted probability with intervals and the line on which both agree.
func Calibration(l Labels, bins []Bin, note string) SVG {
	defaults(&l, "predicted probability", "observed share", "Observed share against predicted probability in groups of equal size. "+note)
	p := newPlot(l, share(), share(), nil, narrow, square)
	p.line("r", p.left, p.bottom, p.right, p.top)
	var path []point
	for _, b := range bins {
		if !finite(b.Predicted) || !finite(b.Observed) {
			continue
		}
		x := p.x.at(b.Predicted)
		path = append(path, point{x, p.y.at(b.Observed)})
		p.whisker("s1 i", x, p.y.at(b.Low), p.y.at(b.High))
	}
	p.path("s1 l", ` stroke-opacity=".45"`, path)
	for _, b := range bins {
		if finite(b.Predicted) && finite(b.Observed) {
			p.mark(0, "s1 b", p.x.at(b.Predicted), p.y.at(b.Observed), 4.5, "predicted "+Number(b.Predicted)+", observed "+Number(b.Observed)+
				" ("+Number(b.Low)+" to "+Number(b.High)+"), "+Number(float64(b.Rows))+" rows")
		}
	}
	p.text("e", p.right-8, p.bottom-12, note)
	return p.done(l, 440)
}

func (p *plot) curve(points []Point, filled bool) {
	var path []point
	for _, q := range points {
		if finite(q.X) && finite(q.Y) {
			path = append(path, point{p.x.at(q.X), p.y.at(q.Y)})
		}
	}
	if filled && len(path) > 0 {
		area := append([]point{{path[0].x, p.bottom}}, path...)
		p.path("s1 u", "", append(area, point{path[len(path)-1].x, p.bottom}))
	}
	p.path("s1 l", "", path)
}

func (p *plot) corner(at *Point, note string) {
	if at != nil {
		p.mark(0, series(1)+" b", p.x.at(at.X), p.y.at(at.Y), 5, at.Label)
	}
	p.text("e", p.right-8, p.bottom-12, note)
}

func (p *plot) whisker(class string, x, y1, y2 float64) {
	if finite(y1) && finite(y2) {
		p.line(class, x, y1, x, y2)
		p.line(class, x-4, y1, x+4, y1)
		p.line(class, x-4, y2, x+4, y2)
	}
}

func defaults(l *Labels, x, y, description string) {
	for _, d := range []struct {
		field *string
		text  string
	}{{&l.X, x}, {&l.Y, y}, {&l.Description, description}} {
		if *d.field == "" {
			*d.field = d.text
		}
	}
}
