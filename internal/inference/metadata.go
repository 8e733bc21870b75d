// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"net/http"
	"slices"
	"strconv"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

func (s *server) describe() oip.Metadata {
	m := oip.Metadata{
		Name: s.Name, Versions: []string{}, Platform: "onnxruntime_onnx",
		Inputs: specs(s.Session.Signature().Inputs), Outputs: specs(s.Session.Signature().Outputs),
		Convention: s.Signature.Convention, Classes: columnOrder(s.Session.Signature().Classes, s.Classes), Label: s.Signature.Label, Scores: s.Signature.Scores,
	}
	if s.Version != "" {
		m.Versions = append(m.Versions, s.Version)
	}
	for _, f := range s.Signature.Features {
		m.Features = append(m.Features, oip.Feature{Name: f.Name, Type: f.Type})
	}
	return m
}

// columnOrder is the order of the classes in the model's scores: the model's own where it names the same classes.
func columnOrder(own, classes []string) []string {
	if len(own) != len(classes) {
		return classes
	}
	order := make([]string, 0, len(own))
	for _, label := range own {
		at := slices.IndexFunc(classes, func(class string) bool { return sameClass(class, label) })
		if at < 0 || slices.Contains(order, classes[at]) {
			return classes
		}
		order = append(order, classes[at])
	}
	return order
}

// sameClass compares labels as text or as numbers: "1" and "1.0" are one class, and so are "true" and "1".
func sameClass(a, b string) bool {
	x, okX := classNumber(a)
	y, okY := classNumber(b)
	return a == b || (okX && okY && x == y)
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

func specs(list []predict.Spec) []oip.Spec {
	out := make([]oip.Spec, len(list))
	for i, s := range list {
		out[i] = oip.Spec{Name: s.Name, Type: oip.Type(s.Type), Shape: s.Shape}
		if s.Type == predict.Map { // answered as a matrix
			out[i].Type = oip.FP32
		}
		if out[i].Shape == nil {
			out[i].Shape = []int64{}
		}
	}
	return out
}

func (s *server) server(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, oip.ServerMetadata{Name: "fathom", Version: "2", Extensions: []string{"binary_tensor_data"}})
}

func (s *server) model(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.metadata)
}

func (s *server) live(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if !s.Ready() {
		s.fail(w, r, fault.New(fault.Unavailable, "", "the server is stopping"))
		return
	}
	w.WriteHeader(http.StatusOK)
}
