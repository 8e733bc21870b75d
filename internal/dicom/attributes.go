// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// action is what de-identification does with an attribute; the letters are those of PS3.15 table E.1-1 where it has one.
// Where the table offers several, the strictest that keeps the object readable is taken: X/Z is Z, all with D are D.
type action byte

const (
	keep     action = 'K' // cannot identify
	remove   action = 'X'
	empty    action = 'Z'
	dummy    action = 'D'
	newUID   action = 'U'
	classUID action = 'R' // kept when it names something of the standard, replaced otherwise
	recurse  action = 'S' // a sequence whose items are treated one by one
)

// attribute is a row of attributes.csv.
type attribute struct {
	keyword string
	action  action
	shifts  bool // may be kept with modified dates (option "retain longitudinal modified dates")
}

//go:embed attributes.csv
var attributesCSV string

// attributes are the rows of attributes.csv by tag. Of table E.1-1 they leave out what is not part of an object (group
// 0000) and what a rule covers: private attributes, curves (50xx) and overlays (60xx).
var attributes = sync.OnceValue(func() map[tag.Tag]attribute {
	lines := strings.Split(strings.TrimSpace(attributesCSV), "\n")
	table := make(map[tag.Tag]attribute, len(lines))
	for _, line := range lines[1:] {
		f := strings.Split(line, ",")
		n, err := strconv.ParseUint(f[0], 16, 32)
		if err != nil || len(f) != 4 {
			panic("attributes.csv: " + line) // the file is part of the program
		}
		table[tag.Tag{Group: uint16(n >> 16), Element: uint16(n)}] = attribute{keyword: f[1], action: action(f[2][0]), shifts: f[3] == "c"}
	}
	return table
})

// name is how messages call an attribute: its keyword and tag.
func name(t tag.Tag) string {
	if a, ok := attributes()[t]; ok {
		return fmt.Sprintf("%s (%04X,%04X)", a.keyword, t.Group, t.Element)
	}
	if info, err := tag.Find(t); err == nil {
		return fmt.Sprintf("%s (%04X,%04X)", info.Keyword, t.Group, t.Element)
	}
	return fmt.Sprintf("(%04X,%04X)", t.Group, t.Element)
}
