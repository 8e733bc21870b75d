// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// outOfFoldTypes are the files of an evaluation that hold each row's prediction by the model that had not seen it.
var outOfFoldTypes = map[string]struct{ file, contentType string }{
	"":        {"out_of_fold.csv", "text/csv; charset=utf-8"},
	"csv":     {"out_of_fold.csv", "text/csv; charset=utf-8"},
	"parquet": {"out_of_fold.parquet", "application/vnd.apache.parquet"},
}

// outOfFold answers the held-out predictions behind a version's metrics: row (position in the dataset's version), fold,
// subject, target and the answer. They are rows of the dataset, so whoever asks must be allowed to read it.
func (s *server) outOfFold(w http.ResponseWriter, r *http.Request) {
	wanted, known := outOfFoldTypes[r.URL.Query().Get("format")]
	if !known {
		s.fail(w, r, fault.New(fault.Invalid, "format", "%q is none", r.URL.Query().Get("format")).WithHint("use csv or parquet"))
		return
	}
	v, err := s.version(r)
	if err == nil {
		err = s.mayReadDataOf(r, v)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	output, err := s.evaluationOutput(r.Context(), v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	file, ok := output.Find(wanted.file)
	if !ok {
		s.fail(w, r, fault.New(fault.NotFound, "model version "+v.Name, "its evaluation kept no %s", wanted.file))
		return
	}
	s.blob(w, r, file.Digest, wanted.contentType)
}

// mayReadDataOf authorizes reading the dataset of a version. One that is gone counts as identified: nobody can tell any more.
func (s *server) mayReadDataOf(r *http.Request, v *v1alpha1.ModelVersion) error {
	d := &v1alpha1.Dataset{}
	err := s.Client.Get(r.Context(), types.NamespacedName{Namespace: v.Namespace, Name: v.Spec.Dataset}, d)
	if client.IgnoreNotFound(err) != nil {
		return err
	} else if err != nil {
		d.Namespace, d.Name, d.Status.Identified = v.Namespace, v.Spec.Dataset, true
	}
	return s.mayRead(r, d)
}

// evaluationOutput is what the run left that made the version's evaluation.json; replays of it are other runs.
func (s *server) evaluationOutput(ctx context.Context, v *v1alpha1.ModelVersion) (lake.FileManifest, error) {
	filter := lake.RunFilter{
		Workspace: v.Namespace, Step: v1alpha1.StepEvaluate, ForKind: "Model", ForName: v.Spec.Model, Fingerprint: v.Spec.Fingerprint,
		Phase: v1alpha1.RunSucceeded,
	}
	for page := (lake.Page{}); ; {
		runs, next, err := s.Lake.Runs(ctx, filter, page)
		if err != nil {
			return lake.FileManifest{}, err
		}
		for _, run := range runs {
			output, err := s.Lake.GetManifest(ctx, run.Output)
			if err != nil {
				return output, err
			}
			if made, ok := output.Find("evaluation.json"); ok && made.Digest == ref.Digest(v.Spec.Evaluation) {
				return output, nil
			}
		}
		if page.After = next; next == "" {
			return lake.FileManifest{}, fault.New(fault.NotFound, "model version "+v.Name, "the run that evaluated it is not in the history")
		}
	}
}
