package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"firstseen/cmd/firstseen/internal/show"
)

// json prints the report as one document.
func (r *report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// text prints the report for people, with at most limit alerts of a kind.
func (r *report) text(w io.Writer, limit int) error {
	var b strings.Builder
	b.WriteString(r.head())
	wide := len("RULE")
	for _, d := range r.Rules {
		wide = max(wide, len(d.Rule))
	}
	fmt.Fprintf(&b, "\n%-*s %8s %8s %8s %8s %8s %8s\n", wide, "RULE", "WOULD", "DID", "SAME", "MOVED", "ADDED", "GONE")
	for _, d := range r.Rules {
		fmt.Fprintf(&b, "%-*s", wide, d.Rule)
		for _, n := range []int64{d.Would, d.Did, d.Same, d.Moved, d.Added, d.Gone} {
			fmt.Fprintf(&b, " %8s", show.Grouped(n))
		}
		fmt.Fprintf(&b, "\n%s", d.notes())
	}
	for _, list := range []struct {
		name, sign string
		alerts     []changedAlert
	}{{"added", "+", r.Added}, {"gone", "-", r.Gone}} {
		if len(list.alerts) > 0 {
			fmt.Fprintf(&b, "\n%s\n", list.name)
		}
		for _, a := range list.alerts[:min(limit, len(list.alerts))] {
			fmt.Fprintf(&b, "%s %s  %s  [%s, %s]\n", list.sign, a.Time, a.line(), a.Rule, a.Origin)
		}
		b.WriteString(more(len(list.alerts), limit))
	}
	if len(r.Moved) > 0 {
		b.WriteString("\nmoved: the same by another event\n")
	}
	for _, p := range r.Moved[:min(limit, len(r.Moved))] {
		fmt.Fprintf(&b, "~ %s\n", p)
	}
	b.WriteString(more(len(r.Moved), limit))
	if len(r.DeadLetters) > 0 {
		b.WriteString("\ndead letters\n")
	}
	for _, d := range r.DeadLetters {
		fmt.Fprintf(&b, "  %s %s, first at %s: %s\n", show.Grouped(d.Count), d.Reason, d.First, d.Detail)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// head says what was replayed.
func (r *report) head() string {
	s := fmt.Sprintf("%s in %s", show.Plural(r.Records, "record"), show.Plural(int64(r.Files), "file"))
	if r.Files == 0 {
		s = fmt.Sprintf("%s in %s", show.Plural(r.Records, "record"), show.Plural(int64(len(r.Partitions)), "partition"))
	}
	if r.From != "" {
		s += fmt.Sprintf(", from %s to %s", r.From, r.To)
	}
	if r.WarmUp > 0 {
		s += fmt.Sprintf(", after %s of warm-up", show.Plural(r.WarmUp, "message"))
	}
	return s + "; compared with " + r.Against + "\n"
}

// notes says what the table does not: suppressed alerts and caps.
func (d *ruleDiff) notes() (s string) {
	for _, side := range []struct {
		name string
		held map[string]int64
		caps int64
	}{{"would", d.WouldHeld, d.WouldCaps}, {"did", d.DidHeld, d.DidCaps}} {
		for _, reason := range slices.Sorted(maps.Keys(side.held)) {
			s += fmt.Sprintf("  %s: %s suppressed, %s", side.name, show.Grouped(side.held[reason]), reason)
			if reason == "cap" {
				s += fmt.Sprintf(" (counted above; the cap was reached %s)", show.Plural(side.caps, "time"))
			}
			s += "\n"
		}
	}
	return s
}

// line says what happened, and why the other side has no such alert if it is known.
func (a changedAlert) line() string {
	s := a.says()
	if a.OtherSide != "" {
		s += " (suppressed on the other side: " + a.OtherSide + ")"
	}
	return s
}

// says is the reason in the alert, else its title.
func (a *comparedAlert) says() string { return cmp.Or(a.Reason, a.Title) }

// String is one line: both alerts, or the one and the id of the one that it is part of.
func (p alertPair) String() string {
	switch {
	case p.Did == nil:
		return fmt.Sprintf("%s  %s  [%s]: part of %s, which began at another event", p.Would.Time, p.Would.says(), p.Would.Rule, p.PartOf)
	case p.Would == nil:
		return fmt.Sprintf("%s  %s  [%s]: would be part of %s, which begins at another event", p.Did.Time, p.Did.says(), p.Did.Rule, p.PartOf)
	}
	return fmt.Sprintf("%s instead of %s  %s  [%s, %s instead of %s]", p.Would.Time, p.Did.Time, p.Would.says(), p.Would.Rule, p.Would.Origin, p.Did.Origin)
}

func more(n, limit int) string {
	if n <= limit {
		return ""
	}
	return fmt.Sprintf("  and %s more; --limit N shows more, --json all\n", show.Grouped(int64(n-limit)))
}
