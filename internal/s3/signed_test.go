// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request builds a request for an operation that would do something if it were let through.
func (p *platform) request(op Operation, bucket string) *http.Request {
	path := map[string]string{"service": "/", "bucket": "/" + bucket, "object": "/" + bucket + "/attack/x"}[op.Level]
	query := url.Values{}
	for _, n := range op.Needs {
		name, value, _ := strings.Cut(n, "=")
		switch name {
		case "uploadId":
			value = strings.Repeat("a", 26)
		case "partNumber":
			value = "1"
		}
		query.Set(name, value)
	}
	body := ""
	switch op.Name {
	case "DeleteObjects":
		body = "<Delete><Object><Key>attack/keep</Key></Object></Delete>"
	case "CompleteMultipartUpload":
		body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
	case "PutObject", "UploadPart":
		body = "attack"
	}
	r, err := http.NewRequest(op.Method, p.url+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if op.Copies {
		r.Header.Set("X-Amz-Copy-Source", "neuro/attack/keep")
	}
	if op.Name == "DeleteObjects" {
		r.Header.Set("X-Amz-Checksum-Sha256", base64Sum(body))
	}
	r.Header.Set("X-Amz-Content-Sha256", hexSum(body))
	return r
}

func hexSum(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }

func base64Sum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func sign(t *testing.T, r *http.Request, k Keys) *http.Request {
	t.Helper()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err := signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken},
		r, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func presign(t *testing.T, r *http.Request, k Keys) *http.Request {
	t.Helper()
	q := r.URL.Query()
	q.Set("X-Amz-Expires", "60")
	r.URL.RawQuery = q.Encode()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	u, _, err := signer.PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken},
		r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.URL, err = url.Parse(u); err != nil {
		t.Fatal(err)
	}
	return r
}

func (p *platform) do(r *http.Request) (int, string) {
	p.t.Helper()
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// files lists everything below the buckets' folder, to see that an attack stored and removed nothing.
func (p *platform) files() string {
	p.t.Helper()
	var all []string
	err := filepath.WalkDir(p.dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, strings.TrimPrefix(path, p.dir))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func unsignedTrailer(r *http.Request) *http.Request {
	b, _ := io.ReadAll(r.Body)
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", len(b), b)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(chunked)), int64(len(chunked))
	r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(b)))
	r.Header.Set("Content-Encoding", "aws-chunked")
	return r
}
