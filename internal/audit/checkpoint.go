// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Checkpoint is a signed statement: after Seq entries the head of the chain was Hash.
type Checkpoint struct {
	Seq       uint64    `json:"seq"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"time"`
	Prev      uint64    `json:"prev"` // Seq of the checkpoint before, so that none can be taken out of the middle
	Key       string    `json:"key"`  // the first 16 hex digits of the SHA-256 of the public key
	Signature []byte    `json:"signature,omitempty"`
}

func (c Checkpoint) message() ([]byte, error) {
	c.Signature = nil
	return json.Marshal(c)
}

func (c *Checkpoint) sign(key ed25519.PrivateKey) error {
	c.Key = keyID(key.Public().(ed25519.PublicKey))
	message, err := c.message()
	if err != nil {
		return fault.Wrap(fault.Internal, "audit", err)
	}
	c.Signature = ed25519.Sign(key, message)
	return nil
}

func (c Checkpoint) signedBy(key ed25519.PublicKey) bool {
	message, err := c.message()
	return err == nil && ed25519.Verify(key, message, c.Signature)
}

func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// ReadWitness reads checkpoints, one a line as JSON, that [Options.Witness] has kept in a file. A torn last line is passed over.
// NotFound: there is no such file; Corrupt: a line is not a checkpoint.
func ReadWitness(file string) ([]Checkpoint, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fault.Wrap(fault.NotFound, "audit.ReadWitness", err)
	}
	all, _, err := readCheckpointFile(file)
	return all, err
}

// readCheckpoints returns the checkpoints of a directory and how many bytes of the file hold whole lines. A torn last
// line is not an error.
func readCheckpoints(dir string) (all []Checkpoint, whole int64, err error) {
	return readCheckpointFile(filepath.Join(dir, "checkpoints"))
}

func readCheckpointFile(path string) (all []Checkpoint, whole int64, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fault.Wrap(fault.Unavailable, "audit", err)
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	for line := range bytes.Lines(b) {
		var c Checkpoint
		if err := json.Unmarshal(line, &c); err != nil {
			return all, int64(len(b)), fault.New(fault.Corrupt, "audit", "checkpoint %d is not readable", len(all)+1)
		}
		all = append(all, c)
	}
	return all, int64(len(b)), nil
}

// loadKey reads the signing key, or makes one (0600) with its public half beside it.
func loadKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, "key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	seed, err := hex.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.Corrupt, "audit", "%s does not hold a signing key", path)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "audit", "%s can be read by others", path).WithHint("chmod 600 %s", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func makeKey(dir, path string) (ed25519.PrivateKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "audit", err)
	}
	if err := writeSynced(path+".pub", 0o644, fmt.Sprintf("%x\n", []byte(public))); err != nil {
		return nil, err
	}
	if err := writeSynced(path, 0o600, fmt.Sprintf("%x\n", private.Seed())); err != nil {
		return nil, err
	}
	return private, syncDir(dir)
}

// writeSynced writes a small file so that it is there whole or not at all.
func writeSynced(path string, mode fs.FileMode, text string) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	return fault.Wrap(fault.Unavailable, "audit", err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	return fault.Wrap(fault.Unavailable, "audit", errors.Join(d.Sync(), d.Close()))
}
