// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"strconv"
	"strings"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// MaxFilter is the longest filter or order, in bytes.
const MaxFilter = 64 << 10

// The grammar of MLflow's search filters: comparisons joined by AND.
//
//	metrics.auc > 0.8 and params.`solver name` = 'lbfgs' and tags.x LIKE '%q%' and run_id IN ('a', 'b') and tags.y IS NULL
type filterTree struct {
	First *comparison   `parser:"@@"`
	Rest  []*comparison `parser:"( 'AND' @@ )* ';'?"`
}

type comparison struct {
	Left []string `parser:"@( Ident | Backquoted | Double ) ( '.' @( Ident | Backquoted | Double | Number ) )*"`
	Is   *isNull  `parser:"( 'IS' @@"`
	Not  bool     `parser:"| ( @'NOT'?"`
	In   []string `parser:"    'IN' '(' @( Single | Double ) ( ',' @( Single | Double ) )* ','? ')' )"`
	Op   string   `parser:"| @( Operator | 'LIKE' | 'ILIKE' )"`
	To   *literal `parser:"  @@ )"`
}

type isNull struct {
	Not bool `parser:"@'NOT'? 'NULL'"`
}

type literal struct {
	Number *string `parser:"@Number"`
	Text   *string `parser:"| @( Single | Double )"`
}

var filterLexer = sync.OnceValue(func() *lexer.StatefulDefinition {
	return lexer.MustSimple([]lexer.SimpleRule{
		{Name: "Space", Pattern: `\s+`},
		{Name: "Number", Pattern: `[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?`},
		{Name: "Ident", Pattern: `[\p{L}_][\p{L}\p{N}_]*`},
		{Name: "Backquoted", Pattern: "`[^`]*`"},
		{Name: "Single", Pattern: `'(?:[^']|'')*'`},
		{Name: "Double", Pattern: `"(?:[^"]|"")*"`},
		{Name: "Operator", Pattern: `<=|>=|!=|<>|=|<|>`},
		{Name: "Other", Pattern: `[.,();]`},
	})
})

var filterParser = sync.OnceValue(func() *participle.Parser[filterTree] {
	return participle.MustBuild[filterTree](participle.Lexer(filterLexer()), participle.Elide("Space"),
		participle.CaseInsensitive("Ident"), participle.UseLookahead(2))
})

// clause is one comparison, checked against a vocabulary.
type clause struct {
	kind   kind
	key    string
	op     string // = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL
	number float64
	text   string
	list   []string
}

// parseFilter reads a filter; an empty one has no clauses. All its errors are Invalid and say what is wrong.
func (v *vocabulary) parseFilter(filter string) ([]clause, error) {
	if strings.TrimSpace(filter) == "" {
		return nil, nil
	}
	if len(filter) > MaxFilter {
		return nil, invalid("The filter is longer than %d bytes", MaxFilter)
	}
	tree, err := filterParser().ParseString("", filter)
	if err != nil {
		return nil, invalid("Invalid clause(s) in filter string: %s (%v). Expected comparisons joined by AND, such as "+
			"\"metrics.auc > 0.8 and tags.`a b` = 'x'\"", clip(filter), err)
	}
	var clauses []clause
	for _, c := range append([]*comparison{tree.First}, tree.Rest...) {
		one, err := v.clause(c)
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, one)
	}
	return clauses, nil
}

func (v *vocabulary) clause(c *comparison) (clause, error) {
	kind, key, err := v.identifier(c.Left)
	if err != nil {
		return clause{}, err
	}
	one := clause{kind: kind, key: key, op: strings.ToUpper(c.Op)}
	switch {
	case c.Is != nil:
		one.op = "IS NULL"
		if c.Is.Not {
			one.op = "IS NOT NULL"
		}
	case c.In != nil:
		one.op = "IN"
		if c.Not {
			one.op = "NOT IN"
		}
		for _, s := range c.In {
			one.list = append(one.list, unquote(s))
		}
	case one.op == "<>":
		one.op = "!="
	}
	if err := v.checkOperator(one); err != nil {
		return clause{}, err
	}
	if c.To == nil {
		return one, nil
	}
	return one, one.setValue(v.numeric(kind, key), c.To)
}

func (c *clause) setValue(numeric bool, to *literal) error {
	switch {
	case numeric && to.Number == nil:
		return invalid("Expected numeric value type for %s. Found %s", c.kind.say(c.key), *to.Text)
	case numeric:
		number, err := strconv.ParseFloat(*to.Number, 64)
		if err != nil && number == 0 {
			return invalid("%s is not a number", *to.Number)
		}
		c.number = number
	case to.Text == nil:
		return invalid("Expected a quoted string value for %s (e.g. 'my-value'). Got value %s", c.kind.say(c.key), *to.Number)
	default:
		c.text = unquote(*to.Text)
		if strings.HasSuffix(c.op, "LIKE") {
			return checkPattern(c.text)
		}
	}
	return nil
}

// unquote removes a pair of quotes; inside single and double ones a doubled quote means one.
func unquote(s string) string {
	if len(s) < 2 {
		return s
	}
	quote, inner := s[:1], s[1:len(s)-1]
	if quote == "`" {
		return inner
	}
	return strings.ReplaceAll(inner, quote+quote, quote)
}
