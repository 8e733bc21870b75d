// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// seeds are requests of each form.
var seeds = []string{
	`{"id":"a","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,-2.5e-3],[null,0]]}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`,
	`{"parameters":{"binary_data_output":true},"inputs":[{"data":["a","\u00e4\"\\"],"datatype":"BYTES","name":"t","shape":[2]},{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}`,
	`{"inputs":[{"name":"i","shape":[3],"datatype":"UINT8","data":[0,255,7]},{"name":"h","shape":[1,1],"datatype":"FP16","data":[[0.1]]},{"name":"e","shape":[0,4],"datatype":"INT64","data":[]}]}`,
	`{"inputs":[{"name":"r","shape":[2],"datatype":"INT16","parameters":{"binary_data_size":4}}]}`,
}

// FuzzRead: no panic, no more memory than the message allows, and what was read is written and read again alike.
func FuzzRead(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), 0)
		f.Add([]byte(s+"\x01\x00\xff\xff"), len(s))
	}
	f.Add([]byte(`{"inputs":[{"name":"r","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":9}}]}`+"\x01\x00\x00\x00a\x00\x00\x00\x00"), 91)
	f.Fuzz(func(t *testing.T, body []byte, header int) {
		length := ""
		if header > 0 {
			length = strconv.Itoa(header)
		}
		q, err := ReadRequest(body, length, Limits{})
		if err != nil {
			if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) || len(err.Error()) > 2000 {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, binary := range []bool{true, false} {
			if holdsNaN(q.Inputs) {
				return // a null is not written
			}
			message, n, err := AppendResponse(nil, &Response{Model: "m", ID: q.ID, Outputs: q.Inputs}, func(string) bool { return binary })
			if err != nil {
				return // texts that are not UTF-8
			}
			header := ""
			if n > 0 {
				header = strconv.Itoa(n)
			}
			again, err := ReadResponse(message, header, Limits{})
			if err != nil || again.ID != q.ID || !alike(again.Outputs, q.Inputs) {
				t.Fatalf("%v\n%s\n%+v\n%+v", err, message, again, q)
			}
		}
	})
}

func holdsNaN(list []Tensor) bool {
	for _, t := range list {
		for i := 0; ; i++ {
			v, ok := t.Float(i)
			if !ok {
				break
			}
			if math.IsNaN(v) {
				return true
			}
		}
	}
	return false
}

// alike compares tensors; an empty list is like none.
func alike(a, b []Tensor) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := reflect.ValueOf(a[i].Data), reflect.ValueOf(b[i].Data)
		same := a[i].Name == b[i].Name && a[i].Type == b[i].Type && len(a[i].Shape) == len(b[i].Shape) && x.Len() == y.Len()
		if !same || (x.Len() > 0 && !reflect.DeepEqual(a[i].Data, b[i].Data)) {
			return false
		}
	}
	return true
}

// TestHalves goes through every 16-bit float.
func TestHalves(t *testing.T) {
	for _, kind := range []Type{FP16, BF16} {
		for bits := range 1 << 16 {
			v := halfValue(kind, uint16(bits))
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				continue
			}
			if got, ok := halfBits(kind, v); !ok || got != uint16(bits) {
				t.Fatalf("%s %#x is %v, written as %#x", kind, bits, v, got)
			}
		}
		for _, v := range []float32{math.MaxFloat32, float32(math.Inf(1))} {
			if _, ok := halfBits(kind, v); ok {
				t.Errorf("%s holds %v", kind, v)
			}
		}
	}
	for v, want := range map[float32]uint16{1.00390625: 0x3f80, 1.01171875: 0x3f82, 1.005: 0x3f81} { // ties go to even
		if got, _ := halfBits(BF16, v); got != want {
			t.Errorf("BF16 of %v is %#x, want %#x", v, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	many := `{"inputs":[` + strings.Repeat(`{"name":"x","shape":[1],"datatype":"BOOL","data":[true]},`, 5) + `{}]}`
	if _, err := ReadRequest([]byte(many), "", Limits{Tensors: 5}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "more than 5") {
		t.Errorf("%v", err)
	}
	wide := `{"inputs":[{"name":"x","shape":[6],"datatype":"BOOL","data":[]}]}`
	if _, err := ReadRequest([]byte(wide), "", Limits{Elements: 5}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
}

// TestAnswers: encoding/json understands what is written.
func TestAnswers(t *testing.T) {
	floats := []float32{0, -0.1, 1e-30, 3.4e38, 16777216}
	message, _, err := AppendResponse(nil, &Response{Model: "a\"b", Version: "1", Outputs: []Tensor{{Name: "é", Type: FP32, Shape: []int64{5}, Data: floats}}},
		func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Model   string `json:"model_name"`
		Outputs []struct {
			Name string
			Data []float32
		}
	}
	if err := json.Unmarshal(message, &got); err != nil || got.Model != "a\"b" || got.Outputs[0].Name != "é" || !reflect.DeepEqual(got.Outputs[0].Data, floats) {
		t.Errorf("%v %+v", err, got)
	}
	for _, v := range []float64{math.NaN(), math.Inf(-1)} {
		_, _, err := AppendResponse(nil, &Response{Outputs: []Tensor{{Name: "y", Type: FP64, Shape: []int64{1}, Data: []float64{v}}}}, func(string) bool { return false })
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%v was written", v)
		}
	}
}
