// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

// memberName is the only member's; a restored store must have the same.
const memberName = "fathom"

// startEtcd opens the store and serves it on a Unix socket inside the state directory: only this user can reach it.
func (cp *ControlPlane) startEtcd(ctx context.Context) error {
	dir := cp.state.path("etcd")
	if err := verifyStore(dir); err != nil {
		return corruptStore(dir, err)
	}
	config, err := cp.etcdConfig(dir)
	if err != nil {
		return err
	}
	server, err := openEtcd(config)
	if err != nil {
		return corruptStore(dir, err)
	}
	cp.parts = append(cp.parts, cp.run("etcd", func(ctx context.Context) error {
		defer server.Close()
		select {
		case <-ctx.Done():
			return compact(server)
		case err := <-server.Err():
			return err
		}
	}))
	select {
	case <-server.Server.ReadyNotify():
		return nil
	case err := <-cp.failed:
		return err
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, "kube: etcd", ctx.Err())
	}
}

// compact forgets all but the newest version of every object. The API server does so every five minutes, which short
// runs never reach.
func compact(server *embed.Etcd) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := server.Server.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: server.Server.KV().Rev(), Physical: true})
	return fault.Wrap(fault.Unavailable, "kube: compact etcd", err)
}

func (cp *ControlPlane) etcdConfig(dir string) (*embed.Config, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, pki.Unwritable(dir, err)
	}
	wal.SegmentSizeBytes = 16 << 20 // pre-allocated, twice
	config := embed.NewConfig()
	config.Name = memberName
	config.Dir = dir
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ListenPeerUrls = nil
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: cp.state.socket}}
	config.TickMs, config.ElectionMs = 20, 200 // a single member elects itself after up to one ElectionMs
	config.EnableGRPCGateway = false
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger(cp.opts.ComponentLog))
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.QuotaBackendBytes = 4 << 30
	config.SnapshotCount = 5000
	config.BootstrapDefragThresholdMegabytes = 64
	return config, nil
}

// openEtcd turns the panics with which etcd meets damaged files into errors.
func openEtcd(config *embed.Config) (server *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			server, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return embed.StartEtcd(config)
}

func corruptStore(dir string, err error) error {
	return fault.New(fault.Corrupt, "kube.Start", "the object store in %s cannot be opened: %w", dir, err).
		WithHint("nothing was changed; restore the state directory from a backup, or start with an empty one")
}
