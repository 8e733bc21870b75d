// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// term is one column of an order.
type term struct {
	kind kind
	key  string
	desc bool
}

// parseOrder reads lines such as "metrics.auc DESC" or "attributes.start_time".
func (v *vocabulary) parseOrder(lines []string) ([]term, error) {
	var terms []term
	if len(lines) > 16 {
		return nil, invalid("At most 16 order_by clauses are allowed")
	}
	for _, line := range lines {
		one, err := v.parseTerm(line)
		if err != nil {
			return nil, err
		}
		terms = append(terms, one)
	}
	return terms, nil
}

func (v *vocabulary) parseTerm(line string) (term, error) {
	wrong := invalid("Invalid order_by clause '%s'. Could not be parsed.", clip(line))
	if len(line) > MaxFilter {
		return term{}, wrong
	}
	words, err := splitTerm(line)
	if err != nil || len(words) == 0 {
		return term{}, wrong
	}
	var one term
	if last := words[len(words)-1]; len(words) > 1 && words[len(words)-2] != "." {
		switch strings.ToLower(last) {
		case "asc":
		case "desc":
			one.desc = true
		default:
			return term{}, invalid("Invalid ordering key in order_by clause '%s'.", clip(line))
		}
		words = words[:len(words)-1]
	}
	var parts []string
	for i, word := range words {
		if i%2 == 0 {
			parts = append(parts, word)
		} else if word != "." {
			return term{}, wrong
		}
	}
	if len(words)%2 == 0 {
		return term{}, wrong
	}
	one.kind, one.key, err = v.identifier(parts)
	if err == nil && one.kind == datasetKind {
		err = wrong
	}
	return one, err
}

func splitTerm(line string) ([]string, error) {
	lex, err := filterLexer().LexString("", line)
	if err != nil {
		return nil, err
	}
	space := filterLexer().Symbols()["Space"]
	var words []string
	for {
		token, err := lex.Next()
		if err != nil {
			return nil, err
		}
		if token.Type == lexer.EOF {
			return words, nil
		}
		if token.Type != space {
			words = append(words, token.Value)
		}
	}
}

// sortKey is one value of an order. Values come first, then NaN, then what has no value, whatever the direction.
type sortKey struct {
	rank   uint8 // 0 value, 1 NaN, 2 nothing
	number float64
	text   string
}

func numberKey(v float64, has bool) sortKey {
	switch {
	case !has:
		return sortKey{rank: 2}
	case math.IsNaN(v):
		return sortKey{rank: 1}
	}
	return sortKey{number: v}
}

func textKey(v string, has bool) sortKey {
	if !has {
		return sortKey{rank: 2}
	}
	return sortKey{text: v}
}

func (t term) compare(a, b sortKey) int {
	if a.rank != b.rank {
		return cmp.Compare(a.rank, b.rank)
	}
	order := cmp.Compare(a.number, b.number)
	if order == 0 {
		order = strings.Compare(a.text, b.text)
	}
	if t.desc {
		return -order
	}
	return order
}

// A page token is the last row's place in the order, with a digest of the query that it belongs to: pages stay right
// when rows come and go meanwhile, and a token of another query is refused.
type tokenForm struct {
	Query string   `json:"q"`
	After []string `json:"a"`
}

func encodeToken(query string, after ...string) string {
	text, _ := json.Marshal(tokenForm{digestQuery(query), after}) // strings always encode
	return base64.URLEncoding.EncodeToString(text)
}

func decodeToken(token, query string, after []string) error {
	text, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return invalid("Invalid page token, could not base64-decode")
	}
	var form tokenForm
	if err := json.Unmarshal(text, &form); err != nil || len(form.After) != len(after) {
		return invalid("Invalid page token")
	}
	if form.Query != digestQuery(query) {
		return invalid("Invalid page token: it belongs to a search with another filter or order")
	}
	copy(after, form.After)
	return nil
}

func digestQuery(query string) string {
	sum := sha256.Sum256([]byte(query))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func encodeKeys(query string, keys []sortKey) string {
	var after []string
	for _, k := range keys {
		after = append(after, strconv.Itoa(int(k.rank)), strconv.FormatFloat(k.number, 'g', -1, 64), k.text)
	}
	return encodeToken(query, after...)
}

func decodeKeys(token, query string, count int) ([]sortKey, error) {
	if token == "" {
		return nil, nil
	}
	after := make([]string, 3*count)
	if err := decodeToken(token, query, after); err != nil {
		return nil, err
	}
	keys := make([]sortKey, count)
	for i := range keys {
		rank, err := strconv.ParseUint(after[3*i], 10, 8)
		number, err2 := strconv.ParseFloat(after[3*i+1], 64)
		if err != nil || err2 != nil {
			return nil, invalid("Invalid page token")
		}
		keys[i] = sortKey{uint8(rank), number, after[3*i+2]}
	}
	return keys, nil
}
