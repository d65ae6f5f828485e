package rules

import (
	"firstseen/rules/allowlist"
	"firstseen/rules/kql"
	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Because is what decided about a rule and an event; a closed list.
type Because string

// What decides, in the order in which it is looked at. Only Matched and NoTerms are matches, and of the latter nothing
// comes.
const (
	OtherDataset Because = "dataset"   // the rule looks at other records
	SwitchedOff  Because = "off"       // the rule is not evaluated
	QueryFails   Because = "query"     // its query does not hold
	Excepted     Because = "except"    // its exception holds
	NoSource     Because = "no_source" // it has an allowlist and the record no address to look up
	Allowed      Because = "allowlist" // the address is in an allowed network
	RuleFailed   Because = "error"     // it cannot decide about this record, which is a dead letter
	NoTerms      Because = "no_terms"  // it matches, but the record has no value of one of the terms' fields
	Matched      Because = "match"     // it matches
)

// Explanation is what a rule makes of one event, before anything that has been seen is looked at.
type Explanation struct {
	Rule    *Rule
	Because Because
	Query   *kql.Answer // nil: the rule has no query, or looks at other records
	Except  *kql.Answer // nil: the rule has no exception, or looks at other records
	Source  string      // what is looked up in the allowlist, as logged; empty: no allowlist, or no address
	Lookup  allowlist.Decision
	Terms   [][]string // each combination, in the order of the rule's fields
	Title   string     // of an alert; of a match only
	Err     error      // of RuleFailed
}

// Matches says whether the set's Match names the rule without an error.
func (x *Explanation) Matches() bool { return x.Because == Matched || x.Because == NoTerms }

// Explain says what rule r of the set makes of the event, and why. The decision is that of Match; what is said about it
// is found out part by part, and takes far longer.
func (s *Set) Explain(r *Rule, e *schemas.Event) (x Explanation, err error) {
	if x, err = s.explain(r, e); x.Because != OtherDataset && r.Mode() == rulefile.Off {
		x.Because, x.Title, x.Err = SwitchedOff, "", nil
	}
	return x, err
}

// explain is Explain for a rule in whatever mode, as if it were active.
func (s *Set) explain(r *Rule, e *schemas.Event) (x Explanation, err error) {
	x = Explanation{Rule: r, Because: OtherDataset}
	if e.Dataset != r.dataset {
		return x, nil
	}
	if x.Query, err = s.answers(r.query, e); err != nil {
		return x, err
	}
	if x.Except, err = s.answers(r.except, e); err != nil {
		return x, err
	}
	r.EachTerms(e, func(values [][]byte) {
		terms := make([]string, len(values))
		for i, v := range values {
			terms[i] = string(v)
		}
		x.Terms = append(x.Terms, terms)
	})
	r.explainSource(&x, e)
	matches, err := r.match(e)
	switch {
	case err != nil:
		x.Because, x.Err = RuleFailed, err
	case matches && r.HasTerms() && len(x.Terms) == 0:
		x.Because = NoTerms
	case matches:
		x.Because, x.Title = Matched, r.Title(e)
	case x.Query != nil && !x.Query.Holds:
		x.Because = QueryFails
	case x.Except != nil && x.Except.Holds:
		x.Because = Excepted
	case x.Source == "":
		x.Because = NoSource
	default:
		x.Because = Allowed
	}
	return x, nil
}

// answers explains a query, if there is one.
func (s *Set) answers(query *kql.Expr, e *schemas.Event) (*kql.Answer, error) {
	if query == nil {
		return nil, nil
	}
	a, err := kql.Answers(query, s.layout, e)
	return &a, err
}

// explainSource finds the entries of the allowlist that are about the event's source.
func (r *Rule) explainSource(x *Explanation, e *schemas.Event) {
	if r.allowed == nil {
		return
	}
	x.Source = string(e.Text(r.source))
	network, err := r.allowed.Parse([]byte(x.Source))
	if err != nil {
		return // there is none, or the rule has an error
	}
	x.Lookup = allowlist.Decide(r.text.Allowlist.Written, network, r.strict, e.Time)
}
