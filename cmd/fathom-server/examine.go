// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/backup"
	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/environment"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/s3"
	"fathom.dev/fathom/internal/staging"
	"fathom.dev/fathom/internal/tracking"
)

// examination is what doctor was asked for.
type examination struct {
	repair  bool
	witness string
}

// part is something that is verified by itself: what is wrong in one part keeps no other from being looked at.
type part struct {
	name, title, counts, well string
	look                      func(*doctor, context.Context) (int, error)
}

var parts = []part{
	{"keys", "keys", "", "whole and private", (*doctor).keys},
	{"disk", "disk", "", "has room", (*doctor).disk},
	{"objects", "Kubernetes objects", "%d keys", "checksums right", (*doctor).objects},
	{"database", "databases", "%d", "structure right", (*doctor).databases},
	{"audit", "audit log", "%d entries", "chain verified", (*doctor).audit},
	{"lake", "lake", "%d datasets verified", "every blob matches its digest", (*doctor).lake},
	{"models", "tracking", "%d artifacts", "all in the lake", (*doctor).artifacts},
	{"sources", "buckets", "%d objects", "every object matches its digest", (*doctor).sources},
	{"capture", "captured traffic", "%d segments", "every segment matches its digest", (*doctor).capture},
	{"runs", "accounts of runs", "%d", "readable", (*doctor).runs},
	{"environments", "environments", "%d", "complete", (*doctor).environments},
}

type doctor struct {
	state   string
	running bool
	asked   examination
	found   []finding
}

const (
	hintBackup  = "restore a backup into a new directory with `fathom restore`"
	minimumRoom = 512 << 20 // bytes free below which writing will soon fail
)

func examine(ctx context.Context, state string, asked examination) (examined, error) {
	state, err := existingState(state)
	if err != nil {
		return examined{}, err
	}
	running, err := inUse(state)
	if err != nil {
		return examined{}, err
	}
	if asked.repair && running {
		return examined{}, fault.New(fault.Conflict, "doctor", "Fathom is running on %s", state).WithHint("stop it, then repair")
	}
	d := &doctor{state: state, running: running, asked: asked}
	report := examined{State: state, Running: running, Counts: map[string]int{}}
	for _, p := range parts {
		n, err := p.look(d, ctx)
		if ctx.Err() != nil {
			return examined{}, fault.Wrap(fault.Unavailable, "doctor", ctx.Err())
		}
		if err != nil {
			d.add(finding{Part: p.name, Object: p.title, Detail: err.Error(), Hint: hintOf(err)})
		}
		report.Counts[p.name] = n
	}
	report.Findings = append([]finding{}, d.found...)
	return report, nil
}

// hintOf is empty where the error tells its own.
func hintOf(err error) string {
	var told *fault.Error
	for e := err; errors.As(e, &told); e = told.Err {
		if told.Hint != "" {
			return ""
		}
	}
	return hintBackup
}

func (d *doctor) path(parts ...string) string {
	return filepath.Join(append([]string{d.state}, parts...)...)
}

func (d *doctor) add(f finding) { d.found = append(d.found, f) }

func (d *doctor) keys(context.Context) (int, error) {
	for _, p := range kube.VerifyKeys(d.state, time.Now()) {
		f := finding{Part: "keys", Object: filepath.Base(p.File), File: p.File, Detail: p.Detail, Hint: hintBackup + "; without this key what it encrypted or signed is lost"}
		if p.Open {
			f.Hint = "chmod 600 " + p.File
			f.Mended = d.asked.repair && os.Chmod(p.File, 0o600) == nil
		}
		d.add(f)
	}
	return 0, nil
}

func (d *doctor) disk(context.Context) (int, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(d.state, &disk); err != nil {
		return 0, fault.Wrap(fault.Internal, "doctor", err)
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); free < minimumRoom { //nolint:unconvert // other types on other systems
		d.add(finding{Part: "disk", Object: d.state, Detail: size(free) + " are left; new data will soon be refused, nothing stored is lost",
			Hint: "free space on this disk, or move the state directory to a larger one: it works anywhere"})
	}
	return 0, nil
}

// objects are read through a snapshot while they change.
func (d *doctor) objects(ctx context.Context) (int, error) {
	if _, err := os.Stat(d.path("etcd", "member")); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if !d.running {
		if err := kube.VerifyStore(d.state); err != nil {
			return 0, err
		}
	}
	scratch, err := os.MkdirTemp("", "fathom-doctor-")
	if err != nil {
		return 0, fault.Wrap(fault.Internal, "doctor", err)
	}
	defer os.RemoveAll(scratch)
	file := filepath.Join(scratch, objectsFile)
	if err := kube.Snapshot(ctx, d.state, file); err != nil {
		return 0, err
	}
	return kube.VerifySnapshot(file)
}

func (d *doctor) databases(ctx context.Context) (int, error) {
	n := 0
	for name, advice := range map[string]string{
		"tracking.db": hintBackup + "; experiments and the registry are in it",
		"lineage.db":  hintBackup + "; or move it away: versions of datasets are made again from the lake, the history of runs is lost",
		"catalog.db":  hintBackup + "; it names the tables",
		"registry.db": hintBackup + "; it names what was pushed: code, images and models can be pushed again",
	} {
		file := d.path("db", name)
		if _, err := os.Stat(file); err != nil {
			if d.used() && name != "registry.db" { // older state directories have none
				d.add(finding{Part: "database", Object: name, File: file, Detail: "it is missing", Hint: advice})
			}
			continue
		}
		n++
		if err := backup.CheckSQLite(ctx, file); err != nil {
			d.add(finding{Part: "database", Object: name, File: file, Detail: err.Error(), Hint: advice})
		}
	}
	return n, nil
}

// used reports whether a lake was ever opened here.
func (d *doctor) used() bool {
	_, err := os.Stat(d.path("lake", "blobs"))
	return err == nil
}

const hintAudit = "somebody or something changed the log: keep the folder as evidence, compare it with the checkpoints kept elsewhere, " +
	"and move it aside to begin a new log"

func (d *doctor) audit(context.Context) (int, error) {
	if _, err := os.Stat(d.path("audit")); errors.Is(err, fs.ErrNotExist) {
		if d.used() {
			d.add(finding{Part: "audit", Object: "audit log", File: d.path("audit"), Detail: "it is missing", Hint: hintBackup})
		}
		return 0, nil
	}
	var kept []audit.Checkpoint
	if d.asked.witness != "" {
		var err error
		if kept, err = audit.ReadWitness(d.asked.witness); err != nil {
			return 0, err
		}
	}
	chain, err := audit.Verify(d.path("audit"), kept...)
	if err != nil {
		return 0, err
	}
	for _, problem := range chain.Problems {
		d.add(finding{Part: "audit", Object: "audit log", Detail: problem.String(), File: filepath.Join(d.path("audit"), problem.Segment), Hint: hintAudit})
	}
	return int(chain.Entries), nil
}

func (d *doctor) lake(ctx context.Context) (int, error) {
	if !d.used() {
		return 0, nil
	}
	store, damage, err := d.lookAtLake(ctx)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	for round := 0; d.asked.repair && round < 3; round++ { // a file that was mended lets the next be
		done, err := store.Mend(ctx, damage, d.otherCopies)
		if err != nil || len(done) == 0 {
			break
		}
		for _, m := range done {
			d.add(fromLake(m, true))
		}
		if damage, err = store.Verify(ctx); err != nil {
			return 0, err
		}
	}
	for _, m := range damage {
		d.add(fromLake(m, false))
	}
	names, err := store.Datasets(ctx, "")
	if err != nil {
		return 0, nil //nolint:nilerr // the database was told already
	}
	return len(names), nil
}

func (d *doctor) lookAtLake(ctx context.Context) (*lake.Store, []lake.Damage, error) {
	open := lake.Look
	if d.asked.repair {
		open = lake.Open
	}
	store, err := open(lake.Options{Dir: d.path("lake")})
	if err != nil {
		return nil, nil, err
	}
	damage, err := store.Verify(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, damage, nil
}

func fromLake(m lake.Damage, mended bool) finding {
	return finding{Part: "lake", Object: m.Object, File: m.File, Detail: m.Detail, UsedBy: m.UsedBy, Hint: m.Hint, Mended: mended}
}

// artifacts of experiments and registered models are names for blobs.
func (d *doctor) artifacts(ctx context.Context) (int, error) {
	file := d.path("db", "tracking.db")
	if _, err := os.Stat(file); err != nil || !d.used() {
		return 0, nil //nolint:nilerr // told with the databases
	}
	store, err := lake.Look(lake.Options{Dir: d.path("lake")})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	n := 0
	err = tracking.Artifacts(ctx, file, func(a tracking.Named) error {
		n++
		_, err := store.StatBlob(ctx, a.Digest)
		if fault.Is(err, fault.NotFound) {
			d.add(finding{Part: "models", Object: a.Workspace + "/" + a.Path, File: store.BlobPath(a.Digest),
				Detail: "the artifact's blob is missing", Hint: "log the artifact again, or " + hintBackup})
			return nil
		}
		return err
	})
	return n, err
}

func (d *doctor) sources(ctx context.Context) (int, error) {
	n, damage, err := s3.Verify(ctx, d.path("lake", "objects"))
	for _, m := range damage {
		d.add(finding{Part: "sources", Object: "s3://" + m.Bucket + "/" + m.Key, File: m.Path, Detail: m.Detail,
			Hint: "put the file again from where it came; versions that were made from it before are whole"})
	}
	return n, err
}

func (d *doctor) capture(context.Context) (int, error) {
	n, damage, err := capture.Verify(d.path("capture"))
	for _, m := range damage {
		f := finding{Part: "capture", Object: m.Of.String(), File: m.Path, Detail: m.Detail,
			Hint: "run `fathom doctor --repair`, which sets the file aside: these requests are lost, versions made from them are whole"}
		f.Mended = d.asked.repair && d.setAside(m.Path) == nil
		d.add(f)
	}
	return n, err
}

func (d *doctor) runs(context.Context) (int, error) {
	n, damaged, err := staging.VerifyLedger(d.path("staging"))
	for path, wrong := range damaged {
		f := finding{Part: "runs", Object: strings.TrimSuffix(filepath.Base(path), ".jsonl"), File: path, Detail: wrong,
			Hint: "run `fathom doctor --repair`, which sets the account aside: the run is tried again from its beginning"}
		f.Mended = d.asked.repair && d.setAside(path) == nil
		d.add(f)
	}
	return n, err
}

func (d *doctor) environments(context.Context) (int, error) {
	n, damaged, err := environment.Verify(d.path("envs"))
	for path, wrong := range damaged {
		f := finding{Part: "environments", Object: filepath.Base(path)[:12], File: path, Detail: wrong,
			Hint: "run `fathom doctor --repair`, which sets it aside: it is built again when code needs it"}
		f.Mended = d.asked.repair && d.setAside(path) == nil
		d.add(f)
	}
	return n, err
}

// otherCopies are files outside the lake's own that hold a blob's bytes: captured segments, by their name.
func (d *doctor) otherCopies(digest ref.Digest) []string {
	places, _ := filepath.Glob(d.path("capture", "*", "*", "*-"+digest.Hex()+".ndjson")) // the pattern is well formed
	return places
}

// setAside keeps what is damaged where nothing reads it.
func (d *doctor) setAside(path string) error {
	dir := d.path("damaged")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(dir, fmt.Sprintf("%s-%s", time.Now().UTC().Format("20060102T150405.000000"), filepath.Base(path))))
}
