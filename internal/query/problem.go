// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Place is "line 2, column 8: " or nothing when the place is unknown.
func (p *Problem) Place() string {
	if p.Line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d, column %d: ", p.Line, p.Column)
}

func (p *Problem) advice() string {
	if p.Hint == "" {
		return ""
	}
	return "; " + p.Hint
}

// At places the problem at a byte offset of the statement.
func (p *Problem) At(sql string, offset int) *Problem {
	if offset < 0 || offset > len(sql) {
		return p
	}
	before := sql[:offset]
	p.Line = strings.Count(before, "\n") + 1
	p.Column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return p
}
