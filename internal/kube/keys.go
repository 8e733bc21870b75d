// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"fathom.dev/fathom/internal/kube/pki"
)

// KeyProblem is a key of the state directory that cannot be used, or that others can read.
type KeyProblem struct {
	File   string
	Detail string
	Open   bool // others can read it; the key itself is well
}

// VerifyKeys looks at the keys without which stored data cannot be used; nothing is changed. A directory that was never used is
// fine.
func VerifyKeys(dir string, now time.Time) []KeyProblem {
	st := &state{dir: dir}
	if !st.used() {
		return nil
	}
	var found []KeyProblem
	add := func(name string, err error) {
		if err != nil {
			found = append(found, KeyProblem{File: st.key(name), Detail: err.Error()})
		}
	}
	authority, err := pki.Read(st.path("pki"))
	add("ca.key", err)
	if err == nil && now.After(authority.NotAfter()) {
		add("ca.crt", errors.New("the authority's certificate ended on "+authority.NotAfter().Format(time.DateOnly)))
	}
	_, err = pki.Key(st.key("service-accounts.key"), false)
	add("service-accounts.key", err)
	add("encryption.yaml", verifyEncryption(st.key("encryption.yaml")))
	for _, name := range []string{"ca.key", "service-accounts.key", "encryption.yaml"} {
		if info, err := os.Stat(st.key(name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			found = append(found, KeyProblem{File: st.key(name), Detail: "others can read it", Open: true})
		}
	}
	return found
}

func verifyEncryption(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(filepath.Base(path) + " is missing: Secrets cannot be read without it")
	} else if err != nil {
		return err
	}
	var config struct {
		Kind      string `json:"kind"`
		Resources []any  `json:"resources"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil || config.Kind != "EncryptionConfiguration" || len(config.Resources) == 0 {
		return errors.New("it is not an EncryptionConfiguration")
	}
	return nil
}
