package rules

import (
	"firstseen/rules/kql"
	"firstseen/schemas"
)

// index finds the rules that can match an event by what the event says, so that one that few rules are about costs little
// however many there are. Rules that ask for one of some values of a field are looked up by that field; the others are
// always tried. Which rule matches is for Rule.match to say.
type index struct {
	rules  []*Rule // by id
	others []int32 // in rules: those without a field
	fields [len(indexed)]map[string][]int32
}

// indexed are the fields by which rules are found: what is done, and else in which service. A rule is under the first of
// them for which its query names the values.
var indexed = [...]schemas.Field{known("event.action"), known("event.provider")}

func known(name string) schemas.Field {
	f, _ := schemas.Known(name)
	return f
}

// indexable returns the field under which the rule is found and the values of which an event has one if the rule matches;
// no field if there is none.
func indexable(r *Rule) (schemas.Field, []string) {
	if r.query == nil {
		return 0, nil
	}
	for _, field := range indexed {
		if values, ok := kql.OneOf(r.query, func(name string) bool { return canonicalName(name) == field.Name() }); ok {
			return field, values
		}
	}
	return 0, nil
}

// add puts a rule in whose id is behind those of all others.
func (x *index) add(r *Rule) {
	n := int32(len(x.rules))
	x.rules = append(x.rules, r)
	field, values := indexable(r)
	for i := range indexed {
		if indexed[i] != field {
			continue
		}
		if x.fields[i] == nil {
			x.fields[i] = map[string][]int32{}
		}
		for _, value := range values {
			x.fields[i][value] = append(x.fields[i][value], n)
		}
		return
	}
	x.others = append(x.others, n)
}

// match calls yield for each rule that matches the event, in the order of their ids, or has an error.
func (x *index) match(e *schemas.Event, yield func(*Rule, error)) {
	var lists [len(indexed) + 1][]int32 // what is to be tried; no rule is in two
	lists[len(indexed)] = x.others
	for i, byValue := range x.fields {
		if len(byValue) == 0 {
			continue
		}
		switch values := e.Values(schemas.Slot(indexed[i])); len(values) {
		case 0:
		case 1:
			lists[i] = byValue[string(values[0].Text)]
		default:
			x.all(e, yield)
			return
		}
	}
	for {
		next := -1
		for i, list := range lists {
			if len(list) > 0 && (next < 0 || list[0] < lists[next][0]) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		x.try(x.rules[lists[next][0]], e, yield)
		lists[next] = lists[next][1:]
	}
}

// all tries every rule. AWS writes no records with two values of an indexed field.
func (x *index) all(e *schemas.Event, yield func(*Rule, error)) {
	for _, r := range x.rules {
		x.try(r, e, yield)
	}
}

func (*index) try(r *Rule, e *schemas.Event, yield func(*Rule, error)) {
	if ok, err := r.match(e); ok || err != nil {
		yield(r, err)
	}
}
