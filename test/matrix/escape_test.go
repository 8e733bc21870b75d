// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// What must never come out, and where it lies.
const (
	canary    = "CANARY-a-name-from-the-clinic"
	inbox     = "inbox/people.csv"
	elsewhere = "elsewhere"
)

// copyOut tries to copy what only stewards may read to where editors may.
func (w *world) copyOut(t *testing.T) {
	w.plant()
	i := slices.IndexFunc(w.keyed, func(c caller) bool { return c.name == "editor" })
	c := w.keyed[i]
	keys := w.keys(t, c)
	send := func(method, path, source string) (int, string) {
		r, err := http.NewRequest(method, w.S3+"/"+clinic+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		if source != "" {
			r.Header.Set("X-Amz-Copy-Source", source)
		}
		status, body := signed(t, c, keys, r)
		return status, string(body)
	}
	for _, source := range []string{clinic + "/" + inbox, "/" + clinic + "/" + inbox, clinic + "/x/../" + inbox, clinic + "/INBOX/people.csv", clinic + "/%69nbox/people.csv", elsewhere + "/" + inbox} {
		if status, _ := send("PUT", "copy.csv", source); status < 400 {
			t.Errorf("an editor copied %s: %d", source, status)
		}
		status, body := send("POST", "copy.csv?uploads=", "")
		_, after, _ := strings.Cut(body, "<UploadId>")
		upload, _, found := strings.Cut(after, "</UploadId>")
		if status != http.StatusOK || !found {
			t.Fatalf("an upload of an editor: %d %s", status, body)
		}
		if status, _ := send("PUT", "copy.csv?partNumber=1&uploadId="+upload, source); status < 400 {
			t.Errorf("an editor copied a part of %s: %d", source, status)
		}
	}
}

// plant puts identified data into both workspaces.
func (w *world) plant() {
	w.Helper()
	for _, workspace := range []string{clinic, elsewhere} {
		w.Fathom("put", "-n", workspace, w.Write(map[string]string{"people.csv": "id,name\n1," + canary + "-" + workspace + "\n"}), "inbox")
	}
}

// sql tries to make the SQL engine read, write or load what is not a dataset.
func (w *world) sql(t *testing.T) {
	state := func(path string) string { return filepath.Join(w.State, path) }
	objects := state("lake/objects/" + elsewhere + "/" + inbox)
	for _, statement := range []string{
		"select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "select * from read_text('/etc/passwd')", "select * from read_blob('/etc/passwd')",
		"select * from read_text('/proc/self/environ')", "select * from glob('/**')", "select * from sniff_csv('/etc/passwd')", "select getenv('HOME')",
		"select * from read_csv('" + objects + "')", "select * from '" + objects + "'", "select * from parquet_metadata('" + state("lake/blobs/*/*") + "')",
		"select * from read_text('" + state("pki/ca.key") + "')", "select * from read_text('" + state("kubeconfig") + "')",
		"with x as (select * from read_text('/etc/passwd')) select * from x", "select (select content from read_text('/etc/passwd'))",
		"select * from (values (1)) t(x) where exists (select 1 from read_text('/etc/passwd'))", "select * from query('select * from read_text(''/etc/passwd'')')",
		"select * from query_table('/etc/passwd')", "copy (select 1) to '/tmp/out.csv'", "copy x from '/etc/passwd'", "attach '" + state("db/tracking.db") + "' as t (type sqlite)",
		"install httpfs", "load httpfs", "set enable_external_access = true", "reset enable_external_access", "pragma database_list", "call pragma_version()", "export database '/tmp/x'",
		"create table x as select 1", "select 1; select * from read_text('/etc/passwd')", "select * from duckdb_secrets()", "select * from duckdb_settings()", "select * from which_secret('s3://x','s3')",
		"select * from read_csv('http://169.254.169.254/latest/meta-data')", "select * from read_json('s3://" + elsewhere + "/" + inbox + "')", "from read_text('/etc/passwd')", "summarize '/etc/passwd'", "describe '/etc/passwd'",
		"select * from elsewhere.people", "select * from \"/etc/passwd\"", "explain analyze select * from read_text('/etc/passwd')", "prepare x as select * from read_text('/etc/passwd')",
	} {
		for _, role := range []string{"viewer", "steward", "admin"} {
			status, text := w.query(t, role, statement)
			if status < 400 || status >= 500 || strings.Contains(text, "root:") || strings.Contains(text, canary) {
				t.Errorf("%s asks %s: %d %.200s", role, statement, status, text)
			}
		}
	}
}

// query asks the workspace's datasets as a member.
func (w *world) query(t *testing.T, role, statement string) (status int, answer string) {
	t.Helper()
	request, err := json.Marshal(map[string]string{"sql": statement, "format": "csv"})
	if err != nil {
		t.Fatal(err)
	}
	return w.send(t, w.caller(role), http.MethodPost, "/api/workspaces/"+clinic+"/sql", string(request), nil)
}

// identified asks for the dataset that names people, as each member.
func (w *world) identified(t *testing.T) {
	for _, c := range w.certified {
		status, text := w.query(t, c.name, "select name from people")
		if c.name == "steward" && (status != http.StatusOK || !strings.Contains(text, canary)) || c.name != "steward" && (status < 400 || strings.Contains(text, canary)) {
			t.Errorf("%s reads names: %d %s", c.name, status, text)
		}
	}
}

// sources tries to declare datasets that read what is not the workspace's.
func (w *world) sources(t *testing.T) {
	c := w.as(t, "editor")
	urls := []string{
		"../" + elsewhere + "/inbox/*.csv", "inbox/../../" + elsewhere + "/inbox/*.csv", "/etc/passwd", "file:///etc/passwd", "file://" + w.State + "/lake/objects/" + elsewhere + "/" + inbox,
		"s3://" + elsewhere + "/inbox/*.csv", w.S3 + "/" + elsewhere + "/" + inbox, w.Doors + "/metrics", "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "**/../../" + elsewhere + "/**",
		`..\\` + elsewhere + `\\inbox\\*.csv`, "%2e%2e/" + elsewhere + "/inbox/*.csv", "inbox/\u0000", elsewhere + "/inbox/*.csv",
	}
	honest := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: "people"}}
	honest.Spec.From.Files = &v1alpha1.Files{URL: inbox, Format: "csv"}
	if err := c.Create(t.Context(), honest); err != nil {
		t.Fatal(err)
	}
	if d := w.Ready(clinic, honest.Name); !d.Status.Identified {
		t.Error("a dataset with names in it does not count as identified")
	}
	made := map[string]string{}
	for i, url := range urls {
		d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: fmt.Sprintf("escape-%d", i)}}
		d.Spec.From.Files = &v1alpha1.Files{URL: url, Format: "csv"}
		if err := c.Create(t.Context(), d); err == nil {
			made[d.Name] = url
		}
	}
	for i, statement := range []string{"select * from read_csv('/etc/passwd')", "select * from '" + filepath.Join(w.State, "kubeconfig") + "'", "select * from elsewhere.people", "from glob('/**')"} {
		d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: fmt.Sprintf("query-%d", i)}}
		d.Spec.From.Query = &v1alpha1.Query{SQL: statement}
		if err := c.Create(t.Context(), d); err == nil {
			made[d.Name] = statement
		}
	}
	for name, what := range made {
		var d v1alpha1.Dataset
		w.Await("a verdict on "+what, 30*time.Second, func(ctx context.Context) (bool, error) {
			err := w.Client.Get(ctx, client.ObjectKey{Namespace: clinic, Name: name}, &d)
			reason, _ := v1alpha1.Ready(d.Status.Conditions)
			return reason != "", err
		})
		reason, message := v1alpha1.Ready(d.Status.Conditions)
		t.Logf("a dataset of %q is %s: %s", what, reason, message)
		if d.Status.Version != 0 || reason == v1alpha1.ReasonReady || reason == v1alpha1.ReasonRunning || strings.Contains(message, canary) || strings.Contains(message, "root:") {
			t.Errorf("a dataset of %q is %s: %s", what, reason, message)
		}
	}
}
