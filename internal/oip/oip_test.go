// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"strconv"
	"strings"
	"testing"
)

func TestLong(t *testing.T) {
	for _, n := range []int{1, 100, 1000, 100_000} {
		body := `{"inputs":[{"name":"x","shape":[` + itoa(n) + `],"datatype":"FP32","data":[` + strings.Repeat("0.1234567,", n-1) + `1]}],"parameters":{"binary_data_output":true}}`
		q, err := ReadRequest([]byte(body), "", Limits{})
		if err != nil {
			t.Fatal(n, err)
		}
		if len(q.Inputs[0].Data.([]float32)) != n || !q.Binary {
			t.Errorf("%+v", q)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
