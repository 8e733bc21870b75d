// SPDX-License-Identifier: Apache-2.0

// Package oippb is the gRPC form of the Open Inference Protocol v2: its messages, generated from inference.proto, and how they
// become messages of the REST form and back. All values travel as raw bytes, so that nothing is lost on the way.
package oippb

import (
	"encoding/binary"
	"encoding/json"
	"math"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/oip"
)

// Service is the service's full name; its methods are below "/" + Service + "/".
const Service = "inference.GRPCInferenceService"

type tensor struct {
	Name       string         `json:"name"`
	Type       string         `json:"datatype"`
	Shape      []int64        `json:"shape"`
	Parameters map[string]any `json:"parameters"`
}

type output struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters"`
}

type request struct {
	ID         string         `json:"id,omitempty"`
	Parameters map[string]any `json:"parameters"`
	Inputs     []tensor       `json:"inputs"`
	Outputs    []output       `json:"outputs,omitempty"`
}

// Request writes a request as the REST form has it, with binary tensors: header is the JSON's length. Names, types, shapes and
// lengths are checked by who reads it. Errors: Invalid for contents that do not go with their datatype.
func Request(q *ModelInferRequest) (message []byte, header int, err error) {
	raw := q.GetRawInputContents()
	if len(raw) > 0 && len(raw) != len(q.GetInputs()) {
		return nil, 0, fault.New(fault.Invalid, "", "%d inputs, but %d raw_input_contents", len(q.GetInputs()), len(raw))
	}
	document := request{ID: q.GetId(), Parameters: parameters(q.GetParameters())}
	document.Parameters["binary_data_output"] = true
	var values []byte
	for i, in := range q.GetInputs() {
		before := len(values)
		switch {
		case len(raw) > 0 && in.GetContents() != nil:
			return nil, 0, fault.New(fault.Invalid, "", "input %q has contents beside raw_input_contents", in.GetName())
		case len(raw) > 0:
			values = append(values, raw[i]...)
		default:
			if values, err = appendContents(values, in); err != nil {
				return nil, 0, err
			}
		}
		t := tensor{Name: in.GetName(), Type: in.GetDatatype(), Shape: append([]int64{}, in.GetShape()...), Parameters: parameters(in.GetParameters())}
		t.Parameters["binary_data_size"] = len(values) - before
		document.Inputs = append(document.Inputs, t)
	}
	for _, o := range q.GetOutputs() {
		wanted := output{Name: o.GetName(), Parameters: parameters(o.GetParameters())}
		wanted.Parameters["binary_data"] = true
		document.Outputs = append(document.Outputs, wanted)
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, 0, fault.New(fault.Invalid, "", "a parameter is not a finite number")
	}
	return append(text, values...), len(text), nil
}

func parameters(list map[string]*InferParameter) map[string]any {
	out := make(map[string]any, len(list)+1)
	for name, p := range list {
		switch v := p.GetParameterChoice().(type) {
		case *InferParameter_BoolParam:
			out[name] = v.BoolParam
		case *InferParameter_Int64Param:
			out[name] = v.Int64Param
		case *InferParameter_StringParam:
			out[name] = v.StringParam
		case *InferParameter_DoubleParam:
			out[name] = v.DoubleParam
		case *InferParameter_Uint64Param:
			out[name] = v.Uint64Param
		}
	}
	return out
}

// appendContents writes typed contents as raw bytes.
func appendContents(dst []byte, in *ModelInferRequest_InferInputTensor) ([]byte, error) {
	c := in.GetContents()
	switch oip.Type(in.GetDatatype()) {
	case oip.Bool:
		for _, v := range c.GetBoolContents() {
			dst = append(dst, flag(v))
		}
	case oip.Int8, oip.Int16, oip.Int32:
		return appendInts(dst, in)
	case oip.Uint8, oip.Uint16, oip.Uint32:
		return appendUints(dst, in)
	case oip.Int64:
		for _, v := range c.GetInt64Contents() {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case oip.Uint64:
		for _, v := range c.GetUint64Contents() {
			dst = binary.LittleEndian.AppendUint64(dst, v)
		}
	case oip.FP32:
		for _, v := range c.GetFp32Contents() {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
	case oip.FP64:
		for _, v := range c.GetFp64Contents() {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		}
	case oip.Bytes:
		for _, v := range c.GetBytesContents() {
			dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(v))), v...)
		}
	default:
		return nil, fault.New(fault.Invalid, "", "input %q of datatype %.20q has no contents of its own: send raw_input_contents", in.GetName(), in.GetDatatype())
	}
	return dst, nil
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendInts(dst []byte, in *ModelInferRequest_InferInputTensor) ([]byte, error) {
	for _, v := range in.GetContents().GetIntContents() {
		switch {
		case in.GetDatatype() == string(oip.Int32):
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		case in.GetDatatype() == string(oip.Int16) && v == int32(int16(v)):
			dst = binary.LittleEndian.AppendUint16(dst, uint16(v))
		case in.GetDatatype() == string(oip.Int8) && v == int32(int8(v)):
			dst = append(dst, byte(v))
		default:
			return nil, outOfRange(in, v)
		}
	}
	return dst, nil
}

func appendUints(dst []byte, in *ModelInferRequest_InferInputTensor) ([]byte, error) {
	for _, v := range in.GetContents().GetUintContents() {
		switch {
		case in.GetDatatype() == string(oip.Uint32):
			dst = binary.LittleEndian.AppendUint32(dst, v)
		case in.GetDatatype() == string(oip.Uint16) && v <= math.MaxUint16:
			dst = binary.LittleEndian.AppendUint16(dst, uint16(v))
		case in.GetDatatype() == string(oip.Uint8) && v <= math.MaxUint8:
			dst = append(dst, byte(v))
		default:
			return nil, outOfRange(in, v)
		}
	}
	return dst, nil
}

func outOfRange(in *ModelInferRequest_InferInputTensor, v any) error {
	return fault.New(fault.Invalid, "", "%v in input %q is no value of the datatype %s", v, in.GetName(), in.GetDatatype())
}

// Response is an answer with all values in raw_output_contents.
func Response(a *oip.Response) *ModelInferResponse {
	out := &ModelInferResponse{ModelName: a.Model, ModelVersion: a.Version, Id: a.ID}
	for _, t := range a.Outputs {
		out.Outputs = append(out.Outputs, &ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: string(t.Type), Shape: t.Shape})
		out.RawOutputContents = append(out.RawOutputContents, oip.AppendRaw(nil, t))
	}
	return out
}

// Metadata is a model's metadata.
func Metadata(m oip.Metadata) *ModelMetadataResponse {
	return &ModelMetadataResponse{
		Name: m.Name, Versions: m.Versions, Platform: m.Platform, Inputs: specs(m.Inputs), Outputs: specs(m.Outputs),
	}
}

func specs(list []oip.Spec) []*ModelMetadataResponse_TensorMetadata {
	out := make([]*ModelMetadataResponse_TensorMetadata, len(list))
	for i, s := range list {
		out[i] = &ModelMetadataResponse_TensorMetadata{Name: s.Name, Datatype: string(s.Type), Shape: s.Shape}
	}
	return out
}
