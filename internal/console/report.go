// SPDX-License-Identifier: Apache-2.0

package console

import (
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// ReportVersion is one rendering of a report.
type ReportVersion struct {
	Number int64          `json:"number"`
	At     time.Time      `json:"at"`
	Run    string         `json:"run"`
	Output ref.Digest     `json:"output"`
	Inputs []VersionShown `json:"inputs"`
}

const maxReportVersions = 1000

// reportVersions answers with a report's renderings, the newest first.
func (s *server) reportVersions(w http.ResponseWriter, r *http.Request) {
	var report v1alpha1.Report
	err := s.get(r, &report)
	var versions []ReportVersion
	if err == nil {
		versions, err = s.renderings(r, &report)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]any{"versions": versions})
}

// renderings are read from the history: the run whose output is on show made the current version, those before it the earlier
// ones.
func (s *server) renderings(r *http.Request, report *v1alpha1.Report) ([]ReportVersion, error) {
	filter := lake.RunFilter{Workspace: report.Namespace, ForKind: "Report", ForName: report.Name, Phase: v1alpha1.RunSucceeded}
	runs, _, err := s.Lake.Runs(r.Context(), filter, lake.Page{Limit: maxReportVersions})
	if err != nil {
		return nil, err
	}
	out := []ReportVersion{}
	number := report.Status.Version
	for _, run := range runs {
		if len(out) == 0 && string(run.Output) != report.Status.Output {
			continue // rendered, but not on show yet
		}
		v := ReportVersion{Number: number, At: run.Finished.UTC(), Run: run.Name, Output: run.Output, Inputs: []VersionShown{}}
		for _, in := range run.Inputs {
			if n, err := strconv.ParseInt(in.Version, 10, 64); err == nil && in.Kind == lake.KindDataset {
				v.Inputs = append(v.Inputs, VersionShown{"Dataset", in.Name, n})
			}
		}
		out = append(out, v)
		if number--; number == 0 {
			break
		}
	}
	return out, nil
}

// reportFile serves a file of the report's rendered page, of the version that ?version= names, by default the one on show.
func (s *server) reportFile(w http.ResponseWriter, r *http.Request) {
	var report v1alpha1.Report
	if err := s.get(r, &report); err != nil {
		s.fail(w, r, err)
		return
	}
	output, number, err := s.rendered(r, &report)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	manifest, err := s.Lake.GetManifest(r.Context(), output)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	file, ok := manifest.Find(r.PathValue("file"))
	if !ok {
		s.fail(w, r, fault.New(fault.NotFound, "report "+report.Name, "it has no file %q", r.PathValue("file")))
		return
	}
	framed(w)
	download(w, r, report.Name+"-"+strconv.FormatInt(number, 10)+".html")
	contentType := mime.TypeByExtension(path.Ext(file.Path))
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	s.blob(w, r, file.Digest, contentType)
}

// rendered is the output of the version that the request names, and its number.
func (s *server) rendered(r *http.Request, report *v1alpha1.Report) (ref.Digest, int64, error) {
	n, err := number(r)
	if err != nil {
		return "", 0, err
	}
	if report.Status.Output == "" {
		_, message := v1alpha1.Ready(report.Status.Conditions)
		return "", 0, fault.New(fault.NotFound, "report "+report.Name, "it is not rendered yet: %s", message)
	}
	if n == 0 || n == report.Status.Version {
		return ref.Digest(report.Status.Output), report.Status.Version, nil
	}
	versions, err := s.renderings(r, report)
	if err != nil {
		return "", 0, err
	}
	for _, v := range versions {
		if v.Number == n {
			return v.Output, n, nil
		}
	}
	return "", 0, fault.New(fault.NotFound, "report "+report.Name, "version %d is not in the history", n)
}
