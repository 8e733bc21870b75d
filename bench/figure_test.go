// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestRatioIsTimesBetter(t *testing.T) {
	for _, c := range []struct {
		name string
		f    figure
		want float64
	}{
		{"times", figure{values: []float64{10, 20, 10}, peers: []float64{100, 100, 50}}, 5},
		{"rates", figure{values: []float64{10, 20}, peers: []float64{5, 5}, more: true}, 3},
		{"no peer", figure{values: []float64{1}}, math.NaN()},
		{"a round is missing", figure{values: []float64{1, 2}, peers: []float64{1}}, math.NaN()},
	} {
		if got := c.f.ratio(); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRoundsAlternate(t *testing.T) {
	order := ""
	note := func(s string) func() error { return func() error { order += s; return nil } }
	if err := alternate(3, note("a"), note("b")); err != nil || order != "abbaab" {
		t.Errorf("got %q, %v", order, err)
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0.123: "0.12", 1.5: "1.50", 12.34: "12.3", 123.4: "123", 48000: "48000", math.NaN(): ""} {
		if got := number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestTableAndReportTakeFiguresWithoutPeers(t *testing.T) {
	figures := []figure{{row: "up", what: "ready", unit: "s", values: []float64{2, 1, 3}}, {what: "SKIPPED: no uv"}}
	var out bytes.Buffer
	if err := print(&out, figures); err != nil || !strings.Contains(out.String(), "2.00 s") || !strings.Contains(out.String(), "1.00–3.00") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	if lines := report(figures); lines[0].Median != 2 || lines[1].Ratio != 0 {
		t.Errorf("%+v", lines)
	}
}

func TestAnswersAreReadToTheirEnd(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		bad          bool
	}{
		{"good", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", false},
		{"refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", true},
		{"without a length", "HTTP/1.1 200 OK\r\n\r\n", true},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", true},
	} {
		r := bufio.NewReader(strings.NewReader(c.answer + "HTTP/1.1 200"))
		if c.name == "cut off" {
			r = bufio.NewReader(strings.NewReader(c.answer))
		}
		if err := skipAnswer(r); (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.bad {
			if rest, _ := r.Peek(8); string(rest) != "HTTP/1.1" {
				t.Errorf("%s: then %q", c.name, rest)
			}
		}
	}
}
