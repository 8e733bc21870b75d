// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	objectSize   = 4 << 10
	objectLoad   = 16   // connections
	objectPool   = 1024 // objects that are read
	signedPuts   = 12000
	objectRegion = "us-east-1"
)

// measureObjects writes and reads small objects through the S3 door and through SeaweedFS: TLS and signatures on both
// sides, and both told to sync before they answer.
func measureObjects(ctx context.Context, b *bench) (figures []figure, err error) {
	venv, err := b.environment(ctx, "objects")
	if err != nil {
		return nil, err
	}
	p, err := b.plain(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := p.bucket(ctx)
	if err != nil {
		return nil, err
	}
	weed, err := b.startWeed(ctx, filepath.Join(venv, "bin", "weed"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, weed.server.close()) }()
	for _, s := range []*bucket{ours, weed.bucket} {
		if err := s.fill(ctx); err != nil {
			return nil, err
		}
	}
	put := figure{what: "PUT of 4 KiB, c=16, synced", unit: "/s", more: true, peer: "SeaweedFS, fsync", aim: "≥ 1×; ≥ 5k/s"}
	one := figure{what: "PUT of 4 KiB, c=1, median latency", unit: "µs", peer: put.peer}
	get := figure{what: "GET of 4 KiB, c=16", unit: "/s", more: true, peer: "SeaweedFS", aim: "≥ 2×"}
	floor := figure{what: "PUT of 4 KiB, c=16, synced", unit: "/s", more: true, peer: "file, fsync, rename, fsync of the folder, 16 at once"}
	measure := func(s *bucket, put, one, get *[]float64) func() error {
		return func() error { return s.measure(ctx, put, one, get) }
	}
	disk, err := b.fresh("floor")
	if err != nil {
		return nil, err
	}
	for round := range b.rounds {
		err := inTurn(round, measure(ours, &put.values, &one.values, &get.values), measure(weed.bucket, &put.peers, &one.peers, &get.peers))
		if err != nil {
			return nil, err
		}
		rate, err := syncedFiles(disk, loadLength)
		if err != nil {
			return nil, err
		}
		floor.peers = append(floor.peers, rate)
	}
	floor.values = put.values
	own, _, err := memoryOf(p.server.Process.Pid)
	if err != nil {
		return nil, err
	}
	theirs, _, err := memoryOf(weed.server.cmd.Process.Pid)
	put.note = fmt.Sprintf("ours also asks who may and writes an audit line; memory after: the whole of Fathom %.0f MB, SeaweedFS %.0f MB", own, theirs)
	return []figure{put, one, get, floor}, err
}

// bucket is one bucket of an S3 server, and keys for it.
type bucket struct {
	host, name string
	keys       aws.Credentials
	tls        *tls.Config
	n          atomic.Int64
	body       []byte
}

// request signs one; the body is not part of the signature, as clients do over TLS.
func (s *bucket) request(ctx context.Context, method, key string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://"+s.host+"/"+s.name+"/"+key, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	const unsigned = "UNSIGNED-PAYLOAD"
	r.Header.Set("X-Amz-Content-Sha256", unsigned)
	if err := v4.NewSigner().SignHTTP(ctx, s.keys, r, unsigned, "s3", objectRegion, time.Now()); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s /%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, s.name, key, s.host, len(body))
	if err := r.Header.Write(&text); err != nil {
		return nil, err
	}
	text.WriteString("\r\n")
	text.Write(body)
	return text.Bytes(), nil
}

// target asks the requests of a list in turn.
func (s *bucket) target(ctx context.Context, method string, count int, key func() string, body []byte) (target, error) {
	list := make([][]byte, count)
	for i := range list {
		var err error
		if list[i], err = s.request(ctx, method, key(), body); err != nil {
			return target{}, err
		}
	}
	var n atomic.Int64
	t := newTarget(s.host, "/", "", s.tls, "")
	t.next = func() []byte { return list[int(n.Add(1))%len(list)] }
	return t, nil
}

// fill writes the objects that are read, and checks that one is read as it was written.
func (s *bucket) fill(ctx context.Context) error {
	s.body = make([]byte, objectSize)
	_, _ = rand.Read(s.body) // never fails
	t, err := s.target(ctx, http.MethodPut, objectPool, s.counted("read", objectPool), s.body)
	if err != nil {
		return err
	}
	left := atomic.Int64{}
	left.Store(objectPool)
	errs := make([]error, objectLoad)
	var all sync.WaitGroup
	for i := range objectLoad {
		all.Go(func() { errs[i] = t.times(ctx, &left) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("fill %s: %w", s.host, err)
	}
	return s.compare(ctx)
}

func (s *bucket) compare(ctx context.Context) error {
	url := "https://" + s.host + "/" + s.name + "/read/7"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := v4.NewSigner().SignHTTP(ctx, s.keys, r, "UNSIGNED-PAYLOAD", "s3", objectRegion, time.Now()); err != nil {
		return err
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls.Clone()}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, s.body) {
		return fmt.Errorf("%s: %s: what was read is not what was written: %.200q", url, answer.Status, got)
	}
	return nil
}

// counted names objects 0, 1, 2 … and then again from 0.
func (s *bucket) counted(folder string, count int64) func() string {
	var n atomic.Int64
	return func() string { return folder + "/" + strconv.FormatInt(n.Add(1)%count, 10) }
}

// measure is one round.
func (s *bucket) measure(ctx context.Context, put, one, get *[]float64) error {
	fresh := func() string { return "put/" + strconv.FormatInt(s.n.Add(1), 10) }
	writes, err := s.target(ctx, http.MethodPut, signedPuts, fresh, s.body)
	if err != nil {
		return err
	}
	reads, err := s.target(ctx, http.MethodGet, objectPool, s.counted("read", objectPool), nil)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		t      target
		c      int
		length time.Duration
		into   *[]float64
		rate   bool
	}{{writes, objectLoad, loadLength, put, true}, {writes, 1, loadLength / 2, one, false}, {reads, objectLoad, loadLength, get, true}} {
		l, err := m.t.load(ctx, m.c, m.length)
		if err != nil {
			return fmt.Errorf("%s: %w", s.host, err)
		}
		if m.rate {
			*m.into = append(*m.into, l.rate)
		} else {
			*m.into = append(*m.into, l.middle)
		}
	}
	return nil
}

// bucket is the plain workspace's, with the keys that a pod gets.
func (p *platform) bucket(ctx context.Context) (*bucket, error) {
	token, err := p.editor(ctx, plainWorkspace)
	if err != nil {
		return nil, err
	}
	var where corev1.ConfigMap
	if err := p.client.Get(ctx, client.ObjectKey{Namespace: "fathom-system", Name: "fathom-doors"}, &where); err != nil {
		return nil, err
	}
	u, err := url.Parse(where.Data["s3"])
	if err != nil {
		return nil, err
	}
	secure := p.tls.Clone()
	secure.Certificates, secure.GetClientCertificate = nil, nil
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: secure.Clone()}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::0:role/fathom"},
		"RoleSessionName": {"bench"}, "WebIdentityToken": {token}}
	answer, err := c.PostForm(where.Data["s3"], form)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var got struct {
		Keys struct {
			ID     string `xml:"AccessKeyId"`
			Secret string `xml:"SecretAccessKey"`
			Token  string `xml:"SessionToken"`
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if err := xml.Unmarshal(text, &got); err != nil || got.Keys.ID == "" {
		return nil, fmt.Errorf("keys for the bucket: %s: %.300s", answer.Status, text)
	}
	return &bucket{host: u.Host, name: plainWorkspace, tls: secure,
		keys: aws.Credentials{AccessKeyID: got.Keys.ID, SecretAccessKey: got.Keys.Secret, SessionToken: got.Keys.Token}}, nil
}

// syncedFiles is what the file system does at most for a store of one file an object: new file, sync, rename, sync of the
// folder, by as many as there are connections.
func syncedFiles(dir string, length time.Duration) (float64, error) {
	body, begin := make([]byte, objectSize), time.Now()
	var count atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, objectLoad)
	for i := range objectLoad {
		all.Go(func() {
			for errs[i] == nil && time.Since(begin) < length {
				n := count.Add(1)
				errs[i] = syncedFile(dir, strconv.FormatInt(n, 10), body)
			}
		})
	}
	all.Wait()
	return float64(count.Load()) / time.Since(begin).Seconds(), errors.Join(errs...)
}

func syncedFile(dir, name string, body []byte) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Sync(), f.Close(), os.Rename(path+".new", path)); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
