package builtin_test

import (
	"bytes"
	"os"
	"testing"

	"firstseen/rules"
	"firstseen/schemas"
	"firstseen/schemas/wire"
)

// seen is what a rule knows of the terms it met: the whole of the new-terms decision, in memory.
type seen struct {
	t              *testing.T
	set            *rules.Set
	terms          map[string]*wire.Term
	matched, fired int
}

func (s *seen) Event(e *schemas.Event) {
	s.set.Match(e, func(r *rules.Rule, err error) {
		if err != nil {
			s.t.Error(err)
			return
		}
		r.EachTerms(e, func(values [][]byte) {
			key := string(bytes.Join(values, []byte{0}))
			term, known := s.terms[key]
			if !known {
				term = &wire.Term{}
				s.terms[key] = term
			}
			s.matched++
			if fire, _ := rules.Observe(term, known, e.Time, e.Time, 1, r.History()); fire {
				s.fired++
			}
		})
	})
}

func (s *seen) Dead(l schemas.DeadLetter) { s.t.Errorf("dead letter %s: %s", l.Reason, l.Detail) }

// readHoneyBucket reads what a real open bucket logged; file says in which order.
func (s *seen) readHoneyBucket(file string, strict bool) {
	s.t.Helper()
	text, err := os.ReadFile("../../testdata/honeybucket/" + file + ".ndjson")
	if err != nil {
		s.t.Fatal(err)
	}
	d := schemas.NewDecoder(schemas.Config{Layout: s.set.Layout(), Filters: s.set.Filters(), Strict: strict})
	for line := range bytes.Lines(text) {
		d.Decode(schemas.Message{Value: line, Timestamp: -1, Now: 1 << 41}, s)
	}
}

// The anonymous requests that a real open bucket got from 2020 to 2022 are all in the older spelling. How many of their
// addresses are new is known from counting them by hand.
func TestHoneyBucket(t *testing.T) {
	const (
		month    = ".new_terms.history=30d"
		endless  = ".new_terms.history=36500d"
		allNames = `.query=event.provider: "s3.amazonaws.com" and event.outcome: "success" and cloud.account.id: ("anonymous" or "ANONYMOUS_PRINCIPAL")`
	)
	for _, c := range []struct {
		file           string
		strict         bool
		set            []string
		matched, fired int
	}{
		{"oldest-first", false, nil, 128, 92},
		{"oldest-first", false, []string{month}, 128, 90},
		{"oldest-first", false, []string{endless}, 128, 87},
		{"oldest-first", true, nil, 0, 0},
		{"oldest-first", false, []string{allNames}, 284, 230},
		{"oldest-first", false, []string{allNames, month}, 284, 225},
		{"oldest-first", false, []string{allNames, endless}, 284, 216},
		{"newest-first", false, nil, 128, 87}, // a late event is never new twice
		{"newest-first", false, []string{allNames}, 284, 216},
	} {
		var set []string
		for _, key := range c.set {
			set = append(set, rareSource+key)
		}
		s := &seen{t: t, set: load(t, rules.LoadOptions{Strict: c.strict, Set: set}), terms: map[string]*wire.Term{}}
		s.readHoneyBucket(c.file, c.strict)
		if s.matched != c.matched || s.fired != c.fired {
			t.Errorf("%s, strict=%v, %q: %d matched and %d were new, want %d and %d", c.file, c.strict, c.set, s.matched, s.fired, c.matched, c.fired)
		}
	}
}
