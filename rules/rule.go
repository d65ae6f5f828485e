package rules

import (
	"crypto/sha256"
	"fmt"

	"firstseen/rules/allowlist"
	"firstseen/rules/kql"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
	"firstseen/schemas/alert"
	"firstseen/schemas/wire"
)

// Rule is a rule ready to look at events. It is immutable and shared by goroutines.
type Rule struct {
	text    *rulefile.Rule
	file    string // where it was read, for people
	dataset schemas.Dataset
	strict  bool

	query    *kql.Expr
	matcher  *kql.Matcher // nil: every event of the dataset
	except   *kql.Expr
	excepted *kql.Matcher // nil: no event
	allowed  *allowlist.Table
	source   schemas.Slot // what is looked up in allowed
	terms    []term
	title    []part
	// titleVaries says whether the title depends on the event. With one that does not the group is the rule.
	titleVaries bool
	groupBy     []schemas.Slot
	summary     []schemas.Slot
	info        alert.Rule
	state       wire.StateID
	policy      wire.Policy
	sourceKey   int // which term the rule is keyed by; -1: all of them
}

// canonicalForm is the version of how values become terms. It is part of the state id, so that terms of another form
// are not taken for new ones of this form: the rule's history starts anew.
const canonicalForm = 1

// ID is unique in a set.
func (r *Rule) ID() string { return r.text.ID }

// Info is what alerts say about the rule.
func (r *Rule) Info() *alert.Rule { return &r.info }

// Text is the rule as its file says it, with defaults and overrides. It must not be changed.
func (r *Rule) Text() *rulefile.Rule { return r.text }

// File is where the rule was read, "builtin/..." for one of the program's own; empty after Decode.
func (r *Rule) File() string { return r.file }

// Dataset is whose events the rule looks at.
func (r *Rule) Dataset() schemas.Dataset { return r.dataset }

// Mode is rulefile.Active, Shadow or Off.
func (r *Rule) Mode() string { return r.text.Mode }

// State is the part of state keys that stands for the rule: it changes with its id, its fields, and how values become
// terms. A changed query or window keeps it, and with it what has been seen.
func (r *Rule) State() wire.StateID { return r.state }

// Policy is how the group stage treats the rule's findings.
func (r *Rule) Policy() wire.Policy { return r.policy }

// HasTerms says whether the rule fires for new terms only.
func (r *Rule) HasTerms() bool { return r.text.NewTerms != nil }

// History is how long terms stay known, in milliseconds; 0 for a rule without terms.
func (r *Rule) History() int64 {
	if r.text.NewTerms == nil {
		return 0
	}
	return r.text.NewTerms.History
}

// Tests are the rule's tests of single records. They are not part of the encoded set.
func (r *Rule) Tests() []rulefile.Test { return r.text.Tests }

// Scenarios are the rule's tests of several records. They are not part of the encoded set.
func (r *Rule) Scenarios() []rulefile.Scenario { return r.text.Scenarios }

// fieldNames lists every field that the rule uses, for the layout.
func fieldNames(t *rulefile.Rule) []string {
	names := append([]string{sourceAddress}, t.SummaryAttributes...)
	for _, query := range []string{t.Query, t.Except} {
		if expr, err := kql.Parse(query); err == nil {
			names = append(names, kql.Fields(expr)...)
		}
	}
	if template, err := rulefile.ParseTemplate(t.Title); err == nil {
		for _, s := range template {
			names = append(names, s.Field)
		}
	}
	if t.Allowlist != nil {
		names = append(names, t.Allowlist.Field)
	}
	if t.NewTerms != nil {
		names = append(names, t.NewTerms.Fields...)
	}
	if t.Dedup != nil {
		names = append(names, t.Dedup.By...)
	}
	return names
}

// compile makes a rule of its text. It fails only for a text that no rule file can have, as from a foreign ruleset.
func compile(t *rulefile.Rule, file string, strict bool, layout *schemas.Layout) (*Rule, error) {
	r := &Rule{text: t, file: file, strict: strict, sourceKey: -1}
	slots := func(names []string) (slots []schemas.Slot) {
		for _, name := range names {
			slot, _ := layout.Slot(name) // it is there: fieldNames gave the layout its names
			slots = append(slots, slot)
		}
		return slots
	}
	var ok bool
	if r.dataset, ok = schemas.ParseDataset(t.Dataset); !ok {
		return nil, fmt.Errorf("rule %q: unknown dataset %q", t.ID, t.Dataset)
	}
	var err error
	if r.query, r.matcher, err = compileQuery(t.Query, layout); err != nil {
		return nil, fmt.Errorf("rule %q: query: %w", t.ID, err)
	}
	if r.except, r.excepted, err = compileQuery(t.Except, layout); err != nil {
		return nil, fmt.Errorf("rule %q: except: %w", t.ID, err)
	}
	template, err := rulefile.ParseTemplate(t.Title)
	if err != nil {
		return nil, fmt.Errorf("rule %q: title: %w", t.ID, err)
	}
	for _, s := range template {
		slot, _ := layout.Slot(s.Field)
		r.title = append(r.title, part{text: s.Text, field: s.Field != "", slot: slot})
		r.titleVaries = r.titleVaries || s.Field != ""
	}
	if a := t.Allowlist; a != nil {
		r.allowed = allowlist.NewTable(a.Networks, strict)
		r.source, _ = layout.Slot(a.Field)
	}
	if t.NewTerms != nil {
		if err := r.setTerms(t.NewTerms.Fields, layout); err != nil {
			return nil, fmt.Errorf("rule %q: %w", t.ID, err)
		}
	}
	if t.Dedup != nil {
		r.groupBy = slots(t.Dedup.By)
	}
	r.summary = slots(t.SummaryAttributes)
	r.setPolicy()
	r.setState()
	r.setInfo()
	return r, nil
}

// compileQuery makes nothing of an empty text.
func compileQuery(text string, layout *schemas.Layout) (*kql.Expr, *kql.Matcher, error) {
	if text == "" {
		return nil, nil, nil
	}
	expr, err := kql.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	matcher, err := kql.Compile(expr, layout)
	return expr, matcher, err
}

func (r *Rule) setTerms(names []string, layout *schemas.Layout) error {
	if len(names) < 1 || len(names) > maxFields {
		return fmt.Errorf("new_terms: %d fields", len(names))
	}
	for i, name := range names {
		slot, _ := layout.Slot(name)
		r.terms = append(r.terms, term{slot: slot, address: isAddress(name)})
		if canonicalName(name) == sourceAddress {
			r.sourceKey = i
		}
	}
	return nil
}

func (r *Rule) setPolicy() {
	t := r.text
	r.policy = wire.Policy{Threshold: t.Threshold, Shadow: t.Mode == rulefile.Shadow}
	if t.Dedup != nil {
		r.policy.Period = t.Dedup.Period / 1000
	}
	if t.MaxAlerts != nil {
		r.policy.CapCount, r.policy.CapPer = t.MaxAlerts.Count, t.MaxAlerts.Per/1000
	}
}

func (r *Rule) setState() {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s", canonicalForm, r.text.ID)
	for i, t := range r.terms {
		fmt.Fprintf(h, "\x00%s", canonicalName(r.text.NewTerms.Fields[i]))
		if t.address && r.strict {
			fmt.Fprint(h, "\x00strict") // where IPv4-mapped addresses are other terms
		}
	}
	copy(r.state[:], h.Sum(nil))
}

func (r *Rule) setInfo() {
	t := r.text
	r.info = alert.Rule{
		ID: t.ID, Name: t.Name, Version: t.Version, Category: "query", Description: t.Description, Severity: t.Severity,
		RiskScore: int(t.RiskScore), Tags: t.Tags, References: t.References, FalsePositives: t.FalsePositives,
		Runbook: t.Runbook, Dataset: t.Dataset, SummaryAttributes: t.SummaryAttributes, Panther: t.AlertContext == "panther",
	}
	for _, threat := range t.Threat {
		a := alert.Threat{
			Framework: threat.Framework, TacticID: threat.Tactic.ID, TacticName: threat.Tactic.Name, TacticReference: threat.Tactic.Reference,
		}
		for _, q := range threat.Techniques {
			a.Techniques = append(a.Techniques, alert.Technique(q))
		}
		r.info.Threat = append(r.info.Threat, a)
	}
	if t.Dedup != nil {
		r.info.GroupBy = t.Dedup.By
		if len(t.Dedup.By) == 0 {
			r.info.GroupBy = []string{"title"}
		}
	}
	if t.Allowlist != nil {
		r.info.Category = "allowlist"
		h := sha256.New()
		for _, e := range t.Allowlist.Networks {
			fmt.Fprintln(h, e)
		}
		r.info.NetworksVersion = fmt.Sprintf("%x", h.Sum(nil)[:6])
	}
	if t.NewTerms != nil {
		r.info.Category, r.info.Fields = "new_terms", t.NewTerms.Fields
	}
}

// match says whether the rule matches the event, which is of its dataset. The order is that of the Panther rule: what
// the query leaves out is not looked at, nor what is excepted, and an event without a source is no match; only then must
// the source be an address or a network, or the rule has an error on this event.
func (r *Rule) match(e *schemas.Event) (bool, error) {
	if r.matcher != nil && !r.matcher.Match(e) {
		return false, nil
	}
	if r.excepted != nil && r.excepted.Match(e) {
		return false, nil
	}
	if r.allowed != nil {
		source := e.Text(r.source)
		if source == nil {
			return false, nil
		}
		network, err := r.allowed.Parse(source)
		if err != nil {
			return false, fmt.Errorf("rule %s: %s: %w", r.text.ID, r.text.Allowlist.Field, err)
		}
		if r.allowed.Contains(network, e.Time) {
			return false, nil
		}
	}
	if len(r.terms) > 0 && r.combinations(e) > maxCombinations {
		return false, fmt.Errorf("rule %s: %w", r.text.ID, errCombinations)
	}
	return true, nil
}

var errCombinations = fmt.Errorf("more than %d combinations of terms in one record", maxCombinations)
