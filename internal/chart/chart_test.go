// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

var nan, inf = math.NaN(), math.Inf(1)

func pointer(v float64) *float64 { return &v }

// figures are one or more of each kind, the odd ones too.
func figures() map[string]func() SVG {
	l := Labels{Title: `Patients <by> "site" & group`, X: "site", Y: "patients"}
	line := []Series{{"a", []Point{{X: 1, Y: 2}, {X: 2, Y: nan}, {X: inf, Y: 3}, {X: 4, Y: -5}}}, {"b", []Point{{X: 1, Y: 1e9}}}}
	moments := []Series{{"", []Point{{X: Seconds(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)), Y: 1}, {X: Seconds(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)), Y: 2}}}}
	return map[string]func() SVG{
		"bars": func() SVG {
			return Bars(l, []string{"a", "b"}, []Group{{"north", []float64{1, 2}}, {"so<u>th", []float64{-3, nan}}})
		},
		"lying bars": func() SVG {
			return Bars(l, nil, []Group{{strings.Repeat("a long name ", 9), []float64{1}}, {"b", []float64{inf}}})
		},
		"many bars": func() SVG { return Bars(l, []string{"a"}, make([]Group, 100)) },
		"no bars":   func() SVG { return Bars(l, nil, nil) },
		"lines":     func() SVG { return Lines(l, line, false) },
		"times":     func() SVG { return Lines(l, moments, true) },
		"no lines":  func() SVG { return Lines(l, nil, true) },
		"scatter":   func() SVG { return Scatter(l, line, false) },
		"one point": func() SVG { return Scatter(l, []Series{{"", []Point{{X: 5, Y: 5}}}}, true) },
		"agreement": func() SVG { return Agreement(l, line[0].Points) },
		"histogram": func() SVG {
			return Histogram(l, []Sample{{"a", []float64{1, 2, 2.5, nan, inf}}, {"b", []float64{7}}}, 0)
		},
		"one value": func() SVG { return Histogram(l, []Sample{{"", []float64{3, 3}}}, 5) },
		"no values": func() SVG { return Histogram(l, nil, 0) },
		"roc": func() SVG {
			return ROC(l, []Point{{}, {X: 0.2, Y: 0.8}, {X: 1, Y: 1}}, &Point{X: 0.2, Y: 0.8, Label: "0.5"}, "AUC 0.80")
		},
		"no roc":      func() SVG { return ROC(Labels{}, nil, nil, "") },
		"pr":          func() SVG { return PrecisionRecall(l, []Point{{Y: 1}, {X: 1, Y: 0.4}}, nan, nil, "") },
		"calibration": func() SVG { return Calibration(l, []Bin{{0.1, 0.2, 0.1, 0.3, 9}, {nan, 1, 1, 1, 0}}, "slope 1") },
		"forest": func() SVG {
			return Forest(l, []Interval{{"a", 0.5, pointer(0.4), pointer(0.6), false}, {"b", nan, nil, nil, true}}, 0, 1, pointer(0.5))
		},
		"wide forest": func() SVG { return Forest(l, []Interval{{"a", -5, pointer(-9), pointer(120), true}}, 0, 0, nil) },
		"no forest":   func() SVG { return Forest(l, nil, 0, 0, nil) },
		"importances": func() SVG {
			return Importances(l, []Importance{{"putamen_ratio", 0.2, 0.03}, {"b", -0.01, 0}, {"c", nan, 0}})
		},
		"no importance": func() SVG { return Importances(l, nil) },
	}
}

func TestFiguresAreSound(t *testing.T) {
	for name, draw := range figures() {
		t.Run(name, func(t *testing.T) {
			svg := string(draw())
			if svg != string(draw()) {
				t.Error("drawing again gave another figure")
			}
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				_, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("not XML: %v\n%s", err, svg)
				}
			}
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("a coordinate is no number: %s", svg)
			}
			for _, want := range []string{`role="img"`, `viewBox="0 0 `, "<title id=", "<desc id="} {
				if !strings.Contains(svg, want) {
					t.Errorf("it lacks %s", want)
				}
			}
		})
	}
}

func TestMarksTellTheirNumbers(t *testing.T) {
	for name, want := range map[string]string{
		"bars": "<title>so&lt;u&gt;th, a: −3</title>", "lines": "<title>b: 1, 1\u202f000\u202f000\u202f000</title>", "histogram": "a, 2 to 4: 2",
		"forest": "a: 0.50 (0.40 to 0.60)", "importances": "putamen_ratio: 0.2 (standard deviation 0.03)", "roc": "AUC 0.80",
		"calibration": "predicted 0.1, observed 0.2 (0.1 to 0.3), 9 rows", "lying bars": "a long name a long na…<title>",
	} {
		if svg := string(figures()[name]()); !strings.Contains(svg, want) {
			t.Errorf("%s lacks %q in %s", name, want, svg)
		}
	}
}

func TestAxes(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		n         int
		want      string
	}{
		{0, 10, 5, "0 2 4 6 8 10"}, {0, 1, 5, "0.0 0.2 0.4 0.6 0.8 1.0"}, {0.003, 0.011, 4, "0.002 0.004 0.006 0.008 0.010 0.012"},
		{-3, 4, 4, "−4 −2 0 2 4"}, {0, 52000, 4, "0 20\u202f000 40\u202f000 60\u202f000"}, {5, 5, 4, "4.5 5.0 5.5"}, {0, 0, 4, "−0.5 0.0 0.5"},
		{inf, -inf, 4, "0.0 0.5 1.0"}, {0, 3e9, 3, "0 1e+09 2e+09 3e+09"},
	} {
		var labels []string
		for _, tick := range numbers(c.low, c.high, c.n).ticks {
			labels = append(labels, tick.label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%v to %v: %q, want %q", c.low, c.high, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	at := func(s string) float64 {
		moment, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return Seconds(moment)
	}
	for _, c := range []struct{ low, high, want string }{
		{"2026-01-01T08:30:00Z", "2026-01-01T12:30:00Z", "09:00 10:00 11:00 12:00"},
		{"2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", "1 Jan 2 Jan 3 Jan 4 Jan"},
		{"2025-11-15T00:00:00Z", "2026-03-20T00:00:00Z", "Dec 2025 Jan 2026 Feb 2026 Mar 2026"},
		{"2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01"},
		{"2018-06-01T00:00:00Z", "2023-06-01T00:00:00Z", "2019 2020 2021 2022 2023"},
	} {
		var labels []string
		for _, tick := range times(at(c.low), at(c.high)).ticks {
			labels = append(labels, tick.label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.low, c.high, got, c.want)
		}
		if len(labels) < 1 || len(labels) > 6 {
			t.Errorf("%s to %s: %d ticks", c.low, c.high, len(labels))
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {7, "7"}, {-7, "−7"}, {1234, "1234"}, {12345, "12\u202f345"}, {1234567, "1\u202f234\u202f567"}, {0.5, "0.5"}, {66.3, "66.3"},
		{0.99999, "1"}, {1230.4, "1230"}, {0.0012345, "0.001234"}, {0.00001234, "1.23e-05"}, {12345.6, "12\u202f346"}, {nan, "–"}, {1e20, "1e+20"},
	} {
		if got := Number(c.v); got != c.want {
			t.Errorf("%v: %q, want %q", c.v, got, c.want)
		}
	}
	for v, want := range map[float64]string{0.834: "0.83", -0.001: "0.00", 12.34: "12.3", 123.4: "123", 9.999: "10.0", inf: "–"} {
		if got := Fixed(v); got != want {
			t.Errorf("Fixed(%v): %q, want %q", v, got, want)
		}
	}
}
