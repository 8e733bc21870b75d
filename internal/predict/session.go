// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"context"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Session is a loaded model. Any number of goroutines may use it at once; Close waits for them.
type Session struct {
	mu        sync.RWMutex
	session   *ort.DynamicAdvancedSession // nil after Close
	signature Signature
	digest    ref.Digest
	limits    Limits
}

// Signature says how the model is called. The caller must not change it.
func (s *Session) Signature() Signature { return s.signature }

// Digest is the content address of the model file.
func (s *Session) Digest() ref.Digest { return s.digest }

// Limits are the limits it was loaded with, defaults filled in.
func (s *Session) Limits() Limits { return s.limits }

func (s *Session) open(model []byte) error {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer func() { _ = options.Destroy() }()
	if err := options.SetIntraOpNumThreads(s.limits.Threads); err != nil {
		return err
	}
	if err := options.SetInterOpNumThreads(1); err != nil {
		return err
	}
	// Threads that spin between requests would burn the cores of an idle endpoint.
	if err := options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"); err != nil {
		return err
	}
	s.session, err = ort.NewDynamicAdvancedSessionWithONNXData(model, names(s.signature.Inputs), names(s.signature.Outputs), options)
	return err
}

// Close frees the model once the runs in progress have ended. A second Close does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil
	}
	session := s.session
	s.session = nil
	return session.Destroy()
}

// Run computes all outputs, in the signature's order, from one tensor for each input in any order. It ends early with ctx.
// Errors: Invalid for tensors that the signature does not allow (see [Signature.Check]) or that the model cannot compute, for
// example an index out of range; TooLarge beyond the limits; Exhausted without memory; Unavailable after Close or
// when ctx ended.
func (s *Session) Run(ctx context.Context, inputs []Tensor) ([]Tensor, error) {
	if err := s.signature.Check(inputs, s.limits.Elements); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.session == nil {
		return nil, fault.New(fault.Unavailable, "predict.Run", "the model is closed")
	}
	values := make([]ort.Value, len(inputs))
	defer destroy(values)
	batch := int64(1)
	for _, in := range inputs {
		value, err := toValue(in)
		if err != nil {
			return nil, invalid("input %q: %w", in.Name, err)
		}
		if len(in.Shape) > 0 {
			batch = in.Shape[0]
		}
		values[s.position(in.Name)] = value
	}
	outputs := make([]ort.Value, len(s.signature.Outputs))
	defer destroy(outputs)
	if err := s.allocate(outputs, batch); err != nil {
		return nil, err
	}
	if err := s.run(ctx, values, outputs); err != nil {
		return nil, err
	}
	return s.collect(outputs)
}

func (s *Session) position(name string) int {
	for i, spec := range s.signature.Inputs {
		if spec.Name == name {
			return i
		}
	}
	return -1
}

// allocate makes room for the outputs that the binding cannot read back from ONNX Runtime: scalars and 16-bit floats.
func (s *Session) allocate(outputs []ort.Value, batch int64) error {
	for i, spec := range s.signature.Outputs {
		var err error
		switch {
		case spec.scalar && spec.Type != Bytes:
			outputs[i], err = toValue(Tensor{Type: spec.Type, Data: zeroes(spec.Type, 1)})
		case spec.Type == FP16 || spec.Type == BF16:
			outputs[i], err = s.allocateHalf(spec, batch)
		}
		if err != nil {
			return invalid("output %s: %w", spec, err)
		}
	}
	return nil
}

func (s *Session) allocateHalf(spec Spec, batch int64) (ort.Value, error) {
	shape := append([]int64(nil), spec.Shape...)
	for i := range shape {
		if shape[i] < 0 && i > 0 {
			return nil, invalid("its size is not known beforehand; cast it to float32 in the model")
		}
		if shape[i] < 0 {
			shape[i] = batch
		}
	}
	count := elements(shape, s.limits.Elements)
	if count < 0 {
		return nil, fault.New(fault.TooLarge, "predict.Run", "more than %d values", s.limits.Elements)
	}
	return toValue(Tensor{Type: spec.Type, Shape: shape, Data: make([]uint16, count)})
}

func (s *Session) run(ctx context.Context, inputs, outputs []ort.Value) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Unavailable, "predict.Run", err)
	}
	var options *ort.RunOptions
	if ctx.Done() != nil {
		var err error
		if options, err = ort.NewRunOptions(); err != nil {
			return fault.Wrap(fault.Internal, "predict.Run", err)
		}
		finished := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(finished)
			_ = options.Terminate()
		})
		defer func() {
			if !stop() {
				<-finished
			}
			_ = options.Destroy()
		}()
	}
	err := s.session.RunWithOptions(inputs, outputs, options)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(fault.Unavailable, "predict.Run", ctx.Err())
	case strings.Contains(err.Error(), "Failed to allocate"):
		return fault.New(fault.Exhausted, "predict.Run", "not enough memory for this request").WithHint("send fewer rows at once")
	}
	return fault.New(fault.Invalid, "predict.Run", "the model cannot compute these inputs: %s", plain(err))
}

func (s *Session) collect(outputs []ort.Value) ([]Tensor, error) {
	tensors := make([]Tensor, len(outputs))
	for i, value := range outputs {
		spec := s.signature.Outputs[i]
		tensor, err := fromValue(value, s.signature.Classes)
		if err != nil {
			return nil, fault.New(fault.Invalid, "predict.Run", "output %q cannot be read: %w", spec.Name, err)
		}
		tensor.Name = spec.Name
		tensors[i] = tensor
	}
	return tensors, nil
}

func destroy(values []ort.Value) {
	for _, value := range values {
		if value != nil {
			_ = value.Destroy()
		}
	}
}

func names(list []Spec) []string {
	out := make([]string, len(list))
	for i, spec := range list {
		out[i] = spec.Name
	}
	return out
}
