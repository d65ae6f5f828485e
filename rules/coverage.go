package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"firstseen/rules/kql"
	"firstseen/schemas"
)

// Coverage is what of a rule its tests reach: the conditions of its query and of its exception, and the networks of its
// allowlist. What has been seen, windows and caps are not part of it.
type Coverage struct {
	Query   *kql.Coverage // nil: the rule has no query
	Except  *kql.Coverage // nil: the rule has no exception
	Outside int           // records whose address is in no allowed network

	set     *Set
	rule    *Rule
	decoder *schemas.Decoder
	reached map[netip.Prefix]bool // of the allowlist
	err     error
}

// NewCoverage returns the coverage of a rule of the set before any test.
func NewCoverage(s *Set, r *Rule) *Coverage {
	c := &Coverage{
		set: s, rule: r, reached: map[netip.Prefix]bool{},
		decoder: schemas.NewDecoder(schemas.Config{Layout: s.layout, Strict: s.strict}),
	}
	if r.query != nil {
		c.Query = kql.NewCoverage(r.query, settled)
	}
	if r.except != nil {
		c.Except = kql.NewCoverage(r.except, settled)
	}
	return c
}

// settled are the fields that are the same in every record of a dataset.
func settled(field string) bool {
	return slices.Contains([]string{"event.dataset", "data_stream.dataset", "event.module", "event.kind", "cloud.provider"}, canonicalName(field))
}

// Add counts a record of a test, which comes at the time in Unix milliseconds. One that is no record of the rule's
// dataset counts for nothing: its test says so. The error is that of Explain.
func (c *Coverage) Add(log []byte, at int64) error {
	m := testMessage(c.rule, log, at)
	c.decoder.Decode(m, (*coverageSink)(c))
	return c.err
}

type coverageSink Coverage

func (s *coverageSink) Dead(schemas.DeadLetter) {}

func (s *coverageSink) Event(e *schemas.Event) {
	x, err := s.set.Explain(s.rule, e)
	if err != nil || e.Dataset != s.rule.dataset {
		s.err = err
		return
	}
	if s.Query != nil {
		if s.Query.Add(*x.Query); !x.Query.Holds {
			return
		}
	}
	if s.Except != nil {
		if s.Except.Add(*x.Except); x.Except.Holds {
			return
		}
	}
	if s.rule.allowed == nil {
		return
	}
	if x.Lookup.Inside != nil {
		s.reached[x.Lookup.Inside.Network] = true
	} else if matches, err := s.rule.match(e); matches && err == nil {
		s.Outside++
	}
}

// Reached counts what the tests reach, and what there is to reach.
func (c *Coverage) Reached() (reached, of int) {
	for _, q := range []*kql.Coverage{c.Query, c.Except} {
		if q != nil {
			n, m := q.Reached()
			reached, of = reached+n, of+m
		}
	}
	if c.rule.allowed != nil {
		reached, of = reached+len(c.reached)+min(c.Outside, 1), of+len(c.rule.text.Allowlist.Networks)+1
	}
	return reached, of
}

// maxMissed is how many networks are named that no test reaches; a list may have a hundred thousand.
const maxMissed = 5

// Missed says what no test reaches, a sentence each.
func (c *Coverage) Missed() (sentences []string) {
	if c.Query != nil {
		sentences = append(sentences, c.Query.Missed()...)
	}
	if c.Except != nil {
		for _, s := range c.Except.Missed() {
			sentences = append(sentences, "except: "+s)
		}
	}
	if c.rule.allowed == nil {
		return sentences
	}
	if c.Outside == 0 {
		sentences = append(sentences, "allowlist: no test has an address outside of it")
	}
	missed := 0
	for _, e := range c.rule.text.Allowlist.Networks {
		if c.reached[e.Network] {
			continue
		}
		if missed++; missed <= maxMissed {
			sentences = append(sentences, fmt.Sprintf("allowlist: no test has an address in %s", e.Network))
		}
	}
	if missed > maxMissed {
		sentences = append(sentences, fmt.Sprintf("allowlist: nor in %d more networks", missed-maxMissed))
	}
	return sentences
}
