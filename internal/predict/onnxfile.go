// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// modelFile is what has to be known of an ONNX file before ONNX Runtime may open it. Field numbers are those of
// github.com/onnx/onnx onnx/onnx.proto.
type modelFile struct {
	producer     string
	inputs       []Spec
	outputs      []Spec
	initializers map[string]bool
	// classes are the class labels of the last node that carries some.
	classes []string
	// external is the first tensor whose bytes are in another file.
	external string
	// metadata are the file's own key-value pairs.
	metadata map[string]string
}

// maxDepth of graphs within graphs (if, loop, scan).
const maxDepth = 32

// parseModel reads the parts of a ModelProto that modelFile holds. It keeps no reference to data but for strings.
func parseModel(data []byte) (*modelFile, error) {
	m := &modelFile{initializers: map[string]bool{}, metadata: map[string]string{}}
	graphs := 0
	err := fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 2:
			m.producer = string(v)
		case 7:
			graphs++
			return m.graph(v, 0)
		case 14:
			return m.property(v)
		case 25: // functions: nodes are field 7
			return fields(v, func(num protowire.Number, v []byte, _ uint64) error {
				if num == 7 {
					return m.node(v, 1)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && graphs != 1 {
		err = fmt.Errorf("it holds no graph")
	}
	if err != nil {
		return nil, err
	}
	m.dropInitialized()
	return m, nil
}

func (m *modelFile) property(data []byte) error {
	var key, value string
	err := fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			key = string(v)
		case 2:
			value = string(v)
		}
		return nil
	})
	m.metadata[key] = value
	return err
}

// dropInitialized removes the inputs that have a default: old files list their weights among the inputs.
func (m *modelFile) dropInitialized() {
	var inputs []Spec
	for _, in := range m.inputs {
		if !m.initializers[in.Name] {
			inputs = append(inputs, in)
		}
	}
	m.inputs = inputs
}

func (m *modelFile) graph(data []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs are nested deeper than %d", maxDepth)
	}
	return fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			return m.node(v, depth)
		case 5:
			name, err := m.tensor(v)
			if depth == 0 {
				m.initializers[name] = true
			}
			return err
		case 11, 12:
			if depth > 0 {
				return nil
			}
			spec, err := valueInfo(v)
			if num == 11 {
				m.inputs = append(m.inputs, spec)
			} else {
				m.outputs = append(m.outputs, spec)
			}
			return err
		case 15:
			return m.sparse(v)
		}
		return nil
	})
}

func (m *modelFile) node(data []byte, depth int) error {
	return fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		if num == 5 {
			return m.attribute(v, depth)
		}
		return nil
	})
}

func (m *modelFile) attribute(data []byte, depth int) error {
	var name string
	var labels []string
	err := fields(data, func(num protowire.Number, v []byte, n uint64) error {
		var err error
		switch num {
		case 1:
			name = string(v)
		case 5, 10:
			_, err = m.tensor(v)
		case 6, 11:
			err = m.graph(v, depth+1)
		case 8:
			labels, err = appendInts(labels, v, n)
		case 9:
			labels = append(labels, string(v))
		case 22, 23:
			err = m.sparse(v)
		}
		return err
	})
	switch name {
	case "classlabels_ints", "classlabels_int64s", "classlabels_strings", "classlabels_int64", "classlabels_string":
		if len(labels) > 0 {
			m.classes = labels
		}
	}
	return err
}

// appendInts reads a repeated int64, packed or one by one.
func appendInts(to []string, packed []byte, single uint64) ([]string, error) {
	if packed == nil {
		return append(to, strconv.FormatInt(int64(single), 10)), nil
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		to, packed = append(to, strconv.FormatInt(int64(v), 10)), packed[n:]
	}
	return to, nil
}

// tensor notes a TensorProto whose data is external and returns its name.
func (m *modelFile) tensor(data []byte) (string, error) {
	var name string
	external := false
	err := fields(data, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 8:
			name = string(v)
		case 13:
			external = true
		case 14:
			external = external || n != 0
		}
		return nil
	})
	if external && m.external == "" {
		m.external = name
		if name == "" {
			m.external = "(unnamed)"
		}
	}
	return name, err
}

func (m *modelFile) sparse(data []byte) error {
	return fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		if num == 1 || num == 2 {
			name, err := m.tensor(v)
			if num == 1 {
				m.initializers[name] = true
			}
			return err
		}
		return nil
	})
}

func valueInfo(data []byte) (Spec, error) {
	var spec Spec
	err := fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			spec.Name = string(v)
		case 2:
			return spec.typeProto(v)
		}
		return nil
	})
	return spec, err
}

// typeProto reads a tensor's type and shape, or recognises sequence(map(int64 or string → float)).
func (s *Spec) typeProto(data []byte) error {
	return fields(data, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			return s.tensorType(v)
		case 4:
			s.Type, s.Shape, s.Axes = "SEQUENCE", nil, nil
			return fields(v, func(num protowire.Number, v []byte, _ uint64) error {
				return fields(v, func(num protowire.Number, _ []byte, _ uint64) error {
					if num == 5 {
						s.Type, s.Shape, s.Axes = Map, []int64{-1, -1}, []string{"", ""}
					}
					return nil
				})
			})
		case 5:
			s.Type = "SINGLE MAP"
		case 8:
			s.Type = "SPARSE"
		case 9:
			s.Type = "OPTIONAL"
		}
		return nil
	})
}

func (s *Spec) tensorType(data []byte) error {
	s.anyRank = true
	return fields(data, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			s.Type = elementType(n)
		case 2:
			s.anyRank = false
			err := fields(v, func(num protowire.Number, v []byte, _ uint64) error {
				if num != 1 {
					return nil
				}
				size, axis, err := dimension(v)
				s.Shape, s.Axes = append(s.Shape, size), append(s.Axes, axis)
				return err
			})
			s.scalar = len(s.Shape) == 0
			return err
		}
		return nil
	})
}

func dimension(data []byte) (size int64, axis string, err error) {
	size = -1
	err = fields(data, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			size = int64(n)
		case 2:
			axis = string(v)
		}
		return nil
	})
	return size, axis, err
}

// elementType translates TensorProto.DataType.
func elementType(n uint64) Type {
	types := map[uint64]Type{
		1: FP32, 2: Uint8, 3: Int8, 4: Uint16, 5: Int16, 6: Int32, 7: Int64, 8: Bytes, 9: Bool, 10: FP16, 11: FP64, 12: Uint32,
		13: Uint64, 16: BF16,
	}
	if t, known := types[n]; known {
		return t
	}
	return Type("ONNX type " + strconv.FormatUint(n, 10))
}

// fields calls f for each field of a message: v of a length-delimited field (never nil), n of a varint.
func fields(data []byte, f func(num protowire.Number, v []byte, n uint64) error) error {
	for len(data) > 0 {
		num, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var v []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(data)
			if v == nil {
				v = []byte{}
			}
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(num, kind, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if err := f(num, v, n); err != nil {
			return err
		}
	}
	return nil
}
