package explain

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/cmd/firstseen/internal/why"
	"firstseen/rules"
)

// sheet is text in the making: sections of lines, a name before each.
type sheet struct{ strings.Builder }

func (s *sheet) line(name, format string, args ...any) {
	fmt.Fprintf(s, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
}

// print writes the answer, and below it what it is made of. Rules that do not match are shown with their queries if
// there are few of them, or if one was asked for.
func (v *view) print(w io.Writer, asked bool) error {
	s := new(sheet)
	for _, a := range v.Answer {
		fmt.Fprintln(s, a)
	}
	v.printMessage(s)
	if e := v.Event; e != nil {
		fmt.Fprintf(s, "\nevent\n")
		s.line("dataset", "%s", e.Dataset)
		s.line("time", "%s%s", e.Time, inBrackets(e.Flags))
		if e.Filtered {
			s.line("filter", "it has none of the values that every rule needs, so workers do not parse it")
		}
		for _, f := range e.Fields {
			s.field(f)
		}
	}
	others := 0
	for i := range v.Rules {
		r := &v.Rules[i]
		if !asked && (r.Because == rules.OtherDataset || r.Because == rules.SwitchedOff || r.Decision == noMatch && i >= 5) {
			others++
			continue
		}
		r.print(s)
	}
	if others > 0 {
		fmt.Fprintf(s, "\n%s: --rule ID shows why, --json all of them\n", show.Plural(int64(others), "other rule"))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func (v *view) printMessage(s *sheet) {
	m := &v.Message
	fmt.Fprintf(s, "\nrecord\n")
	if m.Topic != "" {
		s.line("from", "%s/%d/%d, record %d of %d, written %s", m.Topic, m.Partition, m.Offset, m.Index, m.Records, cmp.Or(m.Timestamp, "at an unknown time"))
	} else {
		s.line("from", "%s, line %d, record %d of %d", m.File, m.Line, m.Index, m.Records)
	}
	switch {
	case m.Unnamed:
		s.line("envelope", "not told")
	case len(m.Envelope) == 0:
		s.line("envelope", "none")
	default:
		s.line("envelope", "%s", strings.Join(m.Envelope, " > "))
	}
	state := map[string]string{wasRead: "read by the workers", onTheWay: "not processed yet", taught: "learned", nowhere: "not known"}[m.State]
	if m.Note != "" {
		state += ": " + m.Note
	}
	s.line("processed", "%s", state)
	s.line("store", "%s", v.Store.From)
	if v.Store.Since != "" {
		s.line("", "recorded since %s", v.Store.Since)
	}
	if v.Store.Unlike {
		s.line("", "no worker has run with these rules (%.12s): the answer is for the rules as they are here", v.Store.Ruleset)
	}
}

// field shows a field with the first few of its values.
func (s *sheet) field(f why.Field) {
	var values []string
	for _, value := range f.Values[:min(len(f.Values), 5)] {
		values = append(values, show.Text(value, 160))
	}
	if more := len(f.Values) - len(values); more > 0 {
		values = append(values, fmt.Sprintf("and %d more", more))
	}
	fmt.Fprintf(s, "  %-42s %s\n", f.Name, strings.Join(values, " | "))
}

// print writes what there is to say about a rule.
func (r *ruleView) print(s *sheet) {
	fmt.Fprintf(s, "\nrule %s (%s)\n", r.Rule, cmp.Or(r.File, "no file"))
	if r.Mode != "active" {
		s.line("mode", "%s", r.Mode)
	}
	s.query("query", r.Query)
	s.query("except", r.Except)
	if a := r.Allowlist; a != nil && r.Error == "" {
		switch {
		case a.Source == "":
			s.line("allowlist", "the record has no %s", a.Field)
		case a.Entry != nil:
			s.line("allowlist", "%s is inside %s", show.Text(a.Source, 80), show.Text(a.Entry.String(), 300))
		default:
			s.line("allowlist", "%s is in no network of it", show.Text(a.Source, 80))
		}
		for _, e := range a.Expired {
			s.line("", "expired: %s", show.Text(e.String(), 300))
		}
	}
	if r.Title != "" {
		s.line("title", "%s", show.Text(r.Title, 200))
	}
	if r.Error != "" {
		s.line("error", "%s", r.Error)
	}
	for i := range r.Outcomes {
		r.Outcomes[i].print(s)
	}
	if len(r.Outcomes) == 0 {
		s.line("decided", "%s", r.Answer)
	}
}

// query shows a query with the answer of each part.
func (s *sheet) query(name string, q *kqlView) {
	if q == nil {
		return
	}
	s.line(name, "%s", yes(q.Holds))
	s.part(q, 1)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// part shows a part of a query, a line each; the members of a conjunction are on the level of what they belong to.
func (s *sheet) part(q *kqlView, level int) {
	indent := strings.Repeat("  ", level)
	switch {
	case len(q.Parts) == 0:
		fmt.Fprintf(s, "    %s%-3s  %s%s\n", indent, yes(q.Holds), show.Text(q.Query, 200), has(q))
		return
	case q.Op == "and" && level == 1:
	case q.Field != "":
		fmt.Fprintf(s, "    %s%-3s  %s, %s%s\n", indent, yes(q.Holds), q.Field, map[string]string{"and": "all of", "or": "one of"}[q.Op], has(q))
		level++
	default:
		fmt.Fprintf(s, "    %s%-3s  %s\n", indent, yes(q.Holds), map[string]string{"and": "all of", "or": "any of", "not": "not", "nested": "one element with"}[q.Op])
		level++
	}
	for i := range q.Parts {
		p := q.Parts[i]
		if q.Field != "" {
			p.Has = nil // said once
		}
		s.part(&p, level)
	}
}

// has says what the event has in the field that is asked about.
func has(q *kqlView) string {
	if len(q.Has) == 0 {
		return ""
	}
	var values []string
	for _, v := range q.Has[:min(len(q.Has), 3)] {
		values = append(values, strconv.Quote(show.Text(v, 80)))
	}
	if len(q.Has) > 3 {
		values = append(values, "...")
	}
	return "   the event has " + strings.Join(values, ", ")
}

// print writes what came of the match with one combination of terms.
func (o *outcome) print(s *sheet) {
	for i, t := range o.Terms {
		s.line("term", "%s = %s", o.Fields[i], show.Text(t, 200))
	}
	if o.Terms == nil {
		s.line("group", "%s", cmp.Or(show.Text(shownGroup(o.rule, o.Group), 200), "the rule"))
	}
	if o.History != "" {
		since := ""
		if o.Since != "" {
			since = ", recorded since " + o.Since
		}
		s.line("history", "%s%s", o.History, since)
	}
	if v := o.Seen; v != nil {
		newer := ""
		if v.Newer {
			newer = " (this is what is known now: it includes what came after the event, and may include the event)"
		}
		s.line("seen", "first %s, last %s, %s, partition %d%s", v.First, v.Last, show.Plural(v.Count, "time"), v.Partition, newer)
	}
	if v := o.Window; v != nil {
		s.line("window", "the group's latest, from %s to %s, %s, opened by event %s", v.Start, v.End, matches(v.Count), show.Text(v.Event, 100))
	}
	for _, f := range o.Alerts {
		where := f.Place
		if f.Reason != "" {
			where += ", suppressed: " + f.Reason
		}
		if f.Previous != "" {
			where += ", previously seen " + f.Previous
		}
		if f.Ruleset != "" {
			where += fmt.Sprintf(", by ruleset %.12s", f.Ruleset)
		}
		s.line("alert", "%s %s at %s", f.ID, f.Status, where)
		if f.Sentence != "" {
			s.line("", "%s", show.Text(f.Sentence, 300))
		}
	}
	s.line("decided", "%s", o.Answer)
}

func matches(n int64) string {
	if n == 1 {
		return "1 match"
	}
	return show.Grouped(n) + " matches"
}

func inBrackets(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " [" + strings.Join(words, " ") + "]"
}
