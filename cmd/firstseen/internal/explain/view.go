package explain

import (
	"context"
	"fmt"
	"slices"

	"firstseen/cmd/firstseen/internal/show"
	"firstseen/cmd/firstseen/internal/why"
	"firstseen/rules"
	"firstseen/rules/kql"
	"firstseen/schemas"
)

// The decisions about a rule and an event; a closed list, in the order in which the answer names them.
const (
	madeAlert     = "alert"           // it is in the alerts topic
	madeHeld      = "suppressed"      // it is in the suppressed topic
	joinedWindow  = "joined"          // it is counted in another event's alert
	wouldAlert    = "would_alert"     // it has not been seen, and would make an alert now
	isWaiting     = "waiting"         // it has not been processed yet
	isDead        = "dead_letter"     // the rule cannot decide about it
	notKnown      = "unknown"         // it matches, and what came of it is not known
	wasLearned    = "learned"         // it only taught its terms
	notInForce    = "not_in_force"    // no worker ran with the rule when the event was written
	noAlert       = "no_alert"        // it matches and made none
	wouldNotAlert = "would_not_alert" // it matches and would make none now
	noMatch       = "no_match"
)

var decisions = []string{madeAlert, madeHeld, joinedWindow, wouldAlert, isWaiting, isDead, notKnown, wasLearned, notInForce, noAlert, wouldNotAlert, noMatch}

// view is everything that is said about an event. Times are RFC 3339.
type view struct {
	Answer  []string    `json:"answer"` // sentences, the most telling first
	Message messageView `json:"message"`
	Event   *eventView  `json:"event,omitempty"` // not of a dead letter, nor of what is skipped
	Dead    *deadView   `json:"dead_letter,omitempty"`
	Rules   []ruleView  `json:"rules"`
	Store   storeView   `json:"store"`
}

type messageView struct {
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	File      string   `json:"file,omitempty"`
	Line      int64    `json:"line,omitempty"`
	Timestamp string   `json:"timestamp,omitempty"` // Kafka's
	Records   int      `json:"records"`
	Index     int32    `json:"index"`
	Envelope  []string `json:"envelope"` // the outermost first; none: the record alone
	Unnamed   bool     `json:"envelope_unknown,omitempty"`
	State     string   `json:"state"` // read, not_read, learned, unknown
	Note      string   `json:"note,omitempty"`
}

type eventView struct {
	Dataset  string     `json:"dataset"`
	Time     string     `json:"time"`
	ID       string     `json:"id,omitempty"` // its own
	Flags    []string   `json:"flags,omitempty"`
	Filtered bool       `json:"filtered,omitempty"` // no rule can match, so workers do not parse it
	Fields   why.Fields `json:"fields"`
}

type storeView struct {
	From    string `json:"from"`            // where what was seen is known from
	Ruleset string `json:"ruleset"`         // SHA-256 of the rules that explain
	Unlike  bool   `json:"other,omitempty"` // no worker has run with these rules
	Since   string `json:"since,omitempty"` // what is recorded at all
	Dead    string `json:"dead_letter_at,omitempty"`
}

type ruleView struct {
	Rule      string        `json:"rule"`
	File      string        `json:"file,omitempty"`
	Mode      string        `json:"mode"`
	Decision  string        `json:"decision"`
	Because   rules.Because `json:"because"` // before anything that was seen is looked at
	Answer    string        `json:"answer"`
	Query     *kqlView      `json:"query,omitempty"`
	Except    *kqlView      `json:"except,omitempty"`
	Allowlist *listView     `json:"allowlist,omitempty"`
	Title     string        `json:"title,omitempty"`
	Error     string        `json:"error,omitempty"`
	Outcomes  []outcome     `json:"outcomes,omitempty"` // one for each combination of terms
}

type kqlView struct {
	Query string    `json:"query"`
	Op    string    `json:"op,omitempty"`
	Field string    `json:"field,omitempty"`
	Holds bool      `json:"holds"`
	Has   []string  `json:"has,omitempty"` // what the event has there
	Parts []kqlView `json:"parts,omitempty"`
}

type listView struct {
	Field   string      `json:"field"`
	Source  string      `json:"source,omitempty"`
	Entry   *why.Entry  `json:"entry,omitempty"`   // that allows it
	Expired []why.Entry `json:"expired,omitempty"` // that did
}

// view says all that is known.
func (x *inquiry) view(ctx context.Context, p *picked) (*view, error) {
	hash := x.set.Hash()
	v := &view{Message: x.messageView(p), Dead: p.dead, Rules: []ruleView{}, Store: storeView{Ruleset: fmt.Sprintf("%x", hash)}}
	k := &knowledge{inquiry: x, picked: p}
	if err := k.look(ctx, v); err != nil {
		return nil, err
	}
	if p.found && (p.dead == nil || !p.passed) {
		v.Event = &eventView{Dataset: p.data.String(), Time: show.Time(p.time), ID: p.id, Flags: p.flags.Names(), Filtered: !p.passed, Fields: p.fields}
		for _, r := range p.rules {
			v.Rules = append(v.Rules, k.rule(&r))
		}
	}
	slices.SortStableFunc(v.Rules, func(a, b ruleView) int { return a.rank() - b.rank() })
	v.Answer = v.answers(p)
	return v, nil
}

func (x *inquiry) messageView(p *picked) messageView {
	m := &p.message
	v := messageView{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, File: m.File, Line: m.Line, Records: p.records, Index: p.index, State: "unknown"}
	if x.record != nil && m.Timestamp >= 0 {
		v.Timestamp = show.Time(m.Timestamp)
	}
	names, ok := schemas.Wrapping(m.Value, p.raw)
	v.Envelope, v.Unnamed = names, !ok && p.found
	if v.Envelope == nil {
		v.Envelope = []string{}
	}
	return v
}

// rank orders rules by how much their decision says.
func (r *ruleView) rank() int {
	n := 10 * slices.Index(decisions, r.Decision)
	if r.Because == rules.OtherDataset || r.Because == rules.SwitchedOff {
		n++
	}
	return n
}

// rule says what a rule makes of the event.
func (k *knowledge) rule(e *rules.Explanation) ruleView {
	r := e.Rule
	v := ruleView{Rule: r.ID(), File: r.File(), Mode: r.Mode(), Because: e.Because, Title: e.Title, Decision: noMatch,
		Query: k.kqlView(e.Query), Except: k.kqlView(e.Except)}
	if a := r.Text().Allowlist; a != nil && e.Because != rules.OtherDataset {
		inside, expired := why.Entries(e.Lookup)
		v.Allowlist = &listView{a.Field, e.Source, inside, expired}
	}
	switch e.Because {
	case rules.RuleFailed:
		v.Decision, v.Error, v.Answer = isDead, e.Err.Error(), "No alert, a dead letter (rule_error): "+e.Err.Error()
		return v
	case rules.Matched:
	default:
		v.Answer = fmt.Sprintf("No alert from rule %s: %s", r.ID(), why.NoMatch(e, k.picked.fields))
		return v
	}
	for i := range k.outcomes {
		if o := &k.outcomes[i]; o.rule == r.ID() {
			k.decide(r, o)
			v.Outcomes = append(v.Outcomes, *o)
		}
	}
	slices.SortStableFunc(v.Outcomes, func(a, b outcome) int {
		return slices.Index(decisions, a.Decision) - slices.Index(decisions, b.Decision)
	})
	if len(v.Outcomes) > 0 {
		v.Decision, v.Answer = v.Outcomes[0].Decision, v.Outcomes[0].Answer
	}
	return v
}

// kqlView adds to an answer what the event has in each field.
func (k *knowledge) kqlView(a *kql.Answer) *kqlView {
	if a == nil {
		return nil
	}
	v := &kqlView{Query: a.Query, Op: a.Op, Field: a.Field, Holds: a.Holds}
	if a.Field != "" {
		v.Has = k.picked.fields.Values(a.Field)
	}
	for i := range a.Parts {
		v.Parts = append(v.Parts, *k.kqlView(&a.Parts[i]))
	}
	return v
}
