// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/predict"
)

// brief is the number of values below which a run is over before anyone could give up on it.
const brief = 1 << 16

func (s *server) infer(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	status := http.StatusOK
	if err := s.answer(w, r); err != nil {
		status = fault.HTTPStatus(fault.KindOf(err))
		s.fail(w, r, err)
	}
	s.metrics.done(status, time.Since(start))
}

// answer reads, computes and writes; an error means that nothing has been written.
func (s *server) answer(w http.ResponseWriter, r *http.Request) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fault.New(fault.Invalid, "", "a body of Content-Encoding %q is not read: send it uncompressed", clip(coding))
	}
	body, free, err := s.read(r)
	if err != nil {
		return err
	}
	defer free()
	request, err := oip.ReadRequest(body, r.Header.Get(oip.HeaderLength), s.limits)
	if err != nil {
		return err
	}
	if err := s.checkOutputs(request.Outputs); err != nil {
		return err
	}
	inputs, err := s.inputs.assemble(request.Inputs)
	if err != nil {
		return err
	}
	outputs, err := s.run(r.Context(), inputs)
	if err != nil {
		return err
	}
	return s.write(w, request, outputs)
}

func (s *server) run(ctx context.Context, inputs []predict.Tensor) ([]predict.Tensor, error) {
	select {
	case s.running <- struct{}{}:
	default:
		select {
		case s.running <- struct{}{}:
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, "", ctx.Err())
		}
	}
	defer func() { <-s.running }()
	values, rows := 0, 1.0
	for _, in := range inputs {
		values += in.Len()
		if len(in.Shape) > 0 {
			rows = float64(in.Shape[0])
		}
	}
	s.metrics.rows.Observe(rows)
	if values < brief { // stopping costs more than such a run
		ctx = context.WithoutCancel(ctx)
	}
	return s.Session.Run(ctx, inputs)
}

// checkOutputs refuses unknown names before anything is computed.
func (s *server) checkOutputs(wanted []oip.Output) error {
	for i, o := range wanted {
		if _, known := s.Session.Signature().Output(o.Name); !known {
			return fault.New(fault.Invalid, "", "no output is called %q", clip(o.Name)).WithHint("GET /v2/models/%s lists them", s.Name)
		}
		for _, other := range wanted[:i] {
			if other.Name == o.Name {
				return fault.New(fault.Invalid, "", "output %q is asked for twice", o.Name)
			}
		}
	}
	return nil
}

// write sends the outputs that were asked for.
func (s *server) write(w http.ResponseWriter, request *oip.Request, outputs []predict.Tensor) error {
	answer := oip.Response{Model: s.Name, Version: s.Version, ID: request.ID}
	binary := func(string) bool { return request.Binary }
	if len(request.Outputs) > 0 {
		binary = func(name string) bool {
			for _, o := range request.Outputs {
				if o.Name == name {
					return o.Binary
				}
			}
			return false
		}
	}
	size := 256
	for _, out := range outputs {
		if wanted(request.Outputs, out.Name) {
			if err := finite(out); err != nil {
				return err
			}
			answer.Outputs = append(answer.Outputs, oip.Tensor{Name: out.Name, Type: oip.Type(out.Type), Shape: out.Shape, Data: out.Data})
			size += 64 + 16*out.Len()
		}
	}
	message, header, err := oip.AppendResponse(make([]byte, 0, size), &answer, binary)
	if err != nil {
		return err
	}
	kind := "application/json"
	if header > 0 {
		kind = "application/octet-stream"
		w.Header().Set(oip.HeaderLength, strconv.Itoa(header))
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(message)))
	_, _ = w.Write(message) // nobody is left to tell
	return nil
}

func wanted(list []oip.Output, name string) bool {
	for _, o := range list {
		if o.Name == name {
			return true
		}
	}
	return len(list) == 0
}

// finite refuses answers that are none: a model without an imputer makes NaN of a missing value.
func finite(t predict.Tensor) error {
	if err := t.Finite(); err != nil {
		return fault.New(fault.Invalid, "", "the model has no answer to these values: %w", err).
			WithHint("values may be missing or out of range; a model fills missing values if its pipeline begins with an imputer")
	}
	return nil
}
