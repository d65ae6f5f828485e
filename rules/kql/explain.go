package kql

import (
	"slices"

	"firstseen/schemas"
)

// Answer is a part of a query with its answer for one event: the query itself at the root, single conditions at the
// leaves.
type Answer struct {
	Query string   // the part alone, in canonical form; fields of a nested clause with their path
	Op    string   // "and", "or", "not", "nested"; empty: a condition on the values of one field, or `*: *`
	Field string   // of a condition, and of a group of conditions on one field; may have wildcards
	Holds bool     // for the part as it stands: a nested clause holds if one element of the array fulfils all of it
	Parts []Answer // in the order written. Those of a nested clause are answered for any element, each by itself
}

// Answers tells what the query and each part of it say to an event of the layout, which must have the query's Fields.
// It compiles every part anew: it is for people who ask about one event, not for matching.
func Answers(e *Expr, layout *schemas.Layout, event *schemas.Event) (Answer, error) {
	return answer(e.root, layout, event)
}

func answer(n node, layout *schemas.Layout, event *schemas.Event) (Answer, error) {
	part := &Expr{root: n}
	m, err := Compile(part, layout)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Query: part.String(), Holds: m.Match(event)}
	var kids []node
	switch n := n.(type) {
	case *leaf:
		a.Field = n.field
	case *negation:
		a.Op, kids = "not", []node{n.kid}
	case *nested:
		a.Op, kids = "nested", []node{n.kid}
	case *group:
		a.Op, kids = "and", n.kids
		if n.or {
			a.Op = "or"
		}
		a.Field, _ = valueGroup(n)
	}
	for _, kid := range kids {
		k, err := answer(kid, layout, event)
		if err != nil {
			return Answer{}, err
		}
		a.Parts = append(a.Parts, k)
	}
	return a, nil
}

// Conditions lists the conditions of the answer on single fields, in the order written.
func (a Answer) Conditions() []Answer {
	if len(a.Parts) == 0 && a.Field != "" {
		return []Answer{a}
	}
	var all []Answer
	for _, p := range a.Parts {
		all = append(all, p.Conditions()...)
	}
	return all
}

// Decisive lists the conditions that make the answer what it is: those that would have to be otherwise, some or all of
// them, for the query to say the opposite.
func (a Answer) Decisive() []Answer {
	if len(a.Parts) == 0 || a.Op == "nested" {
		return []Answer{a}
	}
	// A conjunction that fails does so for its parts that fail, a disjunction that holds for those that hold; else all
	// parts have a share in it. The part of a negation has the other answer.
	some := a.Op == "and" && !a.Holds || a.Op == "or" && a.Holds
	var all []Answer
	for _, p := range a.Parts {
		if !some || p.Holds == a.Holds {
			all = append(all, p.Decisive()...)
		}
	}
	return slices.Clip(all)
}
