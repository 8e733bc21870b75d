// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ready := deployment{ready: 2, want: 2}
	for _, c := range []struct {
		name         string
		in           observation
		wantReason   string
		wantBringUp  int64
		wantSwitchTo int64
		wantRemove   []int64
		wantMessage  string
	}{
		{"no model", observation{waiting: "waits for model m"}, "Waiting", 0, 0, nil, "model m"},
		{"first version starts", observation{wanted: 1, replicas: 2}, "Running", 1, 0, nil, "0 of 2"},
		{"first version is up", observation{wanted: 1, replicas: 2, deployments: map[int64]deployment{1: ready}}, "Ready", 1, 1, nil, ""},
		{"serves", observation{wanted: 1, current: 1, replicas: 2, deployments: map[int64]deployment{1: ready}}, "Ready", 1, 0, nil, ""},
		{"second half up keeps the first", observation{wanted: 2, current: 1, replicas: 2,
			deployments: map[int64]deployment{1: ready, 2: {ready: 1, want: 2}}}, "Running", 2, 0, nil, "version 1 goes on serving"},
		{"second up", observation{wanted: 2, current: 1, replicas: 2,
			deployments: map[int64]deployment{1: ready, 2: ready}}, "Ready", 2, 2, nil, "version 2"},
		{"old drains", observation{wanted: 2, current: 2, replicas: 2, switchedAt: now.Add(-Drain / 2),
			deployments: map[int64]deployment{1: ready, 2: ready}}, "Ready", 2, 0, nil, ""},
		{"old goes", observation{wanted: 2, current: 2, replicas: 2, switchedAt: now.Add(-Drain),
			deployments: map[int64]deployment{1: ready, 2: ready}}, "Ready", 2, 0, []int64{1}, ""},
		{"version that never came up goes on rollback", observation{wanted: 1, current: 1, replicas: 2,
			deployments: map[int64]deployment{1: ready, 2: {want: 2}}}, "Ready", 1, 0, []int64{2}, ""},
		{"pin to nothing keeps serving", observation{refusal: "spec.version: no", current: 1}, "Invalid", 0, 0, nil, "goes on serving"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decide(c.in, now)
			if got.reason != c.wantReason || got.bringUp != c.wantBringUp || got.switchTo != c.wantSwitchTo ||
				!reflect.DeepEqual(got.remove, c.wantRemove) || !strings.Contains(got.message, c.wantMessage) {
				t.Errorf("decide = %+v", got)
			}
		})
	}
}
