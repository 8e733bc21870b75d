// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const weedAccounts = `{"identities": [{"name": "bench", "credentials": [{"accessKey": "benchkey", "secretKey": "benchsecret"}], "actions": ["Admin"]}]}`

type weed struct {
	server *child
	bucket *bucket
}

// startWeed runs SeaweedFS as one process, told to sync every file before it answers.
func (b *bench) startWeed(ctx context.Context, program string) (*weed, error) {
	dir, err := b.fresh("weed")
	if err != nil {
		return nil, err
	}
	pool, err := writeCertificate(dir)
	if err != nil {
		return nil, err
	}
	accounts := filepath.Join(dir, "accounts.json")
	if err := os.WriteFile(accounts, []byte(weedAccounts), 0o600); err != nil {
		return nil, err
	}
	ports := make([]string, 7)
	for i := range ports {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		_, ports[i], _ = net.SplitHostPort(address)
	}
	server, err := start(ctx, "127.0.0.1:"+ports[0], "/cluster/healthz", nil, program, "server", "-ip=127.0.0.1", "-dir="+dir,
		"-master.port="+ports[0], "-master.port.grpc="+ports[1], "-volume.port="+ports[2], "-volume.port.grpc="+ports[3],
		"-filer.port="+ports[4], "-filer.port.grpc="+ports[5], "-filer", "-s3", "-s3.port="+ports[6], "-s3.config="+accounts,
		"-s3.cert.file="+filepath.Join(dir, "cert.pem"), "-s3.key.file="+filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	w := &weed{server: server, bucket: &bucket{host: "127.0.0.1:" + ports[6], name: "bench",
		tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, keys: aws.Credentials{AccessKeyID: "benchkey", SecretAccessKey: "benchsecret"}}}
	if err := w.configure(ctx, program, "127.0.0.1:"+ports[0]+"."+ports[1], "127.0.0.1:"+ports[4]+"."+ports[5]); err != nil {
		return nil, errors.Join(err, server.close())
	}
	return w, nil
}

// configure tells it to sync and makes the bucket, once its parts have found each other.
func (w *weed) configure(ctx context.Context, program, master, filer string) error {
	limit := time.Now().Add(serverPatience)
	for {
		err := w.tellToSync(ctx, program, master, filer)
		if err == nil {
			err = w.makeBucket(ctx)
		}
		if err == nil || time.Now().After(limit) {
			return err
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

func (w *weed) tellToSync(ctx context.Context, program, master, filer string) error {
	shell := exec.CommandContext(ctx, program, "shell", "-master="+master, "-filer="+filer) //nolint:gosec // the peer's own shell
	shell.Stdin = strings.NewReader("fs.configure -locationPrefix=/buckets/ -fsync -apply\n")
	out, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(strings.ReplaceAll(string(out), " ", ""), `"fsync":true`) {
		return &absent{fmt.Sprintf("SeaweedFS could not be told to sync: %v %.300s", err, out)}
	}
	return nil
}

func (w *weed) makeBucket(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+w.bucket.host+"/"+w.bucket.name, nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := v4.NewSigner().SignHTTP(ctx, w.bucket.keys, r, "UNSIGNED-PAYLOAD", "s3", objectRegion, time.Now()); err != nil {
		return err
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: w.bucket.tls.Clone()}, Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusConflict {
		return fmt.Errorf("SeaweedFS's bucket: %s: %s", answer.Status, text)
	}
	return nil
}

// writeCertificate makes cert.pem and key.pem for 127.0.0.1, valid for a day.
func writeCertificate(dir string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool, errors.Join(os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
