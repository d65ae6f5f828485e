package stage

import (
	"slices"
	"strings"

	"firstseen/rules"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// Text is the format for a terminal, beside those of package alert.
const Text alert.Format = "text"

// Why an alert went to the suppressed topic: the value of the header firstseen-suppressed.
const (
	overCap    = "cap"
	inShadow   = "shadow"
	learning   = "learning"
	suppressed = "firstseen-suppressed"
)

// alert makes the alert that first is shown in: at once, or by a later match of its window w. It goes out, or to the
// suppressed topic if its rule is still learning, is in shadow mode or has made as many as its cap allows.
func (g *Group) alert(f *wire.Finding, first *wire.Entry, w *wire.Window, c *capWindow) (held bool, err error) {
	rule, err := g.rule(f.Ruleset, f.Rule)
	if err != nil {
		return false, err
	}
	a := g.document(alert.Open, rule, f, first)
	if w != nil {
		window(a, w)
		a.Count, a.LastSeen = w.Reported, w.ReachedAt
		if w.Policy.Threshold > 1 { // else it is that of the first match alone, and more depends on how matches were combined
			a.Summary = g.summarize(w.Counters)
		}
	}
	switch {
	case f.Held:
		g.counted.SuppressedByLearning++
		return true, g.emit(a, learning)
	case f.Policy.Shadow:
		g.counted.SuppressedByShadow++
		return true, g.emit(a, inShadow)
	}
	allowed, overflow, err := g.allow(f, first, rules.Second(a.Time), c)
	switch {
	case err != nil:
		return false, err
	case allowed:
		g.counted.Alerts++
		return false, g.emit(a, "")
	}
	g.counted.SuppressedByCap++
	if err := g.emit(a, overCap); err != nil || !overflow {
		return true, err
	}
	g.counted.Overflows++
	return true, g.emit(g.overflow(alert.Overflow, rule, &c.Cap), "")
}

// closeWindow closes a window, with an update of its alert if there is something to add to it.
func (g *Group) closeWindow(w *wire.Window) error {
	if !rules.CloseWindow(w) {
		return nil
	}
	rule, err := g.rule(w.Ruleset, w.Rule)
	if err != nil {
		return err
	}
	f := wire.Finding{Ruleset: w.Ruleset, Rule: w.Rule, Group: w.Group}
	a := g.document(alert.Closed, rule, &f, &w.First)
	window(a, w)
	a.Summary = g.summarize(w.Counters)
	a.Count = w.Count
	a.LastSeen = max(w.LastSeen, w.First.Match.Time, w.ReachedAt) // the first is in whole seconds
	switch {
	case w.Reported > 0:
		g.counted.Closed++
		return g.emit(a, "")
	case w.Policy.Shadow:
		g.counted.SuppressedByShadow++
		return g.emit(a, inShadow)
	}
	g.counted.SuppressedByCap++
	return g.emit(a, overCap)
}

// closeCap closes a cap window, with an update of its overflow alert if there is something to add to it.
func (g *Group) closeCap(c *wire.Cap) error {
	if !rules.CloseCap(c) {
		return nil
	}
	rule, err := g.rule(c.Ruleset, c.Rule)
	if err != nil {
		return err
	}
	g.counted.Closed++
	return g.emit(g.overflow(alert.Closed, rule, c), "")
}

// ruleName names a rule of a ruleset.
type ruleName struct{ ruleset, id string }

// maxRules is how many rules a Group remembers.
const maxRules = 1000

// rule looks a rule up once, by names that may be kept: those of a record are its memory.
func (g *Group) rule(ruleset []byte, id string) (*alert.Rule, error) {
	if rule := g.rules[ruleName{view(ruleset), id}]; rule != nil {
		return rule, nil
	}
	name := ruleName{string(ruleset), strings.Clone(id)}
	rule, err := g.lookup([]byte(name.ruleset), name.id)
	if err != nil {
		return nil, err
	}
	if len(g.rules) >= maxRules {
		clear(g.rules)
	}
	g.rules[name] = rule
	return rule, nil
}

// document makes an alert about one match. Its identity is that of the match and of what was compared: the terms, or
// else the group.
func (g *Group) document(kind string, rule *alert.Rule, f *wire.Finding, e *wire.Entry) *alert.Alert {
	m := &e.Match
	a := &alert.Alert{
		Kind: kind, Rule: rule, Ruleset: f.Ruleset, Title: m.Title, Match: m,
		Time: m.Time, Count: 1, FirstSeen: m.Time, LastSeen: m.Time, Created: max(g.now, 0),
	}
	key := f.Group
	if len(e.Terms) > 0 {
		key = string(appendTerms(nil, e.Terms))
		a.NewTerms = &alert.NewTerms{
			Values: e.Terms, PreviousSeen: e.PreviousSeen, History: e.History, HistoryStart: e.HistoryStart,
		}
	}
	a.ID = alert.ID("alert", f.Rule, key, alert.EventID(m))
	return a
}

// window adds what is known of the window to an alert of it. Its time is that of the match that made the alert.
func window(a *alert.Alert, w *wire.Window) {
	a.Time = w.ReachedAt
	a.Group = &alert.Group{
		By: a.Rule.GroupBy, Key: groupValues(w), Start: w.Start * 1000, End: (w.Start + w.Policy.Period) * 1000,
		Threshold: w.Policy.Threshold,
	}
	if w.Policy.Threshold > 1 {
		a.Group.ReachedAt = w.ReachedAt
	}
}

// summarize sorts counters for an alert, by their attributes, the most frequent values first. The result is valid until
// the next.
func (g *Group) summarize(c []wire.Counter) []wire.Counter {
	clear(g.summary)
	g.summary = append(g.summary[:0], c...)
	slices.SortStableFunc(g.summary, func(x, y wire.Counter) int {
		if x.Attribute != y.Attribute {
			return strings.Compare(x.Attribute, y.Attribute)
		}
		return int(min(max(y.Count-x.Count, -1), 1))
	})
	return g.summary
}

// groupValues returns what makes the group, without the rule: the key has the values behind it, after a NUL each.
func groupValues(w *wire.Window) string {
	values := strings.TrimPrefix(strings.TrimPrefix(w.Group, w.Rule), "\x00")
	return strings.ReplaceAll(values, "\x00", ", ")
}

// overflow makes the alert that says how many alerts were over the cap. All of its versions have the same time.
func (g *Group) overflow(kind string, rule *alert.Rule, c *wire.Cap) *alert.Alert {
	f := wire.Finding{Ruleset: c.Ruleset, Rule: c.Rule, Group: c.Rule}
	a := g.document(kind, rule, &f, &c.First)
	a.ID = alert.ID("overflow", c.Rule, c.Rule, alert.EventID(&c.First.Match))
	a.Title, a.NewTerms = rule.Name+": cap on alerts reached", nil
	a.Time, a.FirstSeen, a.LastSeen = c.Start*1000, c.Start*1000, c.LastSeen
	a.Count, a.Suppressed, a.SuppressedTopic = c.Alerts+c.Suppressed, c.Suppressed, g.cfg.SuppressedTopic
	return a
}

// emit renders an alert in every format. held says why it goes to the suppressed topic; empty: it does not.
func (g *Group) emit(a *alert.Alert, held string) (err error) {
	for _, format := range g.cfg.Formats {
		out := Output{To: Alerts, Headers: a.HeadersAs(format)}
		if out.Key, err = a.ID.MarshalText(); err != nil {
			return err
		}
		if format == Text {
			out.Value = []byte(a.Text())
		} else if out.Value, err = a.Append(nil, format); err != nil {
			return err
		}
		if held != "" {
			out.To = Suppressed
			out.Headers = append(out.Headers, [2]string{suppressed, held})
		}
		g.outputs = append(g.outputs, out)
	}
	return nil
}
