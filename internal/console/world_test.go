// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/evaluate/table"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
	"fathom.dev/fathom/internal/ref"
)

// world is the door before an API without controllers and a lake.
type world struct {
	*testing.T
	client.Client
	door     http.Handler
	lake     *lake.Store
	now      time.Time
	may      func(user string, a identity.Action) bool
	recorded []string          // what the audit log was told
	audit    error             // why it cannot be told
	objects  map[string]string // what was put into buckets
	asked    []query.ReadParams
	news     [][]ObjectName // what a stream is told before it ends
}

// Authenticate knows everybody by their name.
func (w *world) Authenticate(_ context.Context, token string) (identity.User, error) {
	if token == "" || strings.HasPrefix(token, "!") {
		return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "the token is not valid")
	}
	return identity.User{Name: token}, nil
}

func (w *world) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	if w.may(u.Name, a) {
		return nil
	}
	return fault.New(fault.Forbidden, "authorize", "%s may not %s", u.Name, a)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), objects: map[string]string{}}
	w.may = func(string, identity.Action) bool { return true }
	w.Client = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.Dataset{}, &v1alpha1.Model{}, &v1alpha1.ModelVersion{}, &v1alpha1.Report{}, &v1alpha1.Run{}).Build()
	dir, err := os.MkdirTemp("", "console-") // t.TempDir repeats a route's braces, which the lake cannot have in a path
	if err != nil {
		t.Fatal(err)
	}
	store, err := lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store.Close()
		os.RemoveAll(dir)
	})
	w.lake = store
	if w.door, err = New(w.options()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() Options {
	return Options{
		Authenticator: w, Authorizer: w, Client: w.Client, Lake: w.lake, Now: func() time.Time { return w.now },
		Record: func(u identity.User, a identity.Action, _ *http.Request, decision error) error {
			w.recorded = append(w.recorded, fmt.Sprintf("%s %s %v", u.Name, a, decision == nil))
			return w.audit
		},
		PutObject: func(_ context.Context, bucket, key string, body io.Reader) error {
			b, err := io.ReadAll(body)
			w.objects[bucket+"/"+key] = string(b)
			return err
		},
		Tables: func(_ context.Context, p query.CheckParams) (query.Checked, error) {
			_, tables, ok := strings.Cut(p.SQL, " from ")
			if !ok {
				return query.Checked{Error: &query.Problem{Message: "syntax error", Line: 1, Column: 3}}, nil
			}
			return query.Checked{Tables: strings.Split(tables, ", ")}, nil
		},
		Query: w.query,
		Log: func(_ context.Context, run ref.Name, follow bool, out io.Writer) error {
			if run.Name == "gone" {
				return fault.New(fault.NotFound, "run gone", "there is no log")
			}
			_, err := fmt.Fprintf(out, "log of %s, follow %v\n", run, follow)
			return err
		},
		Plan: func(_ context.Context, workspace string, objects json.RawMessage) (any, error) {
			return []string{workspace, string(objects)}, nil
		},
		App: fstest.MapFS{"index.html": {Data: []byte("<title>Fathom</title>" + noncePlace)}, "assets/a.js": {Data: []byte("run()")},
			"assets/a.js.gz": {Data: []byte("packed")}},
		Changes: func(ctx context.Context, _ string) <-chan []ObjectName {
			out := make(chan []ObjectName)
			go func() {
				defer close(out)
				for _, names := range w.news {
					select {
					case out <- names:
					case <-ctx.Done():
					}
				}
			}()
			return out
		},
		Replay: func(_ context.Context, r ReplayRequest) (any, error) { return r, nil },
		About: func(context.Context, *v1alpha1.ModelVersion) (About, error) {
			return About{Rules: []Rule{{Text: "leakage == none"}}}, nil
		},
		Training: func(_ context.Context, v *v1alpha1.ModelVersion) (Training, error) {
			return Training{Runs: []TrackedRun{{Name: v.Name}}}, nil
		},
		Traffic: func(endpoint ref.Name, span time.Duration) any { return endpoint.String() + " " + span.String() },
		Endpoints: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(out, "%s %s of %s", r.Method, r.URL.Path, identity.UserFrom(r.Context()).Name)
		}),
		Isolation: func() (string, []string) { return "sandbox", nil },
		Audit:     func(_ context.Context, q AuditQuery) (any, error) { return q, nil },
		Page: func(_ context.Context, m ref.Name, version int64) ([]byte, error) {
			return fmt.Appendf(nil, "<h1>%s %d</h1>", m, version), nil
		},
	}
}

// query answers the first column of the first row of every file, so that it shows which bytes it was given.
func (w *world) query(ctx context.Context, p query.ReadParams, out io.Writer) error {
	w.asked = append(w.asked, p)
	if p.Format == "json" {
		return duck.Read(ctx, p, "", out)
	}
	for _, t := range p.Tables {
		for _, file := range t.Files {
			rows, err := table.ReadFile(ctx, file)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s: %d rows\n", t.Name, rows.Rows())
		}
	}
	if p.SQL == "select boom from voice" {
		return fault.New(fault.Exhausted, "sql", "memory")
	}
	return nil
}

// dataset makes a Dataset with a version of so many rows.
func (w *world) dataset(name string, rows int, identified bool) {
	w.Helper()
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: name}}
	if rows > 0 {
		v := w.version(name, lake.CommitRequest{Fingerprint: "f" + name, Subjects: []string{"s1"}, Summary: json.RawMessage(`{"report":{}}`)}, map[string][]float64{"x": make([]float64, rows)})
		d.Status.Version, d.Status.Identified = int64(v.Number), identified
	}
	w.create(d)
}

// version commits a version of a dataset with these columns of numbers.
func (w *world) version(name string, request lake.CommitRequest, columns map[string][]float64) lake.Version {
	w.Helper()
	path := filepath.Join(w.TempDir(), "data.parquet")
	var list []evaluate.Column
	for _, c := range slices.Sorted(maps.Keys(columns)) {
		list = append(list, evaluate.Column{Feature: evaluate.Feature{Name: c}, Numbers: columns[c]})
	}
	if err := table.WriteColumns(path, nil, list); err != nil {
		w.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	request.Files, err = lake.NewManifest([]lake.File{w.blob("data.parquet", string(content)), w.blob("objects/a.parquet", "an object")})
	if err != nil {
		w.Fatal(err)
	}
	request.Name, request.CreatedBy = ref.Name{Workspace: "neurology", Name: name}, "test"
	v, err := w.lake.Commit(w.Context(), request)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) blob(path, text string) lake.File {
	w.Helper()
	d, n, err := w.lake.PutBlob(w.Context(), strings.NewReader(text), "")
	if err != nil {
		w.Fatal(err)
	}
	return lake.File{Path: path, Digest: d, Size: n}
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
	if err := w.Status().Update(w.Context(), o); client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
}

// model makes a Model and its versions with these stages; the seconds after noon say when each was promoted, 0 for never.
func (w *world) model(change func(*v1alpha1.Model), stages ...string) {
	w.Helper()
	m := &v1alpha1.Model{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "parkinsons"}}
	m.Status.Latest = int64(len(stages))
	for i, stage := range stages {
		number := int64(i + 1)
		v := &v1alpha1.ModelVersion{
			ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: fmt.Sprintf("parkinsons-%d", number),
				Labels: map[string]string{v1alpha1.LabelFor: "model.parkinsons"}},
			Spec: v1alpha1.ModelVersionSpec{Model: "parkinsons", Number: number, Dataset: "voice", DatasetVersion: 1,
				Digest:     string(w.blob("", fmt.Sprintf("onnx %d", number)).Digest),
				Evaluation: string(w.blob("", fmt.Sprintf(`{"version":%d}`, number)).Digest)},
		}
		v.Status.Stage, v.Status.Why = stage, "because"
		if stage == v1alpha1.StageProduction || stage == v1alpha1.StageArchived {
			at := metav1.NewTime(w.now.Add(-time.Hour + time.Duration(number)*time.Minute))
			v.Status.PromotedAt = &at
		}
		if stage == v1alpha1.StageProduction {
			m.Status.Promoted = number
		}
		w.create(v)
	}
	if change != nil {
		change(m)
	}
	w.create(m)
}

// reply is what the door answered.
type reply struct {
	*http.Response
	text string
}

// ask sends a request as a user; "" sends no credential.
func (w *world) ask(user, method, path, body string, change ...func(*http.Request)) reply {
	w.Helper()
	r := httptest.NewRequest(method, "https://fathom.test"+path, strings.NewReader(body))
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+user)
	}
	for _, c := range change {
		c(r)
	}
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, r)
	response := recorder.Result()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{response, string(text)}
}

// want asks and compares the status and a part of the answer.
func (w *world) want(user, method, path, body string, status int, part string) reply {
	w.Helper()
	got := w.ask(user, method, path, body)
	if got.StatusCode != status || !strings.Contains(got.text, part) {
		w.Errorf("%s %s as %s: %d %s\nwant %d …%s…", method, path, user, got.StatusCode, got.text, status, part)
	}
	return got
}
