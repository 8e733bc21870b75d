// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

// auditPolicy says what the API server's audit log records. Bodies are never recorded.
//
//go:embed audit-policy.yaml
var auditPolicy []byte

//go:embed scheduler.yaml
var schedulerConfig string

const encryptionConfig = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - {name: key1, secret: %s}
  - identity: {}
`

// prepareFiles writes the configuration files of the components, and on the first start their keys.
func prepareFiles(st *state) error {
	if err := pki.WriteFile(st.key("audit-policy.yaml"), auditPolicy, 0o600); err != nil {
		return err
	}
	scheduler := fmt.Sprintf(schedulerConfig, st.key(string(Scheduler)+".kubeconfig"))
	if err := pki.WriteFile(st.key("scheduler.yaml"), []byte(scheduler), 0o600); err != nil {
		return err
	}
	if _, err := pki.Key(st.key("service-accounts.key"), !st.used()); err != nil {
		return err
	}
	return prepareEncryption(st)
}

// prepareEncryption makes the key that encrypts Secrets. Like the other keys it is made on the first start only.
func prepareEncryption(st *state) error {
	path := st.key("encryption.yaml")
	data, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Contains(data, []byte("EncryptionConfiguration")):
		return nil
	case err == nil:
		return pki.Damaged(path, errors.New("it is not an EncryptionConfiguration"))
	case !errors.Is(err, fs.ErrNotExist) || st.used():
		return pki.Damaged(path, err)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fault.Wrap(fault.Internal, "kube: make the encryption key", err)
	}
	text := fmt.Sprintf(encryptionConfig, base64.StdEncoding.EncodeToString(key))
	return pki.WriteFile(path, []byte(text), 0o600)
}
