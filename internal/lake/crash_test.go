// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// The child process of the crash tests: FATHOM_LAKE_CRASH is "<folder> <verb> <point> <n>". It dies by SIGKILL at the
// n-th passing of the point.
const crashEnv = "FATHOM_LAKE_CRASH"

func TestCrashChild(t *testing.T) {
	var dir, verb, point string
	var n int
	if _, err := fmt.Sscan(os.Getenv(crashEnv), &dir, &verb, &point, &n); err != nil {
		t.Skip("not a child of a crash test")
	}
	s, err := open(testOptions(dir), func(at string) {
		if at == point {
			if n--; n == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	switch verb {
	case "commit":
		commit(t, s, second(t, s))
	case "delete":
		err = s.Delete(context.Background(), voice)
	case "sweep":
		err = sweepLater(s)
	case "loop":
		loop(t, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("survived")
}

// dieAt runs the child and says whether it died at the point.
func dieAt(t *testing.T, dir, verb, point string, n int) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", crashEnv, dir, verb, point, n))
	out, err := cmd.CombinedOutput()
	if err == nil && strings.Contains(string(out), "survived") {
		return false
	}
	if exit, ok := err.(*exec.ExitError); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child failed otherwise: %v\n%s", err, out)
	}
	return true
}

func first(t testing.TB, s *Store) CommitRequest {
	return request(t, "fp1", put(t, s, "data.parquet", parquetOf(t, ints("x", 1), texts("who", "p1"))))
}

// second has other columns than first, lineage and subjects.
func second(t testing.TB, s *Store) CommitRequest {
	r := request(t, "fp2", put(t, s, "data.parquet", parquetOf(t, texts("x", "two"), ints("y", 2))))
	r.Inputs = []Input{{Role: RoleInput, Artifact: Artifact{Kind: KindDataset, Workspace: "neurology", Name: "raw", Version: "7"}}}
	r.Subjects = []string{"p2"}
	return r
}

func wantClean(t *testing.T, s *Store) {
	t.Helper()
	damage, err := s.Verify(context.Background())
	if err != nil || len(damage) > 0 {
		t.Fatalf("damage %+v, %v", damage, err)
	}
}

func TestKilledCommitIsAbsentOrWhole(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		point string
		n     int
		there bool // version 2 must exist after the restart
	}{
		{"blob-written", 1, false}, {"blob-renamed", 1, false},
		{"blob-written", 2, false}, {"blob-renamed", 2, false},
		{"blob-written", 4, false}, {"blob-renamed", 4, false},
		{"record-written", 1, false}, {"table-there", 1, false}, {"files-placed", 1, false}, {"snapshot-staged", 1, false},
		{"snapshot-committed", 1, true}, {"row-written", 1, true},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-%d-fresh=%v", c.point, c.n, fresh), func(t *testing.T) {
				dir, before := t.TempDir(), 0
				if !fresh {
					s := openTest(t, dir)
					commit(t, s, first(t, s))
					s.Close()
					before = 1
				}
				if !dieAt(t, dir, "commit", c.point, c.n) {
					t.Fatal("the point was not passed")
				}
				s := openTest(t, dir)
				wantClean(t, s)
				v, err := s.ByFingerprint(ctx, voice, "fp2")
				if c.there && err != nil || !c.there && !fault.Is(err, fault.NotFound) {
					t.Fatalf("version 2 after the crash: %+v, %v", v, err)
				}
				again := commit(t, s, second(t, s))
				if again.Number != before+1 || c.there && again.Snapshot != v.Snapshot {
					t.Fatalf("committed again: %+v, was %+v", again, v)
				}
				if got := scan(t, s, again); !reflect.DeepEqual(got, []string{"two|2"}) {
					t.Fatalf("rows %v", got)
				}
				knew, err := s.KnewSubject(ctx, "neurology", "p2")
				if err != nil || len(knew) != 1 || knew[0].Version != fmt.Sprint(again.Number) {
					t.Fatalf("subject known to %v, %v", knew, err)
				}
				why, err := s.Why(ctx, again.Artifact())
				if err != nil || len(why.Inputs) != 1 || why.Inputs[0].Name != "raw" {
					t.Fatalf("lineage %+v, %v", why, err)
				}
				wantClean(t, s)
			})
		}
	}
}

func TestKilledDelete(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := openTest(t, dir)
	commit(t, s, first(t, s))
	commit(t, s, second(t, s))
	s.Close()
	if !dieAt(t, dir, "delete", "rows-deleted", 1) {
		t.Fatal("the point was not passed")
	}
	s = openTest(t, dir)
	if _, err := s.Latest(ctx, voice); !fault.Is(err, fault.NotFound) {
		t.Fatalf("Latest after a deletion: %v", err)
	}
	if tbl, err := s.tables.load(ctx, voice); tbl != nil || err != nil {
		t.Fatalf("the table is still there: %v", err)
	}
	wantClean(t, s)
	if v := commit(t, s, first(t, s)); v.Number != 3 {
		t.Fatalf("numbers were used again: %d", v.Number)
	}
	wantClean(t, s)
}

// loop commits versions until it is killed, telling each.
func loop(t testing.TB, s *Store) {
	for i := 1; ; i++ {
		v := commit(t, s, request(t, fmt.Sprint("loop", i), put(t, s, "data.parquet", parquetOf(t, ints("x", i)))))
		if v.Number != i {
			t.Fatalf("fingerprint %d is version %d", i, v.Number)
		}
		fmt.Println("committed", i)
	}
}

func TestKilledAtAnyMoment(t *testing.T) {
	dir, acknowledged := t.TempDir(), 0
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s loop never 1", crashEnv, dir))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		until := acknowledged + 3 + round
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "committed %d", &n); err == nil && n > acknowledged {
				acknowledged = n
			}
			if acknowledged >= until {
				cmd.Process.Kill() // somewhere in the next commit
				break
			}
		}
		for lines.Scan() { // what it still managed to say
			fmt.Sscanf(lines.Text(), "committed %d", &acknowledged)
		}
		cmd.Wait()
		s := openTest(t, dir)
		wantClean(t, s)
		v, err := s.Latest(context.Background(), voice)
		if err != nil || v.Number < acknowledged || v.Fingerprint != fmt.Sprint("loop", v.Number) {
			t.Fatalf("latest %+v, %v after %d were acknowledged", v, err, acknowledged)
		}
		if got := scan(t, s, v); !reflect.DeepEqual(got, []string{fmt.Sprint(v.Number)}) {
			t.Fatalf("rows %v of version %d", got, v.Number)
		}
		acknowledged = v.Number
		s.Close()
	}
}
