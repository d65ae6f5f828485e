package rules

import (
	"fmt"
	"slices"
	"strings"

	"firstseen/rules/allowlist"
	"firstseen/rules/kql"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Lint says what is valid in the rules but probably not meant.
func Lint(s *Set) []Warning {
	warnings := emptyAllowlists(s)
	for _, r := range s.rules {
		for _, message := range lint(r) {
			warnings = append(warnings, r.warning(message))
		}
	}
	slices.SortStableFunc(warnings, func(a, b Warning) int { return strings.Compare(a.File, b.File) })
	return warnings
}

func (r *Rule) warning(message string) Warning {
	return Warning{File: r.file, Message: fmt.Sprintf("rule %s: %s", r.ID(), message)}
}

func emptyAllowlists(s *Set) (warnings []Warning) {
	for _, r := range s.rules {
		if a := r.text.Allowlist; a != nil && len(a.Networks) == 0 && r.text.Mode != rulefile.Off {
			warnings = append(warnings, r.warning("the allowlist is empty: every address is a match"))
		}
	}
	return warnings
}

func lint(r *Rule) (messages []string) {
	t := r.text
	if t.Query == "" && t.Allowlist == nil && t.NewTerms == nil {
		messages = append(messages, "it has neither a query nor an allowlist nor new terms: every record is a match")
	}
	for _, query := range []string{t.Query, t.Except} {
		if expr, err := kql.Parse(query); err == nil {
			messages = append(messages, kql.Doubts(expr)...)
		}
	}
	if t.Except != "" && t.Except == t.Query {
		messages = append(messages, "except takes out all that the query is about: nothing can match")
	}
	if t.Allowlist != nil {
		messages = append(messages, lintNetworks(t.Allowlist.Networks)...)
	}
	if t.Dedup == nil && t.MaxAlerts == nil && t.NewTerms == nil {
		messages = append(messages, "it has neither dedup nor max_alerts: every match is an alert")
	}
	if t.Dedup != nil && len(t.Dedup.By) == 0 && !r.titleVaries {
		messages = append(messages, "it dedups by a title that is always the same: one alert a period for the whole rule")
	}
	if r.dataset == schemas.CloudTrail && filter(r.dataset, []*Rule{r}) == nil && t.Mode != rulefile.Off {
		messages = append(messages, "its query names no value that every match contains, so every record must be parsed; compare event.provider or event.action with values, if it can")
	}
	if len(t.Tests)+len(t.Scenarios) == 0 {
		messages = append(messages, "it has no tests")
	}
	return messages
}

// lintNetworks looks for entries that allow everything, and for those that change nothing. The entries are sorted: a
// network comes after those around it.
func lintNetworks(entries []allowlist.Entry) (messages []string) {
	var around []allowlist.Entry // the entry at hand, from the outside in
	for _, e := range entries {
		if e.Network.Bits() == 0 {
			messages = append(messages, fmt.Sprintf("%s allows every address of its family", e.Network))
		}
		for len(around) > 0 && !around[len(around)-1].Network.Contains(e.Network.Addr()) {
			around = around[:len(around)-1]
		}
		if i := slices.IndexFunc(around, func(o allowlist.Entry) bool { return o.Expires >= e.Expires }); i >= 0 {
			messages = append(messages, fmt.Sprintf("%s is inside %s", e, around[i]))
		}
		around = append(around, e)
	}
	return messages
}
