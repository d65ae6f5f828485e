package ruletest

import (
	"fmt"
	"strings"

	"firstseen/cmd/firstseen/internal/why"
	"firstseen/rules"
)

// recordFailure says in one line what decided about the record of a test otherwise than the test wants.
func recordFailure(r *rules.TestResult) string {
	x := &r.Explanation
	var fields why.Fields
	for name, values := range r.Values {
		fields = append(fields, why.Field{Name: name, Values: values})
	}
	if r.Got {
		return "want no match, got one: " + why.Match(x, fields)
	}
	if x.Because == rules.NoTerms {
		var missing []string
		for _, field := range x.Rule.Text().NewTerms.Fields {
			if len(fields.Values(field)) == 0 {
				missing = append(missing, field)
			}
		}
		return fmt.Sprintf("want a match, got none: the record has no %s, so there is nothing that could be new", strings.Join(missing, " and no "))
	}
	return "want a match, got none: " + why.NoMatch(x, fields)
}
