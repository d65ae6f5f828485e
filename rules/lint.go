package rules

import (
	"fmt"
	"slices"
	"strings"

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
	if a := t.Allowlist; a != nil {
		for i, e := range a.Networks {
			if e.Network.Bits() == 0 {
				messages = append(messages, fmt.Sprintf("%s allows every address of its family", e.Network))
			}
			for _, around := range a.Networks[:i] {
				if around.Network.Bits() < e.Network.Bits() && around.Network.Contains(e.Network.Addr()) && around.Expires >= e.Expires {
					messages = append(messages, fmt.Sprintf("%s is inside %s", e, around))
					break
				}
			}
		}
	}
	if t.Dedup == nil && t.MaxAlerts == nil && t.NewTerms == nil {
		messages = append(messages, "it has neither dedup nor max_alerts: every match is an alert")
	}
	if t.Dedup != nil && len(t.Dedup.By) == 0 && !r.titleVaries() {
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
