// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"

	"fathom.dev/fathom/internal/node/isolation"
)

func TestPathsOfMountsBecomeRealOnes(t *testing.T) {
	r := newRewriter([]isolation.Mount{{Source: "/state/code", Target: "/fathom/code"}, {Source: "/state/x", Target: "/fathom"}, {Source: "/state/data", Target: "/data"}})
	for in, want := range map[string]string{
		"/fathom/code/train.py":          "/state/code/train.py",
		"/fathom/code":                   "/state/code",
		"/fathom/coder":                  "/state/x/coder",
		"/fathom/other":                  "/state/x/other",
		"--in=/data/a:/data/b,/data":     "--in=/state/data/a:/state/data/b,/state/data",
		"/home/data/x":                   "/home/data/x",
		"/database":                      "/database",
		"../data/x":                      "../data/x",
		"file:///data/x":                 "file:///data/x",
		"sh -c 'cat /data/x > \"/data\"": "sh -c 'cat /state/data/x > \"/state/data\"",
		`{"path":"/data/x"}`:             `{"path":"/state/data/x"}`,
	} {
		if got := r.path(in); got != want {
			t.Errorf("%q became %q; want %q", in, got, want)
		}
	}
}

func TestNamesOfTheGangBecomeTheLoopback(t *testing.T) {
	pod := isolation.PodConfig{Namespace: "neurology", Subdomain: "train"}
	for in, want := range map[string]string{
		"train-0.train": "127.0.0.1", "tcp://train-0.train:29500": "tcp://127.0.0.1:29500",
		"train-0.train.neurology.svc.cluster.local": "127.0.0.1", "train-0.train.neurology": "127.0.0.1",
		`["a-0.train:1","a-1.train.neurology.svc:2"]`: `["127.0.0.1:1","127.0.0.1:2"]`,
		"model.trained": "model.trained", "x.train.other": "x.train.other", ".train": ".train", "plain": "plain",
	} {
		if got := loopbackNames(in, pod, "127.0.0.1"); got != want {
			t.Errorf("%q became %q; want %q", in, got, want)
		}
	}
}
