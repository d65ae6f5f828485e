package main

import (
	"fmt"
	"strings"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules"
)

// recordFailure says in one line what decided about the record of a test otherwise than the test wants.
func recordFailure(r *rules.TestResult) string {
	x := &r.Explanation
	p := new(picked)
	for name, values := range r.Values {
		p.fields = append(p.fields, fieldView{name, values})
	}
	if r.Got {
		return "want no match, got one: " + p.whyMatch(x)
	}
	if x.Because == rules.NoTerms {
		var missing []string
		for _, field := range x.Rule.Text().NewTerms.Fields {
			if len(p.values(field)) == 0 {
				missing = append(missing, field)
			}
		}
		return fmt.Sprintf("want a match, got none: the record has no %s, so there is nothing that could be new", strings.Join(missing, " and no "))
	}
	v := new(ruleView)
	if a := x.Rule.Text().Allowlist; a != nil {
		v.Allowlist = &listView{Field: a.Field, Entry: newListAnswer(x.Lookup).Entry}
	}
	return "want a match, got none: " + p.whyNot(x, v)
}

// whyMatch is why a rule matches.
func (p *picked) whyMatch(x *rules.Explanation) string {
	var why []string
	if x.Query != nil {
		why = append(why, "its query holds: "+p.decisive(x.Query.Decisive()))
	}
	if x.Rule.Text().Allowlist != nil {
		why = append(why, show.Text(x.Source, 80)+" is in no network of its allowlist")
	}
	if len(why) == 0 {
		return "the rule has no query, so every record of " + x.Rule.Dataset().String() + " matches"
	}
	return strings.Join(why, "; ")
}
