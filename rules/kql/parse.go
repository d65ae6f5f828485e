package kql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds that keep hostile queries off the stack, far beyond any rule. The canonical form of a tree needs at most two levels of
// parentheses, braces and `not` for one of its own, so it is always within them too.
const (
	maxHeight = 64            // of the tree
	maxDepth  = 4 * maxHeight // of parentheses, braces and not inside one another
)

// Parse reads a query. The error is an *Error. The empty query matches everything, as in Kibana.
func Parse(query string) (*Expr, error) {
	if !utf8.ValidString(query) {
		return nil, &Error{Offset: invalidUTF8(query), Message: "the query is not UTF-8"}
	}
	p := &parser{scanner: scanner{query: query}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == atEnd {
		return &Expr{root: all{}}, nil
	}
	root, err := p.or(scope{})
	if err != nil {
		return nil, err
	}
	if p.tok.kind != atEnd {
		return nil, p.unexpected()
	}
	if height(root) > maxHeight {
		return nil, tooDeep(0)
	}
	return &Expr{root: root}, nil
}

func tooDeep(at int) error {
	return &Error{Offset: at, Message: "the query is nested too deeply", Suggestion: fmt.Sprintf("at most %d levels", maxHeight)}
}

// parser is recursive descent over the grammar
//
//	or     = and { "or" and }
//	and    = unary { "and" unary }
//	unary  = "not" unary | "(" or ")" | clause
//	clause = field ":" value | field ":" "(" or ")" | field ("<"|"<="|">"|">=") literal | field ":" "{" or "}" | literal
//
// where inside the parentheses of a value group a clause is a literal alone.
type parser struct {
	scanner
	prev, tok token
	depth     int
	opened    []token // parentheses and braces not yet closed
}

// scope is what surrounds a clause: the nested path, and in a value group the field.
type scope struct {
	path  string
	field string // "" outside a value group
	name  int    // offset of field
}

func (p *parser) advance() (err error) {
	p.prev = p.tok
	p.tok, err = p.next()
	return err
}

func (p *parser) or(in scope) (node, error) { return p.chain(in, keywordOr, p.and) }

func (p *parser) and(in scope) (node, error) { return p.chain(in, keywordAnd, p.unary) }

func (p *parser) chain(in scope, operator kind, part func(scope) (node, error)) (node, error) {
	n, err := part(in)
	if err != nil || p.tok.kind != operator {
		return n, err
	}
	g := &group{or: operator == keywordOr}
	g.add(n)
	for p.tok.kind == operator {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if n, err = part(in); err != nil {
			return nil, err
		}
		g.add(n)
	}
	return g, nil
}

func (p *parser) unary(in scope) (node, error) {
	switch p.tok.kind {
	case keywordNot:
		if err := p.enter(); err != nil {
			return nil, err
		}
		kid, err := p.unary(in)
		p.depth--
		return &negation{kid: kid}, err
	case parenOpen:
		return p.enclosed(in, parenClose)
	case literal:
		if in.field != "" {
			return p.value(in, equal)
		}
		return p.clause(in)
	}
	return nil, p.unexpected()
}

// enter steps over the token that opens a deeper level.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return tooDeep(p.tok.at)
	}
	return p.advance()
}

// enclosed reads `( or )` or `{ or }`.
func (p *parser) enclosed(in scope, closing kind) (node, error) {
	p.opened = append(p.opened, p.tok)
	if err := p.enter(); err != nil {
		return nil, err
	}
	n, err := p.or(in)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != closing {
		return nil, p.unexpected()
	}
	p.opened = p.opened[:len(p.opened)-1]
	p.depth--
	return n, p.advance()
}

// clause reads a condition that begins with a literal: a field name, or a value without a field.
func (p *parser) clause(in scope) (node, error) {
	first := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	operator := p.tok
	if operator.kind != colon && operator.kind != comparison {
		if err := p.foreignClause(first); err != nil {
			return nil, err
		}
		in.field, in.name = qualify(in.path, "*"), first.at
		return p.leaf(in, equal, first)
	}
	name, err := fieldName(p.query, first)
	if err != nil {
		return nil, err
	}
	in.field, in.name = qualify(in.path, name), first.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case operator.kind == comparison:
		return p.value(in, operator.op)
	case p.tok.kind == parenOpen:
		return p.enclosed(in, parenClose)
	case p.tok.kind == braceOpen:
		if strings.Contains(in.field, "*") {
			return nil, &Error{Offset: first.at, Message: "a nested path cannot have wildcards", Suggestion: "write the path in full"}
		}
		kid, err := p.enclosed(scope{path: in.field}, braceClose)
		return &nested{path: in.field, kid: kid}, err
	}
	return p.value(in, equal)
}

// value reads the literal after an operator or in a value group.
func (p *parser) value(in scope, o op) (node, error) {
	if p.tok.kind != literal {
		return nil, p.unexpected()
	}
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.leaf(in, o, t)
}

func (p *parser) leaf(in scope, o op, t token) (node, error) {
	if err := foreignValue(p.query, t); err != nil {
		return nil, err
	}
	if o != equal && !t.value.plain() {
		return nil, &Error{Offset: t.at, Message: "a range cannot have wildcards", Suggestion: `put the value in quotes if the * belongs to it`}
	}
	if in.field == "*" && t.value.exists() {
		return all{}, nil
	}
	return &leaf{field: in.field, op: o, value: t.value, at: t.at, name: in.name}, nil
}

func qualify(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// fieldName is the name as layouts know it, where `*` can only be a wildcard.
func fieldName(query string, t token) (string, error) {
	if err := foreignField(query, t); err != nil {
		return "", err
	}
	for _, piece := range t.value {
		if strings.Contains(piece, "*") {
			return "", &Error{Offset: t.at, Message: "a field name has no * of its own", Suggestion: "leave the * bare to make it a wildcard"}
		}
	}
	name := strings.Join(t.value, "*")
	if name == "" {
		return "", &Error{Offset: t.at, Message: "the field name is empty"}
	}
	return name, nil
}
