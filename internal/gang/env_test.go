// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"encoding/json"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestEnvironment(t *testing.T) {
	base := Gang{Name: "train-1", Service: "train", Workspace: "neurology", Workers: 3}
	with := func(change func(*Gang)) Gang { g := base; change(&g); return g }
	const peers = "train-1-0.train.neurology.svc:29500,train-1-1.train.neurology.svc:29500,train-1-2.train.neurology.svc:29500"
	tests := []struct {
		name string
		gang Gang
		rank int
		want map[string]string
	}{
		{"python", base, 2, map[string]string{"FATHOM_RANK": "2", "FATHOM_WORKERS": "3", "FATHOM_PEERS": peers,
			"FATHOM_MASTER_ADDR": "train-1-0.train.neurology.svc", "FATHOM_MASTER_PORT": "29500"}},
		{"one worker", Gang{Name: "a", Workspace: "w"}, 0, map[string]string{"FATHOM_WORKERS": "1", "FATHOM_PEERS": "a-0.a.w.svc:29500"}},
		{"loopback", with(func(g *Gang) { g.Loopback, g.Port = true, 21000 }), 1, map[string]string{
			"FATHOM_PORT": "21001", "FATHOM_PEERS": "127.0.0.1:21000,127.0.0.1:21001,127.0.0.1:21002"}},
		{"pytorch", with(func(g *Gang) { g.Framework = PyTorch }), 1, map[string]string{"RANK": "1", "WORLD_SIZE": "3",
			"LOCAL_RANK": "0", "MASTER_ADDR": "train-1-0.train.neurology.svc", "MASTER_PORT": "29500", "PET_NNODES": "3",
			"PET_NODE_RANK": "1", "PET_NPROC_PER_NODE": "1", "PET_MASTER_ADDR": "train-1-0.train.neurology.svc", "PET_MASTER_PORT": "29500"}},
		{"tensorflow", with(func(g *Gang) { g.Framework, g.Workers = TensorFlow, 2 }), 1, map[string]string{
			"TF_CONFIG": `{"cluster":{"worker":["train-1-0.train.neurology.svc:29500","train-1-1.train.neurology.svc:29500"]},"environment":"cloud","task":{"index":1,"type":"worker"}}`}},
		{"horovod", with(func(g *Gang) { g.Framework, g.Rendezvous = Horovod, "10.0.0.1:99" }), 1, map[string]string{
			"HOROVOD_RANK": "1", "HOROVOD_SIZE": "3", "HOROVOD_CROSS_RANK": "1", "HOROVOD_LOCAL_SIZE": "1", "HOROVOD_CONTROLLER": "gloo",
			"HOROVOD_GLOO_RENDEZVOUS_ADDR": "10.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": "99", "HOROVOD_GLOO_IFACE": "eth0"}},
		{"mpi", with(func(g *Gang) { g.Framework = MPI }), 0, map[string]string{
			"OMPI_MCA_orte_default_hostfile": "/fathom/hostfile", "PRTE_MCA_prte_default_hostfile": "/fathom/hostfile"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.gang.Environment(tt.rank)
			if err != nil {
				t.Fatal(err)
			}
			for k, want := range tt.want {
				if got[k] != want {
					t.Errorf("%s = %q, want %q", k, got[k], want)
				}
			}
		})
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	for _, g := range []Gang{{Framework: "jax"}, {Workers: -1}, {Framework: Horovod, Rendezvous: "nowhere"}} {
		if _, err := g.Environment(0); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v, want Invalid", g, err)
		}
	}
}

func TestManifestIsCanonical(t *testing.T) {
	d := ref.DigestOf([]byte("x"))
	a, err := Manifest{Files: []File{{"b", d, 1}, {"a", d, 1}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Manifest{Files: []File{{"a", d, 1}, {"b", d, 1}}}.Encode()
	if string(a) != string(b) || !json.Valid(a) {
		t.Errorf("%s differs from %s", a, b)
	}
	for name, files := range map[string][]File{
		"two ranks wrote": {{"a", d, 1}, {"a", d, 1}},
		"relative path":   {{"../a", d, 1}},
		"digest":          {{"a", "md5:1", 1}},
	} {
		if _, err := (Manifest{Files: files}).Encode(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if empty, _ := (Manifest{}).Encode(); string(empty) != `{"files":[]}` {
		t.Errorf("empty manifest is %s", empty)
	}
}
