package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/processor"
	"firstseen/rules"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// decide says what came of an outcome, or would: what was written is a fact, what is known of the terms or the window
// may prove that nothing came of it, and anything else is said to be unknown.
func (k *knowledge) decide(r *rules.Rule, o *outcome) {
	if r.HasTerms() {
		o.Fields, o.history, o.History = r.Text().NewTerms.Fields, r.History(), span(r.History())
		if k.lookup != nil {
			o.Since = show.Time(o.since.Start)
		}
	}
	if o.term != nil {
		o.Seen = &seenView{show.Time(o.term.FirstSeen), show.Time(o.term.LastSeen), o.term.Count, o.partition, o.term.LastSeen >= o.time}
	}
	if w := o.window; w != nil {
		event := alert.EventID(&w.First.Match)
		o.Window = &windowView{show.Time(w.Start * 1000), show.Time((w.Start + w.Policy.Period) * 1000), w.Count, event,
			alert.ID("alert", w.Rule, w.Group, event).String()}
	}
	decision, why := k.written(o)
	if decision == "" && o.Terms != nil {
		decision, why = k.terms(o)
	} else if decision == "" {
		decision, why = k.window(o)
	}
	if decision == wouldAlert {
		decision, why = o.held(why)
	}
	o.Decision, o.Answer = decision, opening(decision, o)+": "+why
}

// opening begins the sentence of an answer.
func opening(decision string, o *outcome) string {
	switch decision {
	case madeAlert:
		return fmt.Sprintf("Alert %s from rule %s", o.ID, o.rule)
	case madeHeld:
		return fmt.Sprintf("Alert %s from rule %s was suppressed", o.ID, o.rule)
	case joinedWindow:
		return fmt.Sprintf("No alert of its own from rule %s", o.rule)
	case wouldAlert:
		return fmt.Sprintf("Rule %s would alert", o.rule)
	case isWaiting:
		return fmt.Sprintf("Not decided yet by rule %s", o.rule)
	case notKnown:
		return fmt.Sprintf("Rule %s matches, and whether it alerts is not known", o.rule)
	case wouldNotAlert:
		return fmt.Sprintf("Rule %s would not alert", o.rule)
	case notInForce:
		return fmt.Sprintf("Rule %s matches, but was not in force", o.rule)
	}
	return fmt.Sprintf("No alert from rule %s", o.rule)
}

// written decides by the topics and by how far the workers have come; empty: they do not say.
func (k *knowledge) written(o *outcome) (decision, why string) {
	for _, f := range o.Alerts {
		switch {
		case !f.own || f.Status == alert.Closed:
		case f.Reason != "":
			return madeHeld, fmt.Sprintf("reason %s, it is at %s", f.Reason, f.Place)
		default:
			return madeAlert, cmp.Or(f.Sentence, "it is at "+f.Place)
		}
	}
	if k.record != nil && o.force == processor.Never {
		return notInForce, "no worker has run with it"
	}
	if k.position == onTheWay {
		return isWaiting, k.note
	}
	if decision, why = k.inForce(o); decision != "" {
		return decision, why
	}
	if k.position == taught {
		return wasLearned, "it was only learned: " + k.note
	}
	if i := slices.IndexFunc(o.Alerts, func(f alertFound) bool { return !f.own }); i >= 0 {
		f := o.Alerts[i]
		return joinedWindow, fmt.Sprintf("it is in the window of alert %s, from %s to %s", f.ID, f.Start, f.End)
	}
	return "", ""
}

// inForce decides about an event that is older than the rule, or that the rule may not have been there for; empty: it
// was there.
func (k *knowledge) inForce(o *outcome) (decision, why string) {
	made := ""
	if k.position == wasRead && k.complete {
		made = "; no alert was found"
	}
	written := show.Time(k.picked.message.Timestamp)
	switch {
	case k.record == nil || o.force == processor.InForce, o.window != nil && o.Window.Event == o.event: // which it opened
		return "", ""
	case o.force == processor.NotYet:
		return notInForce, fmt.Sprintf("the event was written at %s, and the rule came at %s: what had been read by then it did not look at%s",
			written, show.Time(o.forceSince), made)
	case o.forceSince == wire.NoTime:
		return notKnown, fmt.Sprintf("whether it was in force as it is here when the event was written, at %s, is not known%s", written, made)
	}
	return notKnown, fmt.Sprintf("the event was written at %s, and whether the rule was in force before %s as it is now is not known%s",
		written, show.Time(o.forceSince), made)
}

// terms decides by what is known of the terms now. Their first event in the order of arrival and their highest time are
// all that is kept: what was known when the event came follows from these sometimes.
func (k *knowledge) terms(o *outcome) (decision, why string) {
	what, term := seenTerms(o), o.term
	made := ""
	if k.position == wasRead {
		made = ", and no alert was found"
		if !k.complete {
			made += " (the topics do not reach back to it)"
		}
	}
	none := notKnown // there was no alert, if the topics have them all
	if k.position == wasRead && k.complete {
		none = noAlert
	}
	switch {
	case k.lookup == nil:
		return notKnown, fmt.Sprintf("it depends on whether %s was seen in the %s before %s", what, o.History, show.Time(o.time))
	case term == nil && k.position == wasRead:
		return none, fmt.Sprintf("it was read%s; nothing is known of %s any more", made, what)
	case term == nil:
		return wouldAlert, fmt.Sprintf("nothing is known of %s", what)
	case o.time > term.LastSeen && k.position == wasRead:
		return none, fmt.Sprintf("it was read%s, but what is known of %s ends at %s: was its state reset?", made, what, show.Time(term.LastSeen))
	case rules.Silent(term.LastSeen, o.time, o.history):
		return wouldAlert, fmt.Sprintf("%s was last seen %s before, longer ago than its history of %s", what, ago(o.time-term.LastSeen), o.History)
	case o.time > term.LastSeen:
		return wouldNotAlert, fmt.Sprintf("%s was seen %s before (history %s)", what, ago(o.time-term.LastSeen), o.History)
	case term.FirstSeen < o.time && !rules.Silent(term.FirstSeen, o.time, o.history):
		return noAlert, fmt.Sprintf("%s was seen %s before (history %s)", what, ago(o.time-term.FirstSeen), o.History)
	case term.FirstSeen == o.time:
		return none, fmt.Sprintf("%s was first seen at the time of this event%s; of all that came then the first makes the alert", what, made)
	}
	return none, fmt.Sprintf("%s is known from %s to %s, which does not tell when it was last seen before this event%s", what,
		show.Time(term.FirstSeen), show.Time(term.LastSeen), made)
}

// window decides by the group's current window.
func (k *knowledge) window(o *outcome) (decision, why string) {
	w, n := o.window, max(1, o.policy.Threshold)
	t := rules.Second(o.time)
	switch {
	case o.policy.Period <= 0:
		return wouldAlert, "every match does"
	case k.lookup == nil:
		return notKnown, fmt.Sprintf("it depends on whether an alert of its group was made in the %s before", span(o.policy.Period*1000))
	case w != nil && o.Window.Event == o.event && w.Reported > 0:
		return madeAlert, fmt.Sprintf("it opened the window from %s, of %s so far", o.Window.Start, show.Plural(w.Count, "match"))
	case w != nil && o.Window.Event == o.event && w.Reported < 0:
		return madeHeld, fmt.Sprintf("it opened the window from %s", o.Window.Start)
	case w != nil && o.Window.Event == o.event:
		return noAlert, fmt.Sprintf("it opened the window from %s, which has %d of the %d matches that make one", o.Window.Start, w.Count, w.Policy.Threshold)
	case w != nil && t >= w.Start && rules.InWindow(w, t):
		return joinedWindow, fmt.Sprintf("it is in the window from %s to %s, opened by event %s (alert %s)", o.Window.Start, o.Window.End,
			show.Text(o.Window.Event, 80), o.Window.AlertID)
	case k.position == wasRead && k.complete && n == 1 && w != nil && t < w.Start: // else one of the alerts would be there
		return joinedWindow, "it came late, when a later window of its group was open, and is counted there"
	case k.position == wasRead:
		return notKnown, "the window that it was in is gone, and so is its alert"
	case w != nil && t < w.Start:
		return notKnown, fmt.Sprintf("it is older than the group's window from %s: it would join that one now, and was in another if it was read before", o.Window.Start)
	case n > 1:
		return wouldNotAlert, fmt.Sprintf("it would open a window, whose match %d makes an alert", n)
	}
	return wouldAlert, "no window of its group is open at its time"
}

// held is why an alert that would be made would not go out.
func (o *outcome) held(why string) (decision, because string) {
	switch {
	case o.policy.Shadow:
		return wouldAlert, why + "; the alert would be suppressed, the rule is in shadow mode"
	case o.since.HoldUntil != 0 && o.time < o.since.HoldUntil:
		return wouldAlert, why + "; the alert would be suppressed, the rule is learning until " + show.Time(o.since.HoldUntil)
	case o.policy.CapCount > 0:
		return wouldAlert, fmt.Sprintf("%s (no more than %d alerts in %s, the others are suppressed)", why, o.policy.CapCount, span(o.policy.CapPer*1000))
	}
	return wouldAlert, why
}

// seenTerms is the terms in a sentence.
func seenTerms(o *outcome) string {
	values := make([]string, len(o.Terms))
	for i, t := range o.Terms {
		values[i] = show.Text(t, 80)
	}
	return show.List(values)
}

// shownGroup is what makes a group, without its rule, as alerts show it.
func shownGroup(rule, group string) string {
	values := strings.TrimPrefix(strings.TrimPrefix(group, rule), "\x00")
	return strings.ReplaceAll(values, "\x00", ", ")
}

// answers are the sentences that come first. Rules that do not look at such records are not worth one.
func (v *view) answers(p *picked) (list []string) {
	if v.Dead != nil {
		list = append(list, v.deadAnswer())
	}
	switch {
	case v.Event != nil:
	case v.Dead != nil:
		return list
	default:
		return []string{"No alert: the record is no API call and no request (a notification, a digest, Insights or a control message), so it is skipped"}
	}
	others := 0
	for _, r := range v.Rules {
		switch {
		case r.Because == rules.OtherDataset || r.Because == rules.SwitchedOff || r.Decision == noMatch && len(list) >= 3:
			others++
		case r.Decision == isDead && v.Dead != nil: // that is said
		default:
			list = append(list, r.Answer)
		}
	}
	switch {
	case len(list) == 0 && len(v.Rules) == 1:
		list = append(list, v.Rules[0].Answer)
	case len(list) == 0:
		list = append(list, "No alert: no rule looks at records of "+p.data.String())
	case others > 0:
		list = append(list, fmt.Sprintf("No alert from %s: other records, no match, or off", show.Plural(int64(others), "other rule")))
	}
	return list
}

// deadAnswer is what is said of a dead letter. Where a rule had an error on the record the others decide about it all
// the same.
func (v *view) deadAnswer() string {
	detail := show.Text(v.Dead.Detail, 300)
	if v.Dead.Unparsed {
		return fmt.Sprintf("No alert: no rule can match the record, so workers do not parse it; if they did it would be a dead letter (%s): %s", v.Dead.Reason, detail)
	}
	answer := fmt.Sprintf("Dead letter (%s)", v.Dead.Reason)
	if v.Event == nil {
		answer += ", no alert"
	}
	if answer += ": " + detail; v.Store.Dead != "" {
		answer += "; it is at " + v.Store.Dead
	}
	return answer
}

// span writes milliseconds as a rule file does: 7d, 12h, 15m, 90s.
func span(ms int64) string {
	for _, u := range []struct {
		ms   int64
		name string
	}{{86_400_000, "d"}, {3_600_000, "h"}, {60_000, "m"}} {
		if ms > 0 && ms%u.ms == 0 {
			return fmt.Sprintf("%d%s", ms/u.ms, u.name)
		}
	}
	return fmt.Sprintf("%ds", ms/1000)
}

// ago writes a distance in its two largest units: 3h 20m.
func ago(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	switch {
	case ms > int64(1<<63-1)/1_000_000:
		return "centuries"
	case days > 0 && rest >= time.Hour:
		return fmt.Sprintf("%dd %dh", days, rest/time.Hour)
	case days > 0:
		return fmt.Sprintf("%dd", days)
	case d >= time.Hour && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
