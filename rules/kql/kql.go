// Package kql is the Kibana Query Language: the query of a rule, parsed, printed, and compiled to a matcher that looks at an
// event without allocating.
//
//	event.action: ("GetObject" or "ListObjects") and not source.ip: 10.0.0.0/8
//
// The language is Kibana's as its reference describes it
// (https://www.elastic.co/docs/reference/query-languages/kql): and, or, not in any case, binding in the order not, and, or;
// parentheses; `field: value`; groups of values `field: (a or b and not c)`; "quoted" and bare values, where only a bare one
// has wildcards `*`; `field: *` for "has any value"; ranges `field >= value`; nested `path:{ a: x and b: y }`; wildcards in
// field names; a value with no field. The escapes of a bare value are \\ \( \) \: \< \> \" \* \{ \} \t \r \n \uXXXX and a
// backslash before a keyword; those of a quoted one \\ \" \t \r \n \uXXXX, any other backslash there stands for itself.
//
// What a match means follows Elasticsearch's field types, which package schemas knows:
//
//   - keyword: the whole value, byte for byte, upper and lower case distinct. Several bare words are one value with its
//     spaces. A wildcard pattern must fit the whole value. A range compares numbers where both sides are numbers (the event's
//     a JSON number), else bytes.
//   - long: numbers, so 200 is 200.0. A wildcard pattern looks at the digits as logged.
//   - bool: true or false.
//   - ip: an address in any spelling, or a CIDR block; compared as 16 bytes, so that 10.0.0.1 is ::ffff:10.0.0.1 and lies in ::/0.
//   - date: RFC 3339 or a part of it, or epoch milliseconds. A part stands for all of its time: 2026-01 is the whole month, and
//     `> 2026-01` begins with February. Date arithmetic on `now` is refused: a rule's answer must not depend on when it runs.
//   - a field name with a wildcard, and a value without a field (which is any field, `*`): each value by its looks; equal
//     bytes, or an address inside the block.
//
// A field with several values matches if one of them does. `not` is the plain negation of what follows it: an absent field
// satisfies it. In a nested clause all conditions hold for one and the same element of the array; where arrays lie in arrays,
// of the outermost one, since that is what events tell apart.
//
// Beyond Kibana: a bare query that is almost surely another language's (`a = b`, `a && b`, 'single quotes') is refused with a
// suggestion, although Kibana would search for its text; in quotes it is that text.
package kql

import "slices"

// Expr is a parsed query. It never changes; several goroutines may use it.
type Expr struct {
	root node
}

// node is one of all, *group, *negation, *nested and *leaf.
type node interface{ precedence() int }

type (
	// all matches every event: the empty query, `*` and `*: *`.
	all struct{}

	// group is a conjunction or a disjunction of two or more, none of them a group with the same operator.
	group struct {
		or   bool
		kids []node
	}

	// negation is `not kid`.
	negation struct{ kid node }

	// nested is `path:{ kid }`. The fields below it carry the path in their names.
	nested struct {
		path string
		kid  node
	}

	// leaf is one condition on the values of one field.
	leaf struct {
		field string // whole name; `*` in it is a wildcard
		op    op
		value value
		at    int // byte offset of the value in the query
		name  int // byte offset of the field name
	}
)

// op is how a leaf compares.
type op byte

const (
	equal op = iota
	less
	lessEqual
	greater
	greaterEqual
)

func (o op) String() string { return [...]string{":", "<", "<=", ">", ">="}[o] }

// value is a literal: the text between its wildcards. One piece is a value without wildcards.
type value []string

func (v value) plain() bool { return len(v) == 1 }

// exists tells the lone `*`, which asks for any value.
func (v value) exists() bool { return len(v) == 2 && v[0] == "" && v[1] == "" }

func (all) precedence() int       { return 4 }
func (*leaf) precedence() int     { return 4 }
func (*nested) precedence() int   { return 4 }
func (*negation) precedence() int { return 3 }
func (g *group) precedence() int {
	if g.or {
		return 1
	}
	return 2
}

// add appends a part; a part that is a group of the same operator becomes its parts, so that one meaning has one tree.
func (g *group) add(n node) {
	if k, ok := n.(*group); ok && k.or == g.or {
		g.kids = append(g.kids, k.kids...)
		return
	}
	g.kids = append(g.kids, n)
}

// leaves calls f for each condition, in the order of the query.
func leaves(n node, f func(*leaf)) {
	switch n := n.(type) {
	case *group:
		for _, k := range n.kids {
			leaves(k, f)
		}
	case *negation:
		leaves(n.kid, f)
	case *nested:
		leaves(n.kid, f)
	case *leaf:
		f(n)
	}
}

func height(n node) int {
	switch n := n.(type) {
	case *group:
		h := 0
		for _, k := range n.kids {
			h = max(h, height(k))
		}
		return 1 + h
	case *negation:
		return 1 + height(n.kid)
	case *nested:
		return 1 + height(n.kid)
	}
	return 1
}

// Fields lists the field names that a layout must keep for the query, sorted and without repeats, wildcards as written. A
// nested clause that an element without any of its fields could satisfy (`path:{ not a: x }`) adds `path.*`, since otherwise
// such an element would not be seen.
func Fields(e *Expr) []string {
	var names []string
	leaves(e.root, func(l *leaf) { names = append(names, l.field) })
	names = append(names, elementFields(e.root)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// FieldOffset is the byte offset of the first use of a field name that Fields returned, for an error about it; -1 when the
// query does not name it.
func FieldOffset(e *Expr, name string) int {
	at := -1
	leaves(e.root, func(l *leaf) {
		if at < 0 && l.field == name {
			at = l.name
		}
	})
	return at
}

func elementFields(n node) []string {
	var names []string
	switch n := n.(type) {
	case *group:
		for _, k := range n.kids {
			names = append(names, elementFields(k)...)
		}
	case *negation:
		names = elementFields(n.kid)
	case *nested:
		names = elementFields(n.kid)
		if holdsEmpty(n.kid) {
			names = append(names, n.path+".*")
		}
	}
	return names
}

// holdsEmpty tells whether an element without any value satisfies the clause.
func holdsEmpty(n node) bool {
	switch n := n.(type) {
	case all:
		return true
	case *negation:
		return !holdsEmpty(n.kid)
	case *group:
		return slices.ContainsFunc(n.kids, func(k node) bool { return holdsEmpty(k) == n.or }) == n.or
	}
	return false
}
