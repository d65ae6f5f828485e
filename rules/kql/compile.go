package kql

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firstseen/schemas"
)

// Matcher is a compiled query. It is immutable, shared by goroutines, and allocates nothing.
type Matcher struct {
	root   test
	leaves []compiledLeaf
}

type compiledLeaf struct {
	leaf
	test
}

// Match tells whether the event satisfies the query.
func (m *Matcher) Match(e *schemas.Event) bool { return m.root.match(e, element{}) }

// Condition is one leaf of a query with its answer for an event.
type Condition struct {
	Query  string // the leaf alone, in canonical form; fields of a nested clause with their path
	Offset int    // of its value, in bytes of the query
	Holds  bool   // for any element where the clause is nested; before any `not` around it
}

// Explain answers each condition of the query by itself, in the order written.
func (m *Matcher) Explain(e *schemas.Event) []Condition {
	out := make([]Condition, len(m.leaves))
	for i, l := range m.leaves {
		out[i] = Condition{Query: (&Expr{root: &l.leaf}).String(), Offset: l.at, Holds: l.test.match(e, element{})}
	}
	return out
}

// Compile turns a query into a matcher for events of a layout, which must have the query's Fields. It refuses literals that
// the field's type cannot have; the error is an *Error.
func Compile(e *Expr, layout *schemas.Layout) (*Matcher, error) {
	c := compiler{layout: layout}
	m := &Matcher{}
	var err error
	leaves(e.root, func(l *leaf) {
		if t, leafErr := c.compile(l); leafErr == nil {
			m.leaves = append(m.leaves, compiledLeaf{*l, t})
		} else if err == nil {
			err = leafErr
		}
	})
	if err != nil {
		return nil, err
	}
	m.root, err = c.compile(e.root)
	return m, err
}

type compiler struct{ layout *schemas.Layout }

func (c compiler) compile(n node) (test, error) {
	switch n := n.(type) {
	case *negation:
		kid, err := c.compile(n.kid)
		return noneOf{kid}, err
	case *leaf:
		conditions := bag{}
		if err := conditions.add(n); err != nil {
			return nil, err
		}
		return c.test(n, &conditions)
	case *group:
		return c.group(n)
	case *nested:
		kid, err := c.compile(n.kid)
		if err != nil {
			return nil, err
		}
		slots, err := c.slots(n)
		return someElement{slots, kid}, err
	}
	return always{}, nil
}

// group compiles a conjunction or disjunction. The alternatives for one field become one test: a value group is a set.
func (c compiler) group(g *group) (test, error) {
	var tests []test
	bags := map[string]*bag{}
	var firsts []*leaf
	for _, kid := range g.kids {
		if l, ok := kid.(*leaf); ok && g.or {
			b := bags[l.field]
			if b == nil {
				b = &bag{}
				bags[l.field], firsts = b, append(firsts, l)
			}
			if err := b.add(l); err != nil {
				return nil, err
			}
			continue
		}
		t, err := c.compile(kid)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	for _, l := range firsts {
		t, err := c.test(l, bags[l.field])
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	slices.SortStableFunc(tests, func(a, b test) int { return a.cost() - b.cost() })
	if len(tests) == 1 {
		return tests[0], nil
	}
	if g.or {
		return anyOf(tests), nil
	}
	return allOf(tests), nil
}

func (c compiler) test(l *leaf, b *bag) (test, error) {
	if l.field == "@timestamp" {
		if b.present {
			return always{}, nil
		}
		return eventTime{inTimes(b.times)}, nil
	}
	slot, ok := c.layout.Slot(l.field)
	if !ok {
		return nil, &Error{Offset: l.name, Message: fmt.Sprintf("no event has a field %q", l.field)}
	}
	return someValue{slot, b.predicate()}, nil
}

// slots are the fields that tell which elements a nested clause has to try.
func (c compiler) slots(n *nested) ([]schemas.Slot, error) {
	var names []string
	if holdsEmpty(n.kid) {
		names = []string{n.path + ".*"}
	} else {
		leaves(n.kid, func(l *leaf) { names = append(names, l.field) })
	}
	var slots []schemas.Slot
	for _, name := range names {
		s, ok := c.layout.Slot(name)
		if !ok {
			return nil, &Error{Message: fmt.Sprintf("no event has a field %q", name)}
		}
		if !slices.Contains(slots, s) {
			slots = append(slots, s)
		}
	}
	return slots, nil
}

// bag collects conditions on the values of one field of which one has to hold.
type bag struct {
	present   bool
	texts     []string
	patterns  []pattern
	bounds    []*textBounds
	numbers   []span[float64]
	times     []span[int64]
	addresses []span[netip.Addr]
}

// add puts a leaf in, by the type of its field.
func (b *bag) add(l *leaf) error {
	if l.value.exists() {
		b.present = true
		return nil
	}
	text := l.value[0]
	var err error
	switch kind := schemas.FieldType(l.field); kind {
	case schemas.IP:
		return b.address(l)
	case schemas.Date:
		var s span[int64]
		if s, err = timeSpan(text); !l.value.plain() {
			return refuse(l, "a date has no wildcards", "write the part of the date: 2026-01 is the whole month")
		} else if err != nil {
			return refuse(l, err.Error(), "write it as 2026-01-31T12:00:00Z, or the first part of that")
		}
		b.times = append(b.times, times.compare(l.op, s)...)
	case schemas.Boolean:
		if l.op != equal || !l.value.plain() || text != "true" && text != "false" {
			return refuse(l, l.field+" is a boolean", "write true or false")
		}
		b.texts = append(b.texts, text)
	case schemas.Long:
		if !l.value.plain() {
			b.pattern(l.value)
			return nil
		}
		x, ok := number(text)
		if !ok {
			return refuse(l, fmt.Sprintf("%s is a number, %q is none", l.field, text), "")
		}
		b.numbers = append(b.numbers, numbers.compare(l.op, span[float64]{x, x})...)
	default:
		b.keyword(l)
	}
	return nil
}

// keyword adds a condition on text, or on values of unknown type.
func (b *bag) keyword(l *leaf) {
	switch {
	case !l.value.plain():
		b.pattern(l.value)
	case l.op == equal:
		b.texts = append(b.texts, l.value[0])
		if strings.Contains(l.field, "*") {
			if s, err := addressSpan(l.value[0]); err == nil {
				b.addresses = append(b.addresses, s)
			}
		}
	default:
		x, ok := number(l.value[0])
		b.bounds = append(b.bounds, &textBounds{op: l.op, text: []byte(l.value[0]), number: x, numeric: ok})
	}
}

func (b *bag) pattern(v value) {
	p := make(pattern, len(v))
	for i, piece := range v {
		p[i] = []byte(piece)
	}
	b.patterns = append(b.patterns, p)
}

func (b *bag) address(l *leaf) error {
	if !l.value.plain() {
		return refuse(l, "an IP address has no wildcards", `write the network: "10.0.0.0/8"`)
	}
	s, err := addressSpan(l.value[0])
	if err != nil {
		return refuse(l, err.Error(), "")
	}
	b.addresses = append(b.addresses, addresses.compare(l.op, s)...)
	return nil
}

func refuse(l *leaf, message, suggestion string) error {
	return &Error{Offset: l.at, Message: message, Suggestion: suggestion}
}

// predicate builds the test of one value. Up to eight texts are faster compared than hashed.
func (b *bag) predicate() predicate {
	if b.present {
		return present{}
	}
	var all either
	if n := len(b.texts); n > 8 {
		set := make(textSet, n)
		for _, text := range b.texts {
			set[text] = struct{}{}
		}
		all = append(all, set)
	} else if n > 0 {
		all = append(all, fewTexts(b.texts))
	}
	for _, p := range b.bounds {
		all = append(all, p)
	}
	for _, p := range b.patterns {
		all = append(all, p)
	}
	if len(b.numbers) > 0 {
		all = append(all, inNumbers(b.numbers))
	}
	if len(b.times) > 0 {
		all = append(all, inTimes(b.times))
	}
	if len(b.addresses) > 0 {
		all = append(all, inAddresses(b.addresses))
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}
