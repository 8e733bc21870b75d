// SPDX-License-Identifier: Apache-2.0

package oip

// tensors reads a list of tensors, with their data from the JSON or from the raw bytes.
func (r *reader) tensors(what string) ([]Tensor, error) {
	var list []Tensor
	err := r.array(what, func() error {
		if len(list) >= r.limits.Tensors {
			return invalid("%s has more than %d tensors", what, r.limits.Tensors)
		}
		t, err := r.tensor(what)
		list = append(list, t)
		return err
	})
	return list, err
}

// pending is a tensor while its object is read; its members may come in any order.
type pending struct {
	Tensor
	shape  bool
	text   []byte // of data
	binary int64  // bytes; -1 for none
}

func (r *reader) tensor(what string) (Tensor, error) {
	p := pending{binary: -1}
	err := r.object("each of "+what, func(key string) error { return r.tensorMember(&p, key) })
	if err != nil {
		return Tensor{}, err
	}
	switch {
	case p.Name == "":
		return Tensor{}, invalid("one of %s has no name", what)
	case p.Type == "":
		return Tensor{}, invalid("tensor %q has no datatype", clip(p.Name))
	case p.Type.width() < 0:
		return Tensor{}, invalid("tensor %q has the datatype %q, which does not exist", clip(p.Name), clip(p.Type))
	case !p.shape:
		return Tensor{}, invalid("tensor %q has no shape", clip(p.Name))
	case p.text == nil && p.binary < 0:
		return Tensor{}, invalid("tensor %q has neither data nor binary_data_size", clip(p.Name))
	case p.text != nil && p.binary >= 0:
		return Tensor{}, invalid("tensor %q has both data and binary_data_size", clip(p.Name))
	}
	count, err := elements(p.Name, p.Shape, r.limits.Elements)
	if err != nil {
		return Tensor{}, err
	}
	if p.text != nil {
		p.Data, err = parseData(p.Tensor, p.text, count)
		return p.Tensor, err
	}
	if p.binary > int64(len(r.raw)) {
		return Tensor{}, invalid("tensor %q has a binary_data_size of %d, but only %d bytes follow", clip(p.Name), p.binary, len(r.raw))
	}
	p.Data, err = parseRaw(p.Tensor, r.raw[:p.binary], count)
	r.raw = r.raw[p.binary:]
	return p.Tensor, err
}

func (r *reader) tensorMember(p *pending, key string) (err error) {
	switch key {
	case "name":
		p.Name, err = r.text("a tensor's name", 1024)
	case "datatype":
		var text string
		text, err = r.text("a tensor's datatype", 64)
		p.Type = Type(text)
	case "shape":
		p.shape = true
		err = r.array("a tensor's shape", func() error {
			if len(p.Shape) > maxAxes {
				return invalid("a tensor's shape has more than %d axes", maxAxes)
			}
			size, err := r.integer("a size in a tensor's shape")
			p.Shape = append(p.Shape, size)
			return err
		})
	case "data":
		if r.PeekKind() != '[' {
			return r.unexpected("a tensor's data", "a list")
		}
		value, err := r.ReadValue()
		if err != nil {
			return syntax(err)
		}
		end := r.InputOffset()
		p.text = r.json[end-int64(len(value)) : end]
	case "parameters":
		return r.object("a tensor's parameters", func(key string) error { return r.tensorParameter(p, key) })
	default:
		return r.skip()
	}
	return err
}

func (r *reader) tensorParameter(p *pending, key string) (err error) {
	switch key {
	case "binary_data_size":
		if p.binary, err = r.integer(key); err == nil && p.binary < 0 {
			err = invalid("binary_data_size is negative")
		}
		return err
	case "shared_memory_region":
		return invalid("shared memory is not supported: send the data itself")
	}
	return r.skip()
}

type outputSpec struct {
	name   string
	binary *bool
}

// outputs reads the list of requested outputs.
func (r *reader) outputs() ([]outputSpec, error) {
	var list []outputSpec
	err := r.array("outputs", func() error {
		if len(list) >= r.limits.Tensors {
			return invalid("outputs has more than %d entries", r.limits.Tensors)
		}
		var o outputSpec
		err := r.object("each of outputs", func(key string) (err error) {
			switch key {
			case "name":
				o.name, err = r.text("an output's name", 1024)
			case "parameters":
				err = r.object("an output's parameters", func(key string) error { return r.outputParameter(&o, key) })
			default:
				err = r.skip()
			}
			return err
		})
		if err == nil && o.name == "" {
			err = invalid("one of outputs has no name")
		}
		list = append(list, o)
		return err
	})
	return list, err
}

func (r *reader) outputParameter(o *outputSpec, key string) error {
	switch key {
	case "binary_data":
		flag, err := r.flag(key)
		o.binary = &flag
		return err
	case "classification":
		n, err := r.integer(key)
		if err == nil && n != 0 {
			err = invalid("the classification extension is not supported: take the output's values")
		}
		return err
	case "shared_memory_region":
		return invalid("shared memory is not supported")
	}
	return r.skip()
}
