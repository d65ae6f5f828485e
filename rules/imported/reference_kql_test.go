package imported

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A second reading of the Kibana Query Language, from Kibana's reference alone
// (https://www.elastic.co/docs/reference/query-languages/kql): its own scanner, its own tree, its own meaning over ECS
// documents as encoding/json reads them. It shares no code with package kql, and is as slow as it is plain.

// document is an ECS document, flattened: the values of each field. They are string, json.Number and bool.
type document map[string][]any

// query is a node: "and", "or", "not" over kids, or a condition on a field.
type query struct {
	op    string // and or not; : < <= > >= of a condition
	kids  []*query
	field string
	text  string // star stands for a wildcard in it
	form  *regexp.Regexp
}

const star = "\ue000"

// fieldTypes are those of Elastic's mapping that are no keywords.
var fieldTypes = map[string]string{
	"source.ip": "ip", "source.as.number": "long",
	"aws.cloudtrail.console_login.additional_eventdata.mfa_used": "boolean",
	"aws.cloudtrail.management_event":                            "boolean", "aws.cloudtrail.read_only": "boolean",
}

func parseQuery(text string) (q *query, err error) {
	p := &queryParser{rest: []rune(text)}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v, before %q", r, string(p.rest))
		}
	}()
	q = p.or("")
	if p.space(); len(p.rest) > 0 {
		panic("something is left")
	}
	return q, nil
}

type queryParser struct{ rest []rune }

func (p *queryParser) space() {
	for len(p.rest) > 0 && unicode.IsSpace(p.rest[0]) {
		p.rest = p.rest[1:]
	}
}

// word takes a keyword, if it is next and ends there.
func (p *queryParser) word(keyword string) bool {
	p.space()
	if len(p.rest) < len(keyword) || !strings.EqualFold(string(p.rest[:len(keyword)]), keyword) {
		return false
	}
	if after := p.rest[len(keyword):]; len(after) == 0 || unicode.IsSpace(after[0]) || strings.ContainsRune(`()"{}`, after[0]) {
		p.rest = after
		return true
	}
	return false
}

func (p *queryParser) sign(s string) bool {
	p.space()
	if !strings.HasPrefix(string(p.rest), s) {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

func (p *queryParser) or(field string) *query {
	q := &query{op: "or", kids: []*query{p.and(field)}}
	for p.word("or") {
		q.kids = append(q.kids, p.and(field))
	}
	return q
}

func (p *queryParser) and(field string) *query {
	q := &query{op: "and", kids: []*query{p.not(field)}}
	for p.word("and") {
		q.kids = append(q.kids, p.not(field))
	}
	return q
}

func (p *queryParser) not(field string) *query {
	if p.word("not") {
		return &query{op: "not", kids: []*query{p.not(field)}}
	}
	if p.sign("(") {
		q := p.or(field)
		if !p.sign(")") {
			panic("no )")
		}
		return q
	}
	text := p.literal()
	if field != "" {
		return &query{op: ":", field: field, text: text}
	}
	for _, op := range []string{":", "<=", ">=", "<", ">"} {
		if !p.sign(op) {
			continue
		}
		if op == ":" && p.sign("(") {
			q := p.or(text)
			if !p.sign(")") {
				panic("no ) after values")
			}
			return q
		}
		return &query{op: op, field: text, text: p.literal()}
	}
	panic("a value without a field")
}

// literal takes a quoted or a bare value. A bare one may have blanks between its words, and wildcards.
func (p *queryParser) literal() string {
	p.space()
	quoted := len(p.rest) > 0 && p.rest[0] == '"'
	if quoted {
		p.rest = p.rest[1:]
	}
	var b strings.Builder
	for {
		switch {
		case len(p.rest) == 0 && quoted:
			panic("no closing quote")
		case quoted && p.rest[0] == '"':
			p.rest = p.rest[1:]
			return b.String()
		case !quoted && (len(p.rest) == 0 || strings.ContainsRune(`():<>"{}`, p.rest[0])):
			if b.Len() == 0 {
				panic("no value")
			}
			return strings.TrimRightFunc(b.String(), unicode.IsSpace)
		case p.rest[0] == '\\' && len(p.rest) > 1:
			b.WriteRune(p.rest[1])
			p.rest = p.rest[2:]
			continue
		case !quoted && unicode.IsSpace(p.rest[0]):
			ahead := queryParser{p.rest}
			if ahead.word("and") || ahead.word("or") || ahead.word("not") {
				return strings.TrimRightFunc(b.String(), unicode.IsSpace)
			}
			b.WriteRune(p.rest[0])
		case !quoted && p.rest[0] == '*':
			b.WriteString(star)
		default:
			b.WriteRune(p.rest[0])
		}
		p.rest = p.rest[1:]
	}
}

// holds says whether the document matches.
func (q *query) holds(d document) bool {
	switch q.op {
	case "and":
		for _, k := range q.kids {
			if !k.holds(d) {
				return false
			}
		}
		return true
	case "or":
		for _, k := range q.kids {
			if k.holds(d) {
				return true
			}
		}
		return false
	case "not":
		return !q.kids[0].holds(d)
	}
	for _, v := range d[q.field] {
		if q.fits(v) {
			return true
		}
	}
	return false
}

func (q *query) fits(v any) bool {
	if q.op == ":" && q.text == star {
		return true
	}
	text := fmt.Sprint(v)
	switch fieldTypes[q.field] {
	case "boolean":
		return v == (q.text == "true")
	case "ip":
		addr, err := netip.ParseAddr(text)
		if net, e := netip.ParsePrefix(q.text); e == nil {
			return err == nil && net.Contains(addr)
		}
		want, e := netip.ParseAddr(q.text)
		return err == nil && e == nil && addr == want
	case "long":
		return order(text, q.text, q.op)
	}
	if _, number := v.(json.Number); q.op != ":" && number {
		return order(text, q.text, q.op)
	}
	if q.op != ":" {
		return compared(strings.Compare(text, q.text), q.op)
	}
	if q.form == nil {
		q.form = regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(q.text), star, `.*`) + `$`)
	}
	return q.form.MatchString(text)
}

func order(a, b, op string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	switch {
	case errX != nil || errY != nil:
		return false
	case x < y:
		return compared(-1, op)
	case x > y:
		return compared(1, op)
	}
	return compared(0, op)
}

func compared(c int, op string) bool {
	return c == 0 && op != "<" && op != ">" || c < 0 && op[0] == '<' || c > 0 && op[0] == '>'
}

// conditions are the leaves.
func (q *query) conditions() (all []*query) {
	if q.field != "" {
		return []*query{q}
	}
	for _, k := range q.kids {
		all = append(all, k.conditions()...)
	}
	return all
}
