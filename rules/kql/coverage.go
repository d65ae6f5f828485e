package kql

import "fmt"

// Coverage counts which answers the conditions of a query gave to events, as the tests of a rule are events: what no
// test asks of a query can be wrong in it without a test that fails.
//
// A condition counts for an event only if those before it leave the query's answer open, as `b` in `a and b` where a
// holds: of an event that is out for another reason nothing is learnt about the rest. The values of one field, as in
// `a: (x or y)`, are one condition with several values; so is a nested clause, with one.
type Coverage struct {
	root       node
	settled    func(field string) bool
	Conditions []ConditionCount // in the order written
}

// ConditionCount is a part of a query with the number of events it counted for.
type ConditionCount struct {
	Query  string       `json:"query"` // the part alone, in canonical form
	True   int          `json:"true"`
	False  int          `json:"false"`
	Values []ValueCount `json:"values,omitempty"` // if there are several
}

// ValueCount is one value of a condition with the number of events that had it.
type ValueCount struct {
	Query string `json:"query"`
	True  int    `json:"true"`
}

// NewCoverage returns the conditions of a query, which no event has met yet. Those on a field that is settled, as all
// events have the same value in it, are left out: they have one answer only.
func NewCoverage(e *Expr, settled func(field string) bool) *Coverage {
	c := &Coverage{root: e.root, settled: settled}
	c.list(e.root)
	return c
}

// list adds the conditions below a node.
func (c *Coverage) list(n node) {
	switch n := n.(type) {
	case *negation:
		c.list(n.kid)
	default:
		g, ok := n.(*group)
		if ok && !alternatives(g) {
			for _, kid := range g.kids {
				c.list(kid)
			}
			return
		}
		if c.same(n) {
			return
		}
		condition := ConditionCount{Query: (&Expr{root: n}).String()}
		if ok {
			for _, kid := range g.kids {
				condition.Values = append(condition.Values, ValueCount{Query: (&Expr{root: kid}).String()})
			}
		}
		c.Conditions = append(c.Conditions, condition)
	}
}

// same tells whether the answer is the same for every event.
func (c *Coverage) same(n node) bool {
	if _, ok := n.(all); ok {
		return true
	}
	other := false
	leaves(n, func(l *leaf) { other = other || !c.settled(l.field) })
	return !other
}

// alternatives tells whether the group is several values of one field.
func alternatives(g *group) bool {
	_, ok := valueGroup(g)
	return ok && g.or
}

// Add counts what Answers said about an event of the same query.
func (c *Coverage) Add(a Answer) {
	next := 0
	c.count(c.root, a, true, &next)
}

// count goes through the conditions as list does. open says that what comes before leaves the answer open.
func (c *Coverage) count(n node, a Answer, open bool, next *int) {
	switch n := n.(type) {
	case *negation:
		c.count(n.kid, a.Parts[0], open, next)
	default:
		g, ok := n.(*group)
		if ok && !alternatives(g) {
			for i, kid := range g.kids {
				c.count(kid, a.Parts[i], open, next)
				open = open && a.Parts[i].Holds != g.or
			}
			return
		}
		if c.same(n) {
			return
		}
		condition := &c.Conditions[*next]
		*next++
		switch {
		case !open:
		case a.Holds:
			condition.True++
		default:
			condition.False++
		}
		for i := range condition.Values {
			if open && a.Parts[i].Holds {
				condition.Values[i].True++
			}
		}
	}
}

// Reached counts the answers that were given, and those there are: for each condition that it holds, for each of its
// values if it has several, and that it does not.
func (c *Coverage) Reached() (reached, of int) {
	for _, condition := range c.Conditions {
		counts := []int{condition.True, condition.False}
		if len(condition.Values) > 0 {
			counts = counts[1:]
			for _, v := range condition.Values {
				counts = append(counts, v.True)
			}
		}
		of += len(counts)
		for _, n := range counts {
			if n > 0 {
				reached++
			}
		}
	}
	return reached, of
}

// Missed says which answers no event got, a sentence each.
func (c *Coverage) Missed() (sentences []string) {
	say := func(format, query string) { sentences = append(sentences, fmt.Sprintf(format, query)) }
	for _, condition := range c.Conditions {
		if condition.True+condition.False == 0 {
			say("no test gets as far as %s", condition.Query)
			continue
		}
		if len(condition.Values) == 0 && condition.True == 0 {
			say("no test has %s", condition.Query)
		}
		for _, v := range condition.Values {
			if v.True == 0 {
				say("no test has %s", v.Query)
			}
		}
		if condition.False == 0 {
			say("no test is without %s", condition.Query)
		}
	}
	return sentences
}
