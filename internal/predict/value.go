// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// toValue makes ONNX Runtime's view of a tensor; numeric data is shared, not copied.
func toValue(t Tensor) (ort.Value, error) {
	switch d := t.Data.(type) {
	case []bool:
		return numeric(t.Shape, d)
	case []float32:
		return numeric(t.Shape, d)
	case []float64:
		return numeric(t.Shape, d)
	case []string:
		return stringTensor(t.Shape, d)
	case []uint16:
		switch t.Type {
		case FP16:
			return raw16(t.Shape, d, ort.TensorElementDataTypeFloat16)
		case BF16:
			return raw16(t.Shape, d, ort.TensorElementDataTypeBFloat16)
		}
		return numeric(t.Shape, d)
	}
	return wholeNumbers(t)
}

func wholeNumbers(t Tensor) (ort.Value, error) {
	switch d := t.Data.(type) {
	case []uint8:
		return numeric(t.Shape, d)
	case []uint32:
		return numeric(t.Shape, d)
	case []uint64:
		return numeric(t.Shape, d)
	case []int8:
		return numeric(t.Shape, d)
	case []int16:
		return numeric(t.Shape, d)
	case []int32:
		return numeric(t.Shape, d)
	case []int64:
		return numeric(t.Shape, d)
	}
	return nil, fmt.Errorf("data of Go type %T cannot be sent", t.Data)
}

func stringTensor(shape []int64, texts []string) (ort.Value, error) {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) { // the binding would cut the text there
			return nil, fmt.Errorf("a text holds a NUL byte")
		}
	}
	value, err := ort.NewStringTensor(ort.NewShape(shape...))
	if err != nil {
		return nil, err
	}
	if err := value.SetContents(texts); err != nil {
		_ = value.Destroy()
		return nil, err
	}
	return value, nil
}

func numeric[T ort.TensorData](shape []int64, data []T) (ort.Value, error) {
	if len(shape) == 0 {
		return ort.NewScalar(data[0])
	}
	return ort.NewTensor(ort.NewShape(shape...), data)
}

// raw16 copies: the binding takes 16-bit floats as bytes only, and at least one of them.
func raw16(shape []int64, data []uint16, kind ort.TensorElementDataType) (ort.Value, error) {
	raw := make([]byte, 0, 2*len(data)+1)
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint16(raw, v)
	}
	if len(raw) == 0 {
		raw = append(raw, 0)
	}
	return ort.NewCustomDataTensor(ort.NewShape(shape...), raw, kind)
}

// zeroes makes data of a type.
func zeroes(t Type, n int64) any {
	switch t {
	case Bool:
		return make([]bool, n)
	case Uint8:
		return make([]uint8, n)
	case Uint16, FP16, BF16:
		return make([]uint16, n)
	case Uint32:
		return make([]uint32, n)
	case Uint64:
		return make([]uint64, n)
	case Int8:
		return make([]int8, n)
	case Int16:
		return make([]int16, n)
	case Int32:
		return make([]int32, n)
	case Int64:
		return make([]int64, n)
	case FP32:
		return make([]float32, n)
	case FP64:
		return make([]float64, n)
	}
	return make([]string, n)
}

// fromValue reads an output. classes orders the columns of a sequence of maps where the model carries an order.
func fromValue(value ort.Value, classes []string) (Tensor, error) {
	switch v := value.(type) {
	case *ort.Tensor[float32]:
		return Tensor{Type: FP32, Shape: v.GetShape(), Data: v.GetData()}, nil
	case *ort.Tensor[float64]:
		return Tensor{Type: FP64, Shape: v.GetShape(), Data: v.GetData()}, nil
	case *ort.Tensor[int64]:
		return Tensor{Type: Int64, Shape: v.GetShape(), Data: v.GetData()}, nil
	case *ort.StringTensor:
		texts, err := v.GetContents()
		return Tensor{Type: Bytes, Shape: v.GetShape(), Data: texts}, err
	case *ort.CustomDataTensor:
		return fromRaw(v)
	case *ort.Sequence:
		return fromMaps(v, classes)
	}
	return fromRare(value)
}

func fromRare(value ort.Value) (Tensor, error) {
	shape := []int64(value.GetShape())
	switch v := value.(type) {
	case *ort.Tensor[bool]:
		return Tensor{Type: Bool, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[uint8]:
		return Tensor{Type: Uint8, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[uint16]:
		return Tensor{Type: Uint16, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[uint32]:
		return Tensor{Type: Uint32, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[uint64]:
		return Tensor{Type: Uint64, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[int8]:
		return Tensor{Type: Int8, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[int16]:
		return Tensor{Type: Int16, Shape: shape, Data: v.GetData()}, nil
	case *ort.Tensor[int32]:
		return Tensor{Type: Int32, Shape: shape, Data: v.GetData()}, nil
	}
	return fromScalar(value)
}

func fromScalar(value ort.Value) (Tensor, error) {
	switch v := value.(type) {
	case *ort.Scalar[float32]:
		return Tensor{Type: FP32, Data: []float32{v.GetData()}}, nil
	case *ort.Scalar[float64]:
		return Tensor{Type: FP64, Data: []float64{v.GetData()}}, nil
	case *ort.Scalar[int64]:
		return Tensor{Type: Int64, Data: []int64{v.GetData()}}, nil
	case *ort.Scalar[int32]:
		return Tensor{Type: Int32, Data: []int32{v.GetData()}}, nil
	case *ort.Scalar[int16]:
		return Tensor{Type: Int16, Data: []int16{v.GetData()}}, nil
	case *ort.Scalar[int8]:
		return Tensor{Type: Int8, Data: []int8{v.GetData()}}, nil
	case *ort.Scalar[uint64]:
		return Tensor{Type: Uint64, Data: []uint64{v.GetData()}}, nil
	case *ort.Scalar[uint32]:
		return Tensor{Type: Uint32, Data: []uint32{v.GetData()}}, nil
	case *ort.Scalar[uint16]:
		return Tensor{Type: Uint16, Data: []uint16{v.GetData()}}, nil
	case *ort.Scalar[uint8]:
		return Tensor{Type: Uint8, Data: []uint8{v.GetData()}}, nil
	case *ort.Scalar[bool]:
		return Tensor{Type: Bool, Data: []bool{v.GetData()}}, nil
	}
	return Tensor{}, fmt.Errorf("a %T is not supported", value)
}

func fromRaw(v *ort.CustomDataTensor) (Tensor, error) {
	kind := FP16
	switch v.DataType() {
	case ort.TensorElementDataTypeFloat16:
	case ort.TensorElementDataTypeBFloat16:
		kind = BF16
	default:
		return Tensor{}, fmt.Errorf("ONNX type %d is not supported", v.DataType())
	}
	shape, raw := v.GetShape(), v.GetData()
	data := make([]uint16, elements(shape, 1<<40))
	for i := range data {
		data[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return Tensor{Type: kind, Shape: shape, Data: data}, nil
}

// fromMaps reads scikit-learn's ZipMap: one map from class to probability for each row becomes [rows, classes].
func fromMaps(v *ort.Sequence, classes []string) (Tensor, error) {
	rows, err := v.GetValues()
	if err != nil {
		return Tensor{}, err
	}
	column := make(map[string]int, len(classes))
	for i, class := range classes {
		column[class] = i
	}
	data := make([]float32, len(rows)*len(classes))
	for i, row := range rows {
		m, isMap := row.(*ort.Map)
		if !isMap {
			return Tensor{}, fmt.Errorf("a sequence of %T is not supported", row)
		}
		if err := readMap(m, column, data[i*len(classes):(i+1)*len(classes)]); err != nil {
			return Tensor{}, err
		}
	}
	return Tensor{Type: FP32, Shape: []int64{int64(len(rows)), int64(len(classes))}, Data: data}, nil
}

func readMap(m *ort.Map, column map[string]int, into []float32) error {
	keys, values, err := m.GetKeysAndValues()
	if err != nil {
		return err
	}
	probabilities, isFloat := values.(*ort.Tensor[float32])
	if !isFloat {
		return fmt.Errorf("a map to %T is not supported", values)
	}
	var texts []string
	switch k := keys.(type) {
	case *ort.Tensor[int64]:
		for _, key := range k.GetData() {
			texts = append(texts, strconv.FormatInt(key, 10))
		}
	case *ort.StringTensor:
		if texts, err = k.GetContents(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a map from %T is not supported", keys)
	}
	for i, text := range texts {
		at, known := column[text]
		if !known {
			return fmt.Errorf("class %q is none of the model's classes", text)
		}
		into[at] = probabilities.GetData()[i]
	}
	return nil
}
