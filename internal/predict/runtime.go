// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/json"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Runtime is the loaded ONNX Runtime of this process. It stays until the process ends.
type Runtime struct {
	library string
}

var (
	opening sync.Mutex // ONNX Runtime has one environment a process
	opened  *Runtime
)

// Open loads ONNX Runtime from a shared library (see [FindLibrary]). Later calls return the first call's Runtime, whatever
// their argument. Errors: Unavailable if the library cannot be loaded or is too old.
func Open(library string) (*Runtime, error) {
	opening.Lock()
	defer opening.Unlock()
	if opened != nil {
		return opened, nil
	}
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fault.New(fault.Unavailable, "predict.Open", "ONNX Runtime does not load: %w", err).
			WithHint("set %s to libonnxruntime of onnxruntime-node 1.30 or newer", LibraryVariable)
	}
	opened = &Runtime{library: library}
	return opened, nil
}

// Version is ONNX Runtime's.
func (r *Runtime) Version() string { return ort.GetVersion() }

// Limits bound what a model file and a request may ask for.
type Limits struct {
	// Bytes of a model file. Zero: 512 MiB.
	Bytes int64
	// Elements of one tensor, in the model's declared shapes and in requests. Zero: 16 Mi.
	Elements int64
	// Inputs and outputs, each. Zero: 4096.
	Names int
	// Threads of one run. Zero: 1; requests then run beside each other, not within.
	Threads int
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 512 << 20
	}
	if l.Elements == 0 {
		l.Elements = 16 << 20
	}
	if l.Names == 0 {
		l.Names = 4096
	}
	if l.Threads == 0 {
		l.Threads = 1
	}
	return l
}

// Load checks the bytes of an ONNX file and makes a session; model is not kept. Errors: Invalid for a file that is no model,
// keeps its weights in other files, or uses types or operators that cannot run here; TooLarge for one beyond the limits.
func (r *Runtime) Load(model []byte, limits Limits) (*Session, error) {
	limits = limits.withDefaults()
	if int64(len(model)) > limits.Bytes {
		return nil, fault.New(fault.TooLarge, "predict.Load", "the model has %d bytes, more than %d", len(model), limits.Bytes)
	}
	file, err := parseModel(model)
	if err != nil {
		return nil, loadError("this is not an ONNX model: %v", err).
			WithHint("write it with skl2onnx, torch.onnx.export, tf2onnx or the like")
	}
	if err := file.runnable(limits); err != nil {
		return nil, err
	}
	var features []string
	if named := file.metadata["features"]; named != "" {
		if err := json.Unmarshal([]byte(named), &features); err != nil {
			return nil, loadError("the metadata property \"features\" is no JSON list of names: %v", err)
		}
	}
	s := &Session{
		digest: ref.DigestOf(model),
		limits: limits,
		signature: Signature{
			Inputs: file.inputs, Outputs: file.outputs, Classes: file.classes, Features: features,
			Producer: file.producer,
		},
	}
	if err := s.open(model); err != nil {
		return nil, loadError("ONNX Runtime %s cannot run this model: %s", ort.GetVersion(), plain(err)).
			WithHint("export it again with opset 15 to 23 and standard operators")
	}
	return s, nil
}

// runnable refuses what ONNX Runtime should not even try.
func (m *modelFile) runnable(limits Limits) error {
	switch {
	case m.external != "":
		return loadError("tensor %q is stored in another file", clip(m.external)).
			WithHint("save the model as one file, for example onnx.save(model, path, save_as_external_data=False)")
	case len(m.inputs) == 0:
		return loadError("the model has no inputs")
	case len(m.outputs) == 0:
		return loadError("the model has no outputs")
	case len(m.inputs) > limits.Names || len(m.outputs) > limits.Names:
		return fault.New(fault.TooLarge, "predict.Load", "the model has %d inputs and %d outputs, more than %d",
			len(m.inputs), len(m.outputs), limits.Names)
	}
	for _, in := range m.inputs {
		if !runnableType(in.Type) || in.Type == Map {
			return loadError("input %q is of type %s, which cannot be sent", in.Name, in.Type)
		}
	}
	for _, out := range m.outputs {
		if !runnableType(out.Type) {
			return loadError("output %q is of type %s, which cannot be returned", out.Name, out.Type).
				WithHint("export tensors only; scikit-learn: zipmap=False")
		}
	}
	return sizes(append(append([]Spec(nil), m.inputs...), m.outputs...), limits.Elements)
}

// sizes refuses declared shapes that need more values than max, counting a free size as 1.
func sizes(list []Spec, max int64) error {
	for _, spec := range list {
		least := make([]int64, len(spec.Shape))
		for i, size := range spec.Shape {
			least[i] = size
			if size < 0 {
				least[i] = 1
			}
		}
		if elements(least, max) < 0 {
			return fault.New(fault.TooLarge, "predict.Load", "%s needs more than %d values", spec, max)
		}
	}
	return nil
}

func runnableType(t Type) bool {
	switch t {
	case Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, FP16, BF16, FP32, FP64, Bytes, Map:
		return true
	}
	return false
}

func loadError(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "predict.Load", format, args...)
}

// plain takes the places in ONNX Runtime's sources out of its messages.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"Error running network: ", "Error creating C session: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	words := strings.Fields(text)
	kept := words[:0]
	for _, word := range words {
		if !strings.Contains(word, "onnxruntime/core/") {
			kept = append(kept, word)
		}
	}
	if text = strings.Join(kept, " "); len(text) > 600 {
		text = text[:600] + "…"
	}
	return text
}
