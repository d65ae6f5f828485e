package ruletest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"firstseen/rules/rulefile"
)

// compare says how the alerts that were made differ from those that the scenario lists, in their order. Closed and
// suppressed ones are compared only if the scenario lists one.
func compare(s *rulefile.Scenario, made []rulefile.ScenarioAlert) (differences []string) {
	want := s.Alerts
	lists := func(f func(rulefile.ScenarioAlert) bool) bool { return slices.ContainsFunc(want, f) }
	closed := lists(func(a rulefile.ScenarioAlert) bool { return a.Kind == "closed" })
	suppressed := lists(func(a rulefile.ScenarioAlert) bool { return a.Suppressed != "" })
	made = slices.DeleteFunc(made, func(a rulefile.ScenarioAlert) bool {
		return a.Kind == "closed" && !closed || a.Suppressed != "" && !suppressed
	})
	missing, extra := unpaired(want, made)
	show := shower{s}
	for _, w := range missing {
		if i := slices.IndexFunc(extra, func(m rulefile.ScenarioAlert) bool { return fits(w, m) }); i >= 0 {
			extra = slices.Delete(extra, i, i+1)
			differences = append(differences, "not in this order: "+show.alert(w))
			continue
		}
		differences = append(differences, "missing: "+show.alert(w))
	}
	for _, m := range extra {
		differences = append(differences, "not expected: "+show.alert(show.only(m)))
	}
	return differences
}

// unpaired pairs as many alerts as it can, of both lists in their order, and returns those that are left over.
func unpaired(want, made []rulefile.ScenarioAlert) (missing, extra []rulefile.ScenarioAlert) {
	pairs := make([][]int, len(want)+1) // how many there are from want[i] and made[j] on
	for i := range pairs {
		pairs[i] = make([]int, len(made)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(made) - 1; j >= 0; j-- {
			pairs[i][j] = max(pairs[i+1][j], pairs[i][j+1])
			if fits(want[i], made[j]) {
				pairs[i][j] = max(pairs[i][j], 1+pairs[i+1][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(want) && j < len(made) {
		switch {
		case fits(want[i], made[j]) && pairs[i][j] == 1+pairs[i+1][j+1]:
			i, j = i+1, j+1
		case pairs[i][j] == pairs[i+1][j]:
			missing, i = append(missing, want[i]), i+1
		default:
			extra, j = append(extra, made[j]), j+1
		}
	}
	return append(missing, want[i:]...), append(extra, made[j:]...)
}

// fits says whether an alert is the one that is wanted. What the wanted one does not say is not compared.
func fits(want, made rulefile.ScenarioAlert) bool {
	return anyOr(want.Event, made.Event) && want.Kind == made.Kind && anyOr(want.Title, made.Title) && anyOr(want.Severity, made.Severity) &&
		strings.Contains(made.Reason, want.Reason) && anyOr(want.Group, made.Group) && anyOr(want.Count, made.Count) &&
		(len(want.Terms) == 0 || slices.Equal(want.Terms, made.Terms)) && want.Suppressed == made.Suppressed
}

// anyOr says whether nothing is wanted, or just this.
func anyOr[T comparable](want, made T) bool { return want == *new(T) || want == made }

// shower shows alerts as its scenario does.
type shower struct{ scenario *rulefile.Scenario }

// only leaves out what no alert of the scenario says, and what is long.
func (s shower) only(a rulefile.ScenarioAlert) rulefile.ScenarioAlert {
	var said rulefile.ScenarioAlert
	for _, w := range s.scenario.Alerts {
		said.Severity, said.Reason, said.Group = cmp.Or(said.Severity, w.Severity), cmp.Or(said.Reason, w.Reason), cmp.Or(said.Group, w.Group)
	}
	for _, of := range []struct {
		said  string
		value *string
	}{{said.Severity, &a.Severity}, {said.Reason, &a.Reason}, {said.Group, &a.Group}} {
		if of.said == "" {
			*of.value = ""
		}
	}
	return a
}

func (s shower) alert(a rulefile.ScenarioAlert) string {
	var b strings.Builder
	switch {
	case a.Event == 0:
		b.WriteString("an event")
	case s.scenario.Events[a.Event-1].Name != "":
		fmt.Fprintf(&b, "event %d (%s)", a.Event, s.scenario.Events[a.Event-1].Name)
	default:
		fmt.Fprintf(&b, "event %d", a.Event)
	}
	fmt.Fprintf(&b, " makes an alert, %s", a.Kind)
	text := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, ", %s %q", name, value)
		}
	}
	text("title", a.Title)
	text("severity", a.Severity)
	text("reason", a.Reason)
	text("group", a.Group)
	if len(a.Terms) > 0 {
		fmt.Fprintf(&b, ", terms %q", a.Terms)
	}
	if a.Count > 0 {
		fmt.Fprintf(&b, ", count %d", a.Count)
	}
	text("suppressed", a.Suppressed)
	return b.String()
}
