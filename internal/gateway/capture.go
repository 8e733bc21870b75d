// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
)

// keep captures an answered prediction after the client has its answer. What cannot be kept is counted.
func (g *gateway) keep(ctx context.Context, w http.ResponseWriter, x *exchange, at time.Time) {
	if g.Capture == nil || x.status != http.StatusOK || rand.Float64() >= x.slot.target.Sample {
		return
	}
	_ = http.NewResponseController(w).Flush() // the client shall not wait for its copy
	if err := g.record(context.WithoutCancel(ctx), x, at); err != nil {
		x.pool.use.dropped.Inc()
		return
	}
	x.pool.use.kept.Inc()
}

func (g *gateway) record(ctx context.Context, x *exchange, at time.Time) error {
	if x.rest != nil {
		return fault.New(fault.TooLarge, "capture", "the answer is larger than %d bytes", whole)
	}
	layout, err := x.pool.meta.of(ctx, g, x)
	if err != nil {
		return err
	}
	request, err := oip.ReadRequest(x.body, x.head.Get(oip.HeaderLength), oip.Limits{})
	if err != nil {
		return err
	}
	answer, err := oip.ReadResponse(x.answer, x.json, oip.Limits{})
	if err != nil {
		return err
	}
	filled := spareColumns.Get().(*columns)
	defer filled.done()
	rows := layout.features(filled, request.Inputs)
	layout.answers(filled, answer.Outputs, rows)
	return g.Capture(ctx, x.name, capture.Record{
		RequestID: x.id, Time: at, Version: x.slot.target.Version, Status: x.status, Rows: rows, Columns: filled.list,
	})
}

// metadata remembers how the served version's requests and answers are read.
type metadata struct {
	mu      sync.Mutex
	version int64
	layout  *layout
	again   time.Time // not asked before, after a failure
}

func (m *metadata) of(ctx context.Context, g *gateway, x *exchange) (*layout, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := x.slot.target.Version
	if m.layout != nil && m.version == version {
		return m.layout, nil
	}
	if g.Now().Before(m.again) {
		return nil, fault.New(fault.Unavailable, "capture", "the model's metadata is not known yet")
	}
	found, err := g.ask(ctx, x)
	if err != nil {
		m.again = g.Now().Add(5 * time.Second)
		return nil, err
	}
	m.version, m.layout = version, newLayout(found)
	return m.layout, nil
}

// ask gets the metadata from the replica that has just answered.
func (g *gateway) ask(ctx context.Context, x *exchange) (oip.Metadata, error) {
	var m oip.Metadata
	address := x.slot.address
	head := appendHead(nil, http.MethodGet, strings.TrimSuffix(x.path, "/infer"), address, x.id, nil, 0)
	answer, wire, err := g.wires.ask(ctx, address, head, nil, time.Now().Add(2*time.Second))
	if err != nil {
		return m, fault.Wrap(fault.Unavailable, "capture", err)
	}
	text, err := io.ReadAll(io.LimitReader(answer.body, whole))
	g.wires.done(wire, err == nil && len(text) < whole && !answer.closing)
	if err == nil && answer.status == http.StatusOK {
		err = json.Unmarshal(text, &m)
	} else if err == nil {
		err = fault.New(fault.Unavailable, "capture", "the replica answers %d", answer.status)
	}
	return m, fault.Wrap(fault.Unavailable, "capture", err)
}
