// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// trackers starts the peers that can be had, and says which cannot.
func (b *bench) trackers(ctx context.Context) (list []*tracker, missing []error) {
	for _, begin := range []func(context.Context) (*tracker, error){b.mlflowOnSQLite, b.mlflowOnPostgres, b.fastTrackML} {
		t, err := begin(ctx)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		list = append(list, t)
	}
	return list, missing
}

func servedTracker(name, note string, c *child) *tracker {
	return &tracker{name: name, note: note, base: "http://" + c.address, host: c.address, close: c.close,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: metricLoad}, Timeout: 5 * time.Minute}}
}

func (b *bench) mlflowServer(ctx context.Context, dir, database string) (*child, string, error) {
	venv, err := b.environment(ctx, "tracking")
	if err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	c, err := start(ctx, address, healthPath, []string{"MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"}, filepath.Join(venv, "bin", "mlflow"), "server",
		"--host", "127.0.0.1", "--port", address[len("127.0.0.1:"):], "--workers", "2",
		"--backend-store-uri", database, "--default-artifact-root", filepath.Join(dir, "artifacts"))
	return c, filepath.Join(venv, "bin", "python"), err
}

func (b *bench) mlflowOnSQLite(ctx context.Context) (*tracker, error) {
	dir, err := b.fresh("mlflow")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "mlflow.db")
	c, python, err := b.mlflowServer(ctx, dir, "sqlite:///"+file)
	if err != nil {
		return nil, err
	}
	t := servedTracker("MLflow server on SQLite, 2 workers, plain HTTP", "", c)
	t.fill = func(ctx context.Context, experiment string, count int) error {
		cmd := exec.CommandContext(ctx, python, filepath.Join(b.source, "bench", "peers", "fill.py"), file, experiment, strconv.Itoa(count)) //nolint:gosec // our own
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("fill the MLflow server: %w: %s", err, lastLine(out))
		}
		return nil
	}
	return t, nil
}

// mlflowOnPostgres runs PostgreSQL as it is installed, which syncs each commit, as another user: it refuses to run as root.
func (b *bench) mlflowOnPostgres(ctx context.Context) (*tracker, error) {
	dir, err := b.fresh("postgres")
	if err != nil {
		return nil, err
	}
	database, stop, err := startPostgres(ctx, dir)
	if err != nil {
		return nil, err
	}
	c, _, err := b.mlflowServer(ctx, dir, database)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	t := servedTracker("MLflow server on PostgreSQL, 2 workers, plain HTTP", "", c)
	t.close = func() error { return errors.Join(c.close(), stop()) }
	return t, nil
}

func startPostgres(ctx context.Context, dir string) (database string, stop func() error, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", nil, &absent{"MLflow on PostgreSQL needs Debian's postgresql"}
	}
	bin := filepath.Dir(found[len(found)-1])
	as := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		owner, err := user.Lookup("postgres")
		if err != nil {
			return "", nil, &absent{"PostgreSQL needs its user: " + err.Error()}
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := errors.Join(os.Chown(dir, uid, gid), os.Chmod(filepath.Dir(dir), 0o711)); err != nil { //nolint:gosec // to pass through
			return "", nil, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	data := filepath.Join(dir, "data")
	make := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8") //nolint:gosec // Debian's
	make.SysProcAttr, make.Dir = as, dir
	if out, err := make.CombinedOutput(); err != nil {
		return "", nil, &absent{"PostgreSQL could not be set up: " + lastLine(out)}
	}
	c := &child{cmd: exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-k", dir, "-h", "127.0.0.1")} //nolint:gosec // Debian's
	c.cmd.SysProcAttr, c.cmd.Dir = as, dir
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		return "", nil, err
	}
	limit := time.Now().Add(serverPatience)
	for exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port).Run() != nil { //nolint:gosec // Debian's
		if err := pause(ctx, 100*time.Millisecond); err != nil || time.Now().After(limit) {
			return "", nil, errors.Join(err, c.close(), &absent{"PostgreSQL did not get ready"})
		}
	}
	return "postgresql+psycopg2://bench@127.0.0.1:" + port + "/postgres", func() error {
		_ = syscall.Kill(c.cmd.Process.Pid, syscall.SIGINT) // ends without waiting for clients
		var ended *exec.ExitError
		if err := c.cmd.Wait(); err != nil && !errors.As(err, &ended) {
			return err
		}
		return nil
	}, nil
}

func (b *bench) fastTrackML(ctx context.Context) (*tracker, error) {
	venv, err := b.environment(ctx, "fasttrackml")
	if err != nil {
		return nil, err
	}
	dir, err := b.fresh("fasttrackml")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, address, healthPath, nil, filepath.Join(venv, "bin", "fml"), "server", "--listen-address", address,
		"--database-uri", "sqlite://"+filepath.Join(dir, "fml.db"), "--default-artifact-root", filepath.Join(dir, "artifacts"))
	if err != nil {
		return nil, err
	}
	return servedTracker("FastTrackML on SQLite, plain HTTP", "it does not sync before it answers", c), nil
}
