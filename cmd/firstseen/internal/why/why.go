// Package why says in words why a rule matches a record, or why it does not.
package why

import (
	"fmt"
	"strings"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/rules"
)

// NoMatch says why a rule does not match a record with these fields.
func NoMatch(e *rules.Explanation, fields Fields) string {
	switch e.Because {
	case rules.OtherDataset:
		return "it looks at " + e.Rule.Dataset().String()
	case rules.SwitchedOff:
		return "it is switched off (mode: off)"
	case rules.QueryFails:
		return "its query does not hold: " + fields.decisive(e.Query.Decisive())
	case rules.Excepted:
		return "its exception holds: " + fields.decisive(e.Except.Decisive())
	case rules.NoSource:
		return "the record has no " + e.Rule.Text().Allowlist.Field + " to look up"
	case rules.Allowed:
		entry, _ := Entries(e.Lookup)
		return fmt.Sprintf("%s is allowed by %s", show.Text(e.Source, 80), entry)
	case rules.NoTerms:
		return "the query holds, but the record has no value in one of " + show.List(e.Rule.Text().NewTerms.Fields)
	}
	return string(e.Because)
}

// Match says why a rule matches a record with these fields.
func Match(x *rules.Explanation, fields Fields) string {
	var why []string
	if x.Query != nil {
		why = append(why, "its query holds: "+fields.decisive(x.Query.Decisive()))
	}
	if x.Rule.Text().Allowlist != nil {
		why = append(why, show.Text(x.Source, 80)+" is in no network of its allowlist")
	}
	if len(why) == 0 {
		return "the rule has no query, so every record of " + x.Rule.Dataset().String() + " matches"
	}
	return strings.Join(why, "; ")
}
