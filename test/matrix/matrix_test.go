// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"fathom.dev/fathom/internal/gateway"
	"fathom.dev/fathom/internal/mlflow"
	"fathom.dev/fathom/internal/s3"
	"fathom.dev/fathom/test/platform"
)

var update = flag.Bool("update", false, "write what is found into testdata")

func TestMatrix(t *testing.T) {
	p := platform.Start(t)
	w := start(p)
	t.Run("doors", func(t *testing.T) { compare(t, "doors.csv", w.doors(t)) })
	t.Run("objects", func(t *testing.T) { compare(t, "objects.csv", w.objects(t)) })
	t.Run("kubernetes", func(t *testing.T) { compare(t, "kubernetes.csv", w.kubernetes(t)) })
	t.Run("websockets", func(t *testing.T) { w.webSockets(t) })
	t.Run("methods", func(t *testing.T) { w.wrongMethods(t) })
	t.Run("headers", func(t *testing.T) { w.headers(t) })
	t.Run("api", func(t *testing.T) { w.api(t) })
	t.Run("copy", func(t *testing.T) { w.copyOut(t) })
	t.Run("sql", func(t *testing.T) { w.sql(t) })
	t.Run("sources", func(t *testing.T) { w.sources(t) })
	t.Run("identified", func(t *testing.T) { w.identified(t) })
}

// compare checks a table against its file, line by line.
func compare(t *testing.T, name string, got [][]string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		var out bytes.Buffer
		if err := csv.NewWriter(&out).WriteAll(got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string][]string{}
	for _, line := range want {
		expected[line[0]+" "+line[1]] = line
	}
	for _, line := range got {
		key := line[0] + " " + line[1]
		if was, known := expected[key]; !known {
			t.Errorf("%s is not in %s: decide who may, then run with -update: %v", key, path, line[2:])
		} else if !slices.Equal(was, line) {
			t.Errorf("%s: got %v, want %v (%v)", key, line[2:], was[2:], got[0][2:])
		}
		delete(expected, key)
	}
	for key := range expected {
		t.Errorf("%s of %s is gone", key, path)
	}
}

func header(first, second string, callers []caller) []string {
	line := []string{first, second}
	for _, c := range callers {
		line = append(line, c.name)
	}
	return line
}

// verdict is what a status says about who asked: unknown, refused, or let in, whatever came of it.
func verdict(t *testing.T, what string, status int) string {
	t.Helper()
	switch {
	case status == http.StatusUnauthorized:
		return "401"
	case status == http.StatusForbidden:
		return "403"
	case status >= 500 && status != http.StatusNotImplemented:
		t.Errorf("%s was answered %d", what, status)
		return fmt.Sprint(status)
	}
	return "pass"
}

// doors asks every route as everybody.
func (w *world) doors(t *testing.T) [][]string {
	table := [][]string{header("door", "route", w.certified)}
	tables := routes(t)
	for _, door := range []string{"console", "desk", "gateway", "mlflow", "oci", "staging"} {
		for _, route := range tables[door] {
			if strings.Contains(route.Pattern, "/ajax-api/") { // the same handlers by another name
				continue
			}
			line := []string{door, route.Pattern}
			for _, c := range w.certified {
				method, path := address(route.Pattern)
				if strings.HasPrefix(path, gateway.GRPCPrefix) {
					line = append(line, w.grpc(t, c, path))
					continue
				}
				line = append(line, verdict(t, c.name+" "+method+" "+path, w.ask(t, c, method, path, nil)))
			}
			table = append(table, line)
		}
	}
	return table
}

// ask sends a request and returns the status. A certificate that the server does not accept ends the connection, which
// counts as unknown.
func (w *world) ask(t *testing.T, c caller, method, path string, headers map[string]string) int {
	t.Helper()
	body := "{}"
	if strings.HasPrefix(path, mlflow.Prefix) && method != http.MethodGet {
		text, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	status, _ := w.send(t, c, method, path, body, headers)
	return status
}

func (w *world) post(t *testing.T, c caller, path, body string) int {
	t.Helper()
	status, _ := w.send(t, c, http.MethodPost, path, body, nil)
	return status
}

func (w *world) send(t *testing.T, c caller, method, path, body string, headers map[string]string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.Doors+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	response, err := c.client.Do(r)
	if err != nil {
		if strings.Contains(err.Error(), "tls: ") {
			return http.StatusUnauthorized, ""
		}
		t.Fatalf("%s %s %s: %v", c.name, method, path, err)
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response.StatusCode, "" // it would last
	}
	text, _ := io.ReadAll(response.Body) // all of it, so that the connection is used again
	return response.StatusCode, string(text)
}

// objects asks every operation of the S3 door as everybody who can have keys.
func (w *world) objects(t *testing.T) [][]string {
	table := [][]string{header("door", "operation", w.keyed)}
	keys := map[string]aws.Credentials{}
	for _, c := range w.keyed {
		keys[c.name] = w.keys(t, c)
	}
	for _, op := range s3.Operations() {
		places := []string{"x"}
		if op.Level == "object" {
			places = append(places, "inbox/x")
		}
		for _, key := range places {
			line := []string{"s3", strings.TrimSpace(op.Name + " " + map[bool]string{true: key}[op.Level == "object"])}
			for _, c := range w.keyed {
				r := question(w.S3, op, key)
				status, _ := signed(t, c, keys[c.name], r)
				line = append(line, verdict(t, c.name+" "+op.Name, status))
			}
			table = append(table, line)
		}
	}
	return table
}

// signed sends a request with a signature if there are keys, else with the token if there is one.
func signed(t *testing.T, c caller, keys aws.Credentials, r *http.Request) (status int, body []byte) {
	t.Helper()
	switch {
	case keys.AccessKeyID != "":
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err := signer.SignHTTP(t.Context(), keys, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	case c.token != "":
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s %s: %v", c.name, r.Method, r.URL, err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// keys exchanges the caller's token for keys; there are none for a token that is not accepted.
func (w *world) keys(t *testing.T, c caller) aws.Credentials {
	t.Helper()
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/fathom"},
		"RoleSessionName": {"matrix"}, "WebIdentityToken": {c.token}}
	response, err := c.client.PostForm(w.S3+"/", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Keys struct{ AccessKeyId, SecretAccessKey, SessionToken string } `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = xml.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Fatalf("keys for %s: %v: %s", c.name, err, text)
	}
	known := !slices.Contains([]string{"nobody", "garbage", "audience"}, c.name)
	if (response.StatusCode == http.StatusOK) != known {
		t.Errorf("%s asked for keys and was answered %d: %s", c.name, response.StatusCode, text)
	}
	return aws.Credentials{AccessKeyID: answer.Keys.AccessKeyId, SecretAccessKey: answer.Keys.SecretAccessKey, SessionToken: answer.Keys.SessionToken}
}

// headers claims to be somebody else in every way that peers have believed.
func (w *world) headers(t *testing.T) {
	const path = "/api/workspaces/" + clinic + "/subjects/nobody" // for stewards only
	claims := []string{"X-Remote-User", "X_Remote_User", "X-Remote-Group", "X-Remote-Extra-Scopes", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
		"X-Forwarded-Client-Cert", "X-Auth-Request-User", "X-Auth-Request-Email", "Remote-User", "Kubeflow-Userid", "kubeflow_userid", "Impersonate-User",
		"Impersonate-Group", "X-Goog-Authenticated-User-Email", "X-Ms-Client-Principal-Name", "X-User", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override"}
	for _, c := range w.certified {
		want := w.ask(t, c, "GET", path, nil)
		for _, claim := range claims {
			for _, who := range []string{"the steward", "stewards", "system:masters", "fathom:owner", path, "POST"} {
				if got := w.ask(t, c, "GET", path, map[string]string{claim: who}); got != want {
					t.Errorf("%s with %s: %s was answered %d, without it %d", c.name, claim, who, got, want)
				}
			}
		}
	}
}
