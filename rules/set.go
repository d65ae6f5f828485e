package rules

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"firstseen/rules/rulefile"
	"firstseen/schemas"
)

// Set is the rules of a worker. It is immutable and shared by goroutines.
type Set struct {
	strict  bool
	rules   []*Rule                     // by id
	indexes [schemas.S3Access + 1]index // of those that are not off
	layout  *schemas.Layout
	owners  schemas.Owners // nil: none is needed, or none is there
	filters map[schemas.Dataset]*schemas.Filter
	encoded []byte
	hash    [sha256.Size]byte
}

// newSet compiles the rules. files are where they were read, by id; it may be nil.
func newSet(texts []*rulefile.Rule, files map[string]string, strict bool) (*Set, error) {
	texts = slices.Clone(texts)
	slices.SortFunc(texts, func(a, b *rulefile.Rule) int { return strings.Compare(a.ID, b.ID) })
	var names []string
	for _, t := range texts {
		names = append(names, fieldNames(t)...)
	}
	s := &Set{strict: strict, layout: schemas.NewLayout(slices.DeleteFunc(names, func(n string) bool { return n == "" }))}
	for _, t := range texts {
		r, err := compile(t, files[t.ID], strict, s.layout)
		if err != nil {
			return nil, err
		}
		s.rules = append(s.rules, r)
		if t.Mode != rulefile.Off {
			s.indexes[r.dataset].add(r)
		}
	}
	s.filters = map[schemas.Dataset]*schemas.Filter{}
	for _, d := range []schemas.Dataset{schemas.CloudTrail, schemas.S3Access} {
		if f := filter(d, s.indexes[d].rules); f != nil {
			s.filters[d] = f
		}
	}
	var err error
	if s.encoded, err = json.Marshal(encodedSet{encodedFormat, strict, texts}); err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	s.hash = sha256.Sum256(s.encoded)
	return s, nil
}

// Hash is the SHA-256 of Encode. Records name by it the rules that made them.
func (s *Set) Hash() [32]byte { return s.hash }

// Strict says whether the set takes its rules to the letter.
func (s *Set) Strict() bool { return s.strict }

// Layout has a slot for every field that a rule uses.
func (s *Set) Layout() *schemas.Layout { return s.layout }

// Filters has, for each dataset, what every record contains that a rule can match. A dataset without an entry has no
// such condition.
func (s *Set) Filters() map[schemas.Dataset]*schemas.Filter { return s.filters }

// Rules returns all rules by id, those that are off too. The slice is the set's own.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule returns the rule with the id, nil if there is none.
func (s *Set) Rule(id string) *Rule {
	i, ok := slices.BinarySearchFunc(s.rules, id, func(r *Rule, id string) int { return strings.Compare(r.ID(), id) })
	if !ok {
		return nil
	}
	return s.rules[i]
}

// Match calls yield for each rule that matches the event, in the order of their ids. With an error the rule could not be
// evaluated on this event: it neither matches nor does not, and the event belongs to the dead letters. An event that no
// rule matches costs no allocation.
func (s *Set) Match(e *schemas.Event, yield func(*Rule, error)) {
	if int(e.Dataset) < len(s.indexes) {
		s.indexes[e.Dataset].match(e, yield)
	}
}
