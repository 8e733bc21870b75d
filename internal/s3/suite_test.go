// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/tests/integration"

	"fathom.dev/fathom/internal/identity"
)

// versitygw's own checks, run twice: against versitygw alone on a folder, and against this door with one of its keys.
// What passes there must pass here, except for what suiteExceptions names.

const (
	suiteMode    = "SUITE_MODE" // what a child process of this test is: gateway or client
	suiteAddress = "SUITE_ADDRESS"
	suiteAccess  = "SUITE_ACCESS"
	suiteSecret  = "SUITE_SECRET"
	suiteDir     = "SUITE_DIR"
)

// suiteGroups are the groups of checks for what the door does at all. The others are about buckets' owners, ACLs, policies,
// CORS, websites, tags, locks, versions and accounts, which here belong to Workspace objects or do not exist.
var suiteGroups = []func(*integration.TestState){
	integration.TestAuthentication, integration.TestPresignedAuthentication, integration.TestHeadBucket, integration.TestGetBucketLocation,
	integration.TestPutObject, integration.TestHeadObject, integration.TestGetObject, integration.TestListObjects, integration.TestListObjectsV2,
	integration.TestDeleteObject, integration.TestDeleteObjects, integration.TestCopyObject, integration.TestCreateMultipartUpload,
	integration.TestUploadPart, integration.TestUploadPartCopy, integration.TestListParts, integration.TestListMultipartUploads,
	integration.TestAbortMultipartUpload, integration.TestCompleteMultipartUpload, integration.TestRouter,
	integration.TestUnsignedStreaminPayloadTrailer, integration.TestSignedStreaminPayload, integration.TestSignedStreaminPayloadTrailer,
	integration.TestServer, integration.TestPosix, integration.TestDataIntegrityETag, integration.TestListBuckets,
}

func TestLibrarysOwnChecks(t *testing.T) {
	switch os.Getenv(suiteMode) {
	case "gateway":
		runGateway(t)
		return
	case "client":
		runSuite(t)
		return
	}
	if testing.Short() {
		t.Skip("takes a minute")
	}
	gateway, door := startGateway(t), startSuiteDoor(t)
	alone, here := suiteOf(t, gateway), suiteOf(t, door)
	if differences(alone, here) != nil { // the suite's deadlines are short for a busy machine
		again := suiteOf(t, door)
		for name, reason := range again {
			if reason == "" {
				here[name] = ""
			}
		}
	}
	for _, d := range differences(alone, here) {
		t.Error(d)
	}
	passed := 0
	for _, reason := range here {
		if reason == "" {
			passed++
		}
	}
	t.Logf("of %d checks %d pass here, %d are exceptions", len(alone), passed, len(suiteExceptions))
	if len(here) < 300 {
		t.Errorf("only %d checks were run", len(here))
	}
}

// differences are the checks that pass with the library alone, fail here and are no exceptions, and exceptions that are none.
func differences(alone, here map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(alone)) {
		reason, ran := here[name]
		why, excepted := suiteExceptions[name]
		switch {
		case alone[name] == "" && (reason != "" || !ran) && !excepted:
			list = append(list, fmt.Sprintf("%s passes with versitygw alone and fails here: %s", name, reason))
		case ran && reason == "" && excepted:
			list = append(list, fmt.Sprintf("%s passes, but is said not to: %s", name, why))
		}
	}
	return list
}

type suiteTarget struct{ address, access, secret string }

// startGateway runs versitygw on a folder in a process of its own: it changes the working directory.
func startGateway(t *testing.T) suiteTarget {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := suiteTarget{l.Addr().String(), "alone", "alonesecret"}
	_ = l.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLibrarysOwnChecks$")
	cmd.Env = append(plainEnv(), suiteMode+"=gateway", suiteAddress+"="+s.address, suiteAccess+"="+s.access, suiteSecret+"="+s.secret,
		suiteDir+"="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for limit := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
			s.address = "http://" + s.address
			return s
		}
		if time.Now().After(limit) {
			t.Fatal("versitygw did not start: ", err)
		}
	}
}

func runGateway(t *testing.T) {
	store, err := posix.New(os.Getenv(suiteDir), meta.XattrMeta{}, posix.PosixOpts{NewDirPerm: 0o755})
	if err != nil {
		t.Fatal(err)
	}
	err = embedgw.RunVersityGW(context.Background(), store, &embedgw.Config{
		RootUserAccess: os.Getenv(suiteAccess), RootUserSecret: os.Getenv(suiteSecret), Region: "us-east-1",
		Ports: []string{os.Getenv(suiteAddress)}, Quiet: true, MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10000,
	})
	t.Fatal(err)
}

// startSuiteDoor opens this door with two additions, because the suite does not know that buckets are workspaces and keys
// have session tokens: making and removing buckets, and the token of the one key.
func startSuiteDoor(t *testing.T) suiteTarget {
	t.Helper()
	state := t.TempDir()
	cert, _ := certificate(t)
	d, err := New(Options{
		Dir: filepath.Join(state, "objects"), KeyFile: filepath.Join(state, "s3.key"), Authenticator: &pods{}, Authorizer: everything{},
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := d.IssueKeys(identity.User{Name: "suite"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d.table = d.compile(middlewares.RootUserConfig{Access: "nobody", Secret: "nothing"},
		lent{signers{IAMService: auth.NewIAMServiceSingle(auth.Account{}), keys: d.keys}, keys})
	serve := d.app.Server().Handler
	d.app.Server().Handler = func(c *fasthttp.RequestCtx) {
		if !asWorkspace(d, c) {
			serve(c)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return suiteTarget{"https://" + l.Addr().String(), keys.AccessKeyID, keys.SecretAccessKey}
}

// asWorkspace makes and removes buckets.
func asWorkspace(d *Door, c *fasthttp.RequestCtx) bool {
	name := strings.Trim(string(c.Path()), "/")
	if name == "" || strings.Contains(name, "/") || len(c.URI().QueryString()) > 0 && !strings.HasPrefix(string(c.URI().QueryString()), "x-id") {
		return false
	}
	switch string(c.Method()) {
	case http.MethodPut:
		if d.EnsureBucket(name) != nil {
			return false
		}
	case http.MethodDelete:
		if d.RemoveBucket(name) != nil {
			return false
		}
		c.SetStatusCode(http.StatusNoContent)
	default:
		return false
	}
	return true
}

type everything struct{}

func (everything) Authorize(context.Context, identity.User, identity.Action) error { return nil }

// lent completes requests that are signed with the key but lack its token.
type lent struct {
	signers
	known Keys
}

func (l lent) DeriveSigningKey(id, token, date, region, service string) ([]byte, auth.Account, error) {
	if token == "" && id == l.known.AccessKeyID {
		token = l.known.SessionToken
	}
	return l.signers.DeriveSigningKey(id, token, date, region, service)
}

// suiteOf runs the checks and returns the outcome of each: empty, or why it failed.
func suiteOf(t *testing.T, s suiteTarget) map[string]string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLibrarysOwnChecks$")
	cmd.Env = append(plainEnv(), suiteMode+"=client", suiteAddress+"="+s.address, suiteAccess+"="+s.access, suiteSecret+"="+s.secret)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("the checks ended early: %v %s", err, told.String())
	}
	result := map[string]string{}
	for line := range strings.Lines(colours.ReplaceAllString(string(out), "")) {
		verdict, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, reason, _ := strings.Cut(strings.TrimSpace(rest), ": ")
		switch verdict {
		case "PASS":
			result[name] = ""
		case "FAIL":
			result[name] = reason
		}
	}
	return result
}

// plainEnv is without what the AWS client would read.
func plainEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func runSuite(*testing.T) {
	conf := integration.NewS3Conf(integration.WithAccess(os.Getenv(suiteAccess)), integration.WithSecret(os.Getenv(suiteSecret)),
		integration.WithRegion("us-east-1"), integration.WithEndpoint(os.Getenv(suiteAddress)), integration.WithTLSStatus(true),
		integration.WithPartSize(5<<20), integration.WithConcurrency(2))
	state := integration.NewTestState(context.Background(), conf, false)
	for _, group := range suiteGroups {
		group(state)
	}
	state.Wait()
}
