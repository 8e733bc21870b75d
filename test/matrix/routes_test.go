// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/console"
	"fathom.dev/fathom/internal/gateway"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/mlflow"
	"fathom.dev/fathom/internal/oci"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/registry"
	"fathom.dev/fathom/internal/s3"
	"fathom.dev/fathom/internal/staging"
	"fathom.dev/fathom/internal/tracking"
)

// stub stands in for what doors need to be built. Nothing of it is ever called.
type stub struct{}

func (stub) Authenticate(context.Context, string) (identity.User, error) { return identity.User{}, nil }
func (stub) Authorize(context.Context, identity.User, identity.Action) error {
	return nil
}
func (stub) PutBlob(context.Context, io.Reader, ref.Digest) (ref.Digest, int64, error) {
	return "", 0, nil
}
func (stub) OpenBlob(context.Context, ref.Digest) (io.ReadSeekCloser, int64, error) {
	return nil, 0, nil
}
func (stub) Put(context.Context, io.Reader) (ref.Digest, int64, error) { return "", 0, nil }
func (stub) Open(context.Context, ref.Digest) (io.ReadSeekCloser, int64, error) {
	return nil, 0, nil
}

func (stub) AdoptBlob(context.Context, string, ref.Digest) (ref.Digest, int64, error) {
	return "", 0, nil
}

// routes are the tables of all doors on the listener for everything but objects.
func routes(t *testing.T) map[string][]identity.Route {
	t.Helper()
	var built []error
	table := func(h http.Handler, err error) []identity.Route {
		built = append(built, err)
		return identity.Routes(h)
	}
	ledger, err := staging.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := tracking.Open(tracking.Options{Path: filepath.Join(t.TempDir(), "tracking.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	images, err := registry.Open(registry.Options{Path: filepath.Join(t.TempDir(), "registry.db"), Dir: t.TempDir(), Blobs: stub{}})
	if err != nil {
		t.Fatal(err)
	}
	defer images.Close()
	doors := map[string][]identity.Route{
		"oci": table(oci.New(oci.Options{Authenticator: stub{}, Authorizer: stub{}, Registry: images, Blobs: stub{}, Tokens: &identity.Tokens{},
			Sweep:      func(context.Context, time.Duration, bool) (any, error) { return nil, nil },
			Workspaces: func(context.Context) ([]string, error) { return nil, nil }})),
		"console": table(console.New(console.Options{Authenticator: stub{}, Authorizer: stub{}})),
		"gateway": table(gateway.New(gateway.Options{Authenticator: stub{}, Authorizer: stub{},
			Backends: func(ref.Name) (gateway.Target, bool) { return gateway.Target{}, false }})),
		"mlflow": table(mlflow.New(mlflow.Options{Authenticator: stub{}, Authorizer: stub{}, Store: store, Blobs: stub{}})),
		"staging": table(staging.New(staging.Options{Authenticator: stub{}, Authorizer: stub{}, Ledger: ledger, Blobs: stub{},
			Plan: func(context.Context, ref.Name, int) (staging.Plan, error) { return staging.Plan{}, nil },
			Pod:  func(context.Context, string, string, string) (staging.Pod, error) { return staging.Pod{}, nil }})),
		"desk": {{Pattern: "GET /metrics"}},
	}
	for _, err := range built {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, list := range doors {
		if len(list) == 0 {
			t.Fatalf("the door %s tells no routes", name)
		}
	}
	return doors
}

// places fill the variables of patterns: a workspace and a run that exist, and otherwise nothing.
var places = map[string]string{
	"workspace": clinic, "run": "mine", "endpoint": "nothing", "digest": "sha256:" + strings.Repeat("0", 64),
	"model": "m-" + strings.Repeat("0", 32), "version": "1", "key...": "inbox/matrix.csv", "path...": "matrix", "rest...": "api/2.0/mlflow/nothing",
	"file": "model.onnx", "file...": "index.html", "repository...": "matrix/manifests/nothing", "tag...": "matrix",
}

// message fits every route: it names what belongs to the run "mine", as far as there is such a thing.
var message = map[string]any{
	"run_id": tracked("mine"), "experiment_id": "99", "experiment_ids": []string{"99"}, "experiment_name": "nothing", "name": "nothing", "new_name": "nothing",
	"key": "k", "value": "1", "timestamp": "1", "metric_key": "k", "model_json": "{}", "source": "mlflow-artifacts:/x", "source_run_id": tracked("mine"), "version": "1",
	"alias": "a", "stage": "None", "status": "FINISHED", "path": "99/" + tracked("mine") + "/artifacts/x",
}

// address is a request line that the pattern matches.
func address(pattern string) (method, path string) {
	method, rest, _ := strings.Cut(pattern, " ")
	rest = strings.TrimSuffix(rest, "{$}")
	for {
		before, after, found := strings.Cut(rest, "{")
		if !found {
			path += rest
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		value, known := places[name]
		if !known {
			value = "nothing"
		}
		path, rest = path+before+value, tail
	}
	if method == http.MethodGet && strings.HasPrefix(path, mlflow.Prefix) {
		query := url.Values{"run_ids": {tracked("mine")}}
		for name, value := range message {
			if text, ok := value.(string); ok {
				query.Set(name, text)
			}
		}
		path += "?" + query.Encode()
	}
	return method, path
}

// question is a request to the door for objects.
func question(door string, op s3.Operation, key string) *http.Request {
	path := map[string]string{"service": "/", "bucket": "/" + clinic, "object": "/" + clinic + "/" + key}[op.Level]
	query := url.Values{}
	for _, need := range op.Needs {
		name, value, _ := strings.Cut(need, "=")
		query.Set(name, value)
	}
	if query.Has("uploadId") {
		query.Set("uploadId", strings.Repeat("a", 26))
	}
	if query.Has("partNumber") {
		query.Set("partNumber", "1")
	}
	body := map[string]string{
		"DeleteObjects":           "<Delete><Object><Key>nothing</Key></Object></Delete>",
		"CompleteMultipartUpload": "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
		"PutObject":               "matrix", "UploadPart": "matrix",
	}[op.Name]
	r, err := http.NewRequest(op.Method, door+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		panic(err) // the table is fixed
	}
	if op.Copies {
		r.Header.Set("X-Amz-Copy-Source", clinic+"/"+key)
	}
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	return r
}
