// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"net/http"

	"fathom.dev/fathom/api/v1alpha1"
)

// Rule is one rule of promotion, as far as it is known how a version stands to it.
type Rule struct {
	Text string `json:"text"`
	// Holds is nil while the version was not judged.
	Holds *bool `json:"holds,omitempty"`
	// Numbers are the values that the rule looks at: "roc_auc.low = 0.71, production.roc_auc = 0.8".
	Numbers string `json:"numbers,omitempty"`
}

// LeftOut counts rows that a dataset on the way to the model left out for one reason.
type LeftOut struct {
	Dataset  string `json:"dataset"`
	Reason   string `json:"reason"`
	Rows     int64  `json:"rows"`
	Subjects int64  `json:"subjects,omitempty"`
}

// About is what is known of a model's version beside its evaluation.
type About struct {
	Version int64     `json:"version"`
	Rules   []Rule    `json:"rules"`
	LeftOut []LeftOut `json:"leftOut"`
	// Caveats belong beside the numbers.
	Caveats []string `json:"caveats"`
}

// Training is what a version's training logged.
type Training struct {
	Runs []TrackedRun `json:"runs"`
}

// TrackedRun is one tracking run: the final training, or the training of a fold.
type TrackedRun struct {
	ID string `json:"id"`
	// Name is the Fathom run that trained; Final tells whether the version's model came out of it.
	Name    string            `json:"name"`
	Final   bool              `json:"final,omitempty"`
	Status  string            `json:"status"`
	Started int64             `json:"started,omitempty"` // milliseconds since 1970
	Ended   int64             `json:"ended,omitempty"`
	Params  map[string]string `json:"params"`
	// Metrics have their points by rising step, thinned.
	Metrics map[string][]MetricPoint `json:"metrics"`
}

// MetricPoint is a value that was logged.
type MetricPoint struct {
	Step  int64   `json:"step"`
	Time  int64   `json:"time"` // milliseconds since 1970
	Value float64 `json:"value"`
}

func (s *server) aboutModel(w http.ResponseWriter, r *http.Request) {
	answerAbout(s, w, r, func(v *v1alpha1.ModelVersion) (any, error) { return s.About(r.Context(), v) })
}

func (s *server) training(w http.ResponseWriter, r *http.Request) {
	answerAbout(s, w, r, func(v *v1alpha1.ModelVersion) (any, error) { return s.Training(r.Context(), v) })
}

// answerAbout answers what is known of the version that the request names.
func answerAbout(s *server, w http.ResponseWriter, r *http.Request, of func(*v1alpha1.ModelVersion) (any, error)) {
	v, err := s.version(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := of(v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, answer)
}

// modelPage answers a version's page as one HTML file, without scripts: to keep, to print, to send.
func (s *server) modelPage(w http.ResponseWriter, r *http.Request) {
	v, err := s.version(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page, err := s.Page(r.Context(), nameOf(r), v.Spec.Number)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	secure(w)
	download(w, r, fmt.Sprintf("%s-%d.html", r.PathValue("name"), v.Spec.Number))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // the client is gone if this fails
}

// download lets a browser store the answer in place of showing it, where ?download=true asks for that.
func download(w http.ResponseWriter, r *http.Request, name string) {
	if r.URL.Query().Get("download") == "true" {
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name)) // labels and digits only
	}
}
