// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	clientsnapshot "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"fathom.dev/fathom/internal/fault"
)

// revisionBump is added to the store's revision by a restore, so that a client which saw later revisions than the backup
// has reads everything anew instead of waiting for a change that it believes to know.
const revisionBump = 1_000_000_000

// Snapshot writes all objects of the state directory, as of one moment, to a new file (0600) with a checksum inside. It works
// while Fathom runs on the directory and while it does not.
//
// Errors by kind: Corrupt: the store is damaged (nothing has been changed); Unavailable: it does not answer before ctx ends;
// NotFound: the directory holds no objects.
func Snapshot(ctx context.Context, dir, file string) error {
	if _, err := os.Stat(filepath.Join(dir, "etcd", "member")); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "kube.Snapshot", "%s holds no objects", dir)
	}
	routeLogs(io.Discard) // gRPC tells of each connection that ends
	cp, err := storeOnly(ctx, dir)
	if fault.Is(err, fault.Conflict) {
		return saveFrom(ctx, runningSocket(dir), file)
	}
	if err != nil {
		return err
	}
	return errors.Join(saveFrom(ctx, cp.state.socket, file), cp.Stop(context.WithoutCancel(ctx)))
}

// storeOnly starts nothing but etcd on a directory that no Fathom uses.
func storeOnly(ctx context.Context, dir string) (*ControlPlane, error) {
	opts, err := Options{Dir: dir, ComponentLog: io.Discard}.complete()
	if err != nil {
		return nil, err
	}
	st, err := openState(opts.Dir)
	if err != nil {
		return nil, err
	}
	cp := &ControlPlane{opts: opts, state: st, failed: make(chan error, 4)}
	if err := cp.startEtcd(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop(context.WithoutCancel(ctx)))
	}
	return cp, nil
}

// runningSocket is where the Fathom that uses the directory listens for its own API server.
func runningSocket(dir string) string {
	path := filepath.Join(dir, "pki", "etcd.sock")
	if target, err := os.Readlink(path); err == nil {
		return target
	}
	return path
}

func saveFrom(ctx context.Context, socket, file string) error {
	_, err := clientsnapshot.SaveWithVersion(ctx, zap.NewNop(), clientv3.Config{
		Endpoints: []string{"unix://" + socket}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
	}, file)
	return fault.Wrap(fault.Unavailable, "kube.Snapshot", err)
}

// RestoreSnapshot makes the store of a new state directory from a file of [Snapshot]. Corrupt: the file does not match its
// checksum; Conflict: the directory has a store already.
func RestoreSnapshot(file, dir string) error {
	target := filepath.Join(dir, "etcd")
	if _, err := os.Stat(target); err == nil {
		return fault.New(fault.Conflict, "kube.RestoreSnapshot", "%s exists already", target)
	}
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: memberName, OutputDataDir: target, InitialClusterToken: "etcd-cluster",
		PeerURLs: []string{"http://localhost:2380"}, InitialCluster: memberName + "=http://localhost:2380",
		RevisionBump: revisionBump, MarkCompacted: true,
	})
	return fault.Wrap(fault.Corrupt, "kube.RestoreSnapshot", err)
}

// VerifySnapshot checks a file of [Snapshot] against its checksum and returns how many keys it holds.
func VerifySnapshot(file string) (keys int, err error) {
	status, err := snapshot.NewV3(zap.NewNop()).Status(file)
	return status.TotalKey, fault.Wrap(fault.Corrupt, "kube.VerifySnapshot", err)
}

// VerifyStore reads the store of a directory that no Fathom uses, and changes nothing. The error is of kind Corrupt.
func VerifyStore(dir string) error {
	etcd := filepath.Join(dir, "etcd")
	if err := verifyStore(etcd); err != nil {
		return corruptStore(etcd, err)
	}
	return nil
}
